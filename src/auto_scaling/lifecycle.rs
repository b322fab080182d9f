//! Instances that wait in a lifecycle hook.

use super::{AutoScaling, hook::VALIDATION_ERROR};
use crate::{
    aws::{
        calls::Calls,
        operation::Operation,
        query::{Parameters, answer::List},
    },
    error::Error,
    identifier::InstanceId,
};

impl AutoScaling {
    /// Has an instance go on that waits in a hook. Returns whether it was still waiting.
    pub(crate) async fn continue_action(
        &self,
        calls: &Calls,
        group: &str,
        hook: &str,
        instance: &InstanceId,
    ) -> Result<bool, Error> {
        let parameters = action(group, hook, instance).with("LifecycleActionResult", "CONTINUE");
        self.act(calls, Operation::CompleteLifecycleAction, instance, &parameters).await
    }

    /// Restarts the heartbeat timeout of an instance that waits in a hook. Returns whether it was still waiting.
    pub(crate) async fn record_heartbeat(
        &self,
        calls: &Calls,
        group: &str,
        hook: &str,
        instance: &InstanceId,
    ) -> Result<bool, Error> {
        let parameters = action(group, hook, instance);
        self.act(calls, Operation::RecordLifecycleActionHeartbeat, instance, &parameters).await
    }

    async fn act(
        &self,
        calls: &Calls,
        operation: Operation,
        instance: &InstanceId,
        parameters: &Parameters,
    ) -> Result<bool, Error> {
        match self.client.call(calls, operation, instance, parameters, &List::NONE).await {
            Ok(_) => Ok(true),
            // The hook was completed or timed out, or the instance is gone.
            Err(error) if error.code() == Some(VALIDATION_ERROR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The action of an instance: its token is not needed.
fn action(group: &str, hook: &str, instance: &InstanceId) -> Parameters {
    Parameters::default()
        .with("AutoScalingGroupName", group)
        .with("LifecycleHookName", hook)
        .with("InstanceId", instance.as_str())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use standin::{AutoScalingGroup, Fault, Instance, LifecycleHook, Standin};

    use super::{
        super::{Member, hook::Hook},
        *,
    };
    use crate::{aws, aws::deadline::Deadline, direct};

    const ID: &str = "i-1234567890abcdef0";

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn calls() -> Calls {
        Calls::new(Deadline::after(s(60)), Arc::default(), None, Arc::default())
    }

    fn id() -> InstanceId {
        ID.to_owned().try_into().unwrap()
    }

    /// An instance in a group with two hooks.
    async fn start() -> (Arc<Standin>, AutoScaling) {
        let aws = Arc::new(Standin::builder().start().await.unwrap());
        let boot = LifecycleHook::new("boot").launching().heartbeat_timeout(s(7_200));
        let group = AutoScalingGroup::new("web & api").hook(boot);
        aws.home().auto_scaling_group(group.hook(LifecycleHook::new("drain").heartbeat_timeout(s(300))));
        aws.home().instance(Instance::new(ID).asg("web & api"));
        let auto_scaling = AutoScaling::new(&aws::load(direct::loader(&aws)).await);
        (aws, auto_scaling)
    }

    #[tokio::test(start_paused = true)]
    async fn hooks_of_a_group_are_described_together() {
        let (aws, auto_scaling) = start().await;
        let calls = calls();
        let hook = |name| auto_scaling.hook(&calls, "web & api", name);
        let (drain, boot, other) = tokio::join!(hook("drain"), hook("boot"), hook("other"));
        let described = |name: &str, is_terminating, heartbeat, global| Hook {
            name: name.to_owned(),
            is_terminating,
            heartbeat_timeout: s(heartbeat),
            global_timeout: s(global),
        };
        assert_eq!(drain.unwrap(), Some(described("drain", true, 300, 30_000)));
        assert_eq!(boot.unwrap(), Some(described("boot", false, 7_200, 172_800)));
        assert_eq!(other.unwrap(), None);
        assert_eq!(aws.calls_to("DescribeLifecycleHooks").len(), 1);
        assert_eq!(auto_scaling.hook(&calls, "another group", "drain").await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn instance_waits_until_its_action_is_completed() {
        let (aws, auto_scaling) = start().await;
        let home = aws.home();
        assert!(!auto_scaling.continue_action(&calls(), "web & api", "drain", &id()).await.unwrap());
        home.begin_termination(ID).unwrap();
        let member = Member { group: "web & api".to_owned(), state: "Terminating:Wait".to_owned() };
        assert_eq!(auto_scaling.membership(&calls(), &id()).await.unwrap(), Some(member));
        tokio::time::advance(s(299)).await;
        assert!(auto_scaling.record_heartbeat(&calls(), "web & api", "drain", &id()).await.unwrap());
        tokio::time::advance(s(299)).await;
        assert_eq!(home.lifecycle_state(ID).as_deref(), Some("Terminating:Wait"));
        assert!(auto_scaling.continue_action(&calls(), "web & api", "drain", &id()).await.unwrap());
        assert_eq!(home.lifecycle_state(ID), None);
        assert!(!auto_scaling.continue_action(&calls(), "web & api", "drain", &id()).await.unwrap());
        assert!(!auto_scaling.record_heartbeat(&calls(), "web & api", "drain", &id()).await.unwrap());
        assert_eq!(auto_scaling.membership(&calls(), &id()).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn action_is_completed_whatever_fails_at_first() {
        for fault in [
            Fault::on_any().throttle(),
            Fault::on_any().status(503),
            Fault::on_any().cut(),
            Fault::on_any().delay(s(30)),
        ] {
            let (aws, auto_scaling) = start().await;
            aws.home().begin_termination(ID).unwrap();
            aws.fault(fault.times(2));
            assert!(auto_scaling.continue_action(&calls(), "web & api", "drain", &id()).await.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_taken_for_completion() {
        let (aws, auto_scaling) = start().await;
        aws.fault(Fault::on_any().error(403, "AccessDenied", "not authorized"));
        let error = auto_scaling.continue_action(&calls(), "web & api", "drain", &id()).await.unwrap_err();
        assert_eq!(error.error_type(), "AccessDenied");
        assert!(error.to_string().contains("AccessDenied: not authorized"), "{error}");
        assert!(auto_scaling.hook(&calls(), "web & api", "drain").await.is_err());
    }
}
