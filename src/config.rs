//! The settings, read once from environment variables.

mod clusters;
mod lifecycle_hooks;
mod setting;

use std::{cell::RefCell, collections::BTreeSet};

pub use clusters::{ClusterFilter, Verdict};
pub use lifecycle_hooks::LifecycleHooks;
use serde::Serialize;
pub use setting::InvalidSetting;
use setting::Setting;

use crate::{
    identifier::{AccountId, identifier},
    interrupted_task::{Cause, TaskDetail},
    interruption::{Interruption, Kind, LifecycleAction},
};

/// The function's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `STRATEGY`
    pub strategy: Strategy,
    /// `DRY_RUN`
    pub mode: Mode,
    /// `CLUSTERS` and `EXCLUDE_CLUSTERS`
    pub clusters: ClusterFilter,
    /// `CLUSTER_TAG`
    pub cluster_tag: Option<String>,
    /// `MANAGED_DRAINING`
    pub managed_draining: ManagedDrainingPolicy,
    /// `STANDALONE_TASKS`
    pub standalone_tasks: StandaloneTasks,
    /// `REACTIVATE_RESUMED`
    pub reactivate_resumed: ResumedPolicy,
    /// `CLEAN_UP_TERMINATED`
    pub clean_up_terminated: TerminatedPolicy,
    /// `REBALANCE_RECOMMENDATION`
    pub rebalance_recommendation: RebalancePolicy,
    /// `ACCOUNTS`: if it is set, events of other accounts are ignored.
    pub accounts: BTreeSet<AccountId>,
    /// `MEMBER_ROLE_NAME` and `EXTERNAL_ID`
    pub member_role: Option<MemberRole>,
    /// `OUTCOME_BUS`
    pub outcome_bus: Option<EventBusArn>,
    /// `EKS_CLUSTERS`: empty if no cluster is to be acted on.
    pub eks_clusters: ClusterFilter,
    /// `EKS_STRATEGY`
    pub eks_strategy: EksStrategy,
    /// `POD_DISRUPTION_BUDGETS`
    pub pod_disruption_budgets: BudgetPolicy,
    /// `REPLACE_INSTANCES`
    pub replacement: ReplacementPolicy,
    /// `FARGATE_SPOT`
    pub fargate_spot: FargateSpotPolicy,
    /// `RUN_AGAIN`
    pub run_again: RunAgainPolicy,
    /// `RUN_AGAIN_ON`
    pub run_again_on: RunAgainOn,
    /// `LIFECYCLE_HOOKS`: empty if no lifecycle action is to be handled.
    pub lifecycle_hooks: LifecycleHooks,
    /// `REHEARSAL_READS`
    pub rehearsal_reads: RehearsalReads,
}

/// The role that the function assumes in other accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRole {
    /// The role's name, the same in every account.
    pub name: String,
    /// The external id that the role's trust policy may require.
    pub external_id: Option<String>,
}

identifier!(
    /// The ARN of an event bus.
    EventBusArn,
    "the ARN of an event bus, arn:PARTITION:events:REGION:ACCOUNT:event-bus/NAME, at most 340 characters",
    |arn| matches!(
        arn.split(':').collect::<Vec<_>>()[..],
        ["arn", _, "events", region, _, bus]
            if !region.is_empty() && bus.starts_with("event-bus/") && arn.len() <= 340
    )
);

/// What happens to a container instance whose EC2 instance is going to be terminated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// It is deregistered: ECS replaces its service tasks at once.
    #[default]
    Deregister,
    /// It is set to `DRAINING`: ECS stops and replaces its service tasks within the limits of their services.
    Drain,
    /// It is drained for as long as there is time; then its tasks are stopped, and it is deregistered.
    Evacuate,
}

const OTHER_HOOK: &str = "LIFECYCLE_HOOKS does not name its hook";
const REPLACED: &str = "its service replaces it";
const STOPPED: &str = "it has stopped";

/// The reasons to ignore events that the stack's rules deliver, since they can't tell them from others.
pub(crate) const EXPECTED: [&str; 3] = [OTHER_HOOK, REPLACED, STOPPED];

/// The strategies, the default first.
pub(crate) const STRATEGIES: [(&str, Strategy); 3] =
    [("deregister", Strategy::Deregister), ("drain", Strategy::Drain), ("evacuate", Strategy::Evacuate)];

/// What an evacuation does with standalone tasks, which belong to no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandaloneTasks {
    /// They are stopped, each as late as its stop timeout allows.
    Stop,
    /// They run until EC2 ends the instance.
    Leave,
}

/// What happens to instances that EC2 starts again after it stopped or hibernated them, and to their nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumedPolicy {
    /// They are set to `ACTIVE`, or uncordoned, if this function drained them.
    Reactivate,
    /// They are left as they are.
    Leave,
}

/// What happens to terminated instances that are still registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminatedPolicy {
    /// They are left as they are.
    Leave,
    /// They are deregistered.
    CleanUp,
}

/// What happens on a rebalance recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalancePolicy {
    /// Nothing.
    Ignore,
    /// The container instance is set to `DRAINING`; the node is cordoned, and its pods are evicted.
    Drain,
}

/// What happens to a Kubernetes node whose EC2 instance is going to be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EksStrategy {
    /// It is cordoned, and its pods are evicted.
    Drain,
    /// It is cordoned.
    Cordon,
}

/// What happens to pods that a `PodDisruptionBudget` protects from eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetPolicy {
    /// They are deleted when their grace period would no longer fit into the notice.
    UntilDeadline,
    /// They run until EC2 ends the instance.
    Respect,
}

/// When the Auto Scaling group of an interrupted instance launches its replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementPolicy {
    /// When Auto Scaling sees that the instance is gone.
    Leave,
    /// At once: the instance is detached from its group.
    Detach,
}

/// What happens when Fargate Spot interrupts a task of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FargateSpotPolicy {
    /// Nothing.
    Ignore,
    /// Its address is taken out of the target groups of its service.
    Handle,
}

/// Which interrupted standalone tasks are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAgainPolicy {
    /// None.
    Never,
    /// Those with the tag, or of a task definition with the tag.
    Tagged,
    /// All, except those that another service starts again.
    All,
}

/// Where an interrupted task of Fargate Spot runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAgainOn {
    /// On Fargate Spot.
    Same,
    /// On demand, on Fargate.
    Fargate,
}

/// What a rehearsal reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RehearsalReads {
    /// What handling a notice reads.
    Few,
    /// Tasks, services, target groups, Auto Scaling groups and `PodDisruptionBudgets` as well.
    All,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Changes are made.
    Change,
    /// Everything is read, nothing is changed, and the answer says what would be done.
    DryRun,
}

/// What happens to container instances that Amazon ECS drains by itself, and to nodes of managed node groups and
/// Karpenter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedDrainingPolicy {
    /// They are left to those.
    Respect,
    /// They are treated like all others.
    Override,
}

/// The environment variables that the settings are read from.
#[must_use]
pub fn variables() -> Vec<String> {
    let names = RefCell::new(Vec::new());
    let no_value = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        None
    };
    drop(Config::read(no_value));
    names.into_inner()
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// The first variable whose value is invalid, with the value and what was expected.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the settings from a function from names to values. An empty value counts as none.
    ///
    /// # Errors
    ///
    /// As [`Config::from_env`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let read = |name| Setting { name, value: variable(name).filter(|value| !value.trim().is_empty()) };
        Ok(Self {
            strategy: read("STRATEGY").one_of(&STRATEGIES)?,
            mode: read("DRY_RUN").one_of(&[("false", Mode::Change), ("true", Mode::DryRun)])?,
            clusters: ClusterFilter::new(
                Some(read("CLUSTERS").patterns()?)
                    .filter(|names| !names.is_empty())
                    .unwrap_or_else(|| vec!["*".to_owned()]),
                read("EXCLUDE_CLUSTERS").patterns()?,
            ),
            cluster_tag: read("CLUSTER_TAG").tag_key()?,
            managed_draining: read("MANAGED_DRAINING").one_of(&[
                ("respect", ManagedDrainingPolicy::Respect),
                ("override", ManagedDrainingPolicy::Override),
            ])?,
            standalone_tasks: read("STANDALONE_TASKS")
                .one_of(&[("stop", StandaloneTasks::Stop), ("leave", StandaloneTasks::Leave)])?,
            reactivate_resumed: read("REACTIVATE_RESUMED")
                .one_of(&[("true", ResumedPolicy::Reactivate), ("false", ResumedPolicy::Leave)])?,
            clean_up_terminated: read("CLEAN_UP_TERMINATED")
                .one_of(&[("false", TerminatedPolicy::Leave), ("true", TerminatedPolicy::CleanUp)])?,
            rebalance_recommendation: read("REBALANCE_RECOMMENDATION")
                .one_of(&[("ignore", RebalancePolicy::Ignore), ("drain", RebalancePolicy::Drain)])?,
            accounts: read("ACCOUNTS").accounts()?,
            member_role: MemberRole::read(read("MEMBER_ROLE_NAME"), read("EXTERNAL_ID"))?,
            outcome_bus: read("OUTCOME_BUS").identifier()?,
            eks_clusters: ClusterFilter::new(read("EKS_CLUSTERS").patterns()?, Vec::new()),
            eks_strategy: read("EKS_STRATEGY")
                .one_of(&[("drain", EksStrategy::Drain), ("cordon", EksStrategy::Cordon)])?,
            pod_disruption_budgets: read("POD_DISRUPTION_BUDGETS")
                .one_of(&[("until-deadline", BudgetPolicy::UntilDeadline), ("respect", BudgetPolicy::Respect)])?,
            replacement: read("REPLACE_INSTANCES")
                .one_of(&[("leave", ReplacementPolicy::Leave), ("detach", ReplacementPolicy::Detach)])?,
            fargate_spot: read("FARGATE_SPOT")
                .one_of(&[("ignore", FargateSpotPolicy::Ignore), ("handle", FargateSpotPolicy::Handle)])?,
            run_again: read("RUN_AGAIN").one_of(&[
                ("never", RunAgainPolicy::Never),
                ("tagged", RunAgainPolicy::Tagged),
                ("all", RunAgainPolicy::All),
            ])?,
            run_again_on: read("RUN_AGAIN_ON")
                .one_of(&[("same", RunAgainOn::Same), ("FARGATE", RunAgainOn::Fargate)])?,
            lifecycle_hooks: LifecycleHooks::new(&read("LIFECYCLE_HOOKS").hook_names()?),
            rehearsal_reads: read("REHEARSAL_READS")
                .one_of(&[("few", RehearsalReads::Few), ("all", RehearsalReads::All)])?,
        })
    }

    /// Whether an invocation may take as long as a notice, so that a queue is served by many processes, not by two.
    pub(crate) fn is_long_running(&self) -> bool {
        let drains_nodes = !self.eks_clusters.is_empty() && self.eks_strategy == EksStrategy::Drain;
        self.strategy == Strategy::Evacuate || drains_nodes
    }

    /// The setting that has an event of an account ignored, if there is one.
    pub(crate) fn reason_to_ignore_account(&self, account: &AccountId) -> Option<&'static str> {
        let is_named = self.accounts.is_empty() || self.accounts.contains(account);
        (!is_named).then_some("ACCOUNTS does not name its account")
    }

    /// The setting that has an interruption ignored, if there is one.
    pub(crate) fn reason_to_ignore_interruption(&self, interruption: &Interruption) -> Option<&'static str> {
        let is_handled = |action: &LifecycleAction| self.lifecycle_hooks.contains(action.hook.as_str());
        match &interruption.lifecycle_action {
            Some(_) if self.lifecycle_hooks.is_empty() => Some("LIFECYCLE_HOOKS is empty"),
            Some(action) if !is_handled(action) => Some(OTHER_HOOK),
            _ => self.reason_to_ignore_kind(interruption.kind),
        }
    }

    /// The setting that has an event of a task ignored, if there is one.
    pub(crate) fn reason_to_ignore_task(&self, task: &TaskDetail) -> Option<&'static str> {
        match task.service {
            Some(_) if task.cause != Cause::FargateSpot => Some(REPLACED),
            Some(_) if task.has_stopped => Some(STOPPED),
            Some(_) if self.fargate_spot == FargateSpotPolicy::Ignore => Some("FARGATE_SPOT is ignore"),
            None if self.run_again == RunAgainPolicy::Never => Some("RUN_AGAIN is never"),
            _ => None,
        }
    }

    fn reason_to_ignore_kind(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Rebalance if self.rebalance_recommendation == RebalancePolicy::Ignore => {
                Some("REBALANCE_RECOMMENDATION is ignore")
            }
            Kind::Running if self.reactivate_resumed == ResumedPolicy::Leave => Some("REACTIVATE_RESUMED is false"),
            Kind::Terminated if self.clean_up_terminated == TerminatedPolicy::Leave => {
                Some("CLEAN_UP_TERMINATED is false")
            }
            _ => None,
        }
    }
}

impl MemberRole {
    fn read(name: Setting, external_id: Setting) -> Result<Option<Self>, InvalidSetting> {
        // "Name requirements for IAM entities" in the IAM User Guide.
        let name =
            name.matching(1..=64, "+=,.@-_", "the name of an IAM role, at most 64 of letters, digits and +=,.@-_")?;
        // STS accepts 1,224, but all variables together are limited to 4,096 bytes.
        let expected = "an external id, 2 to 128 of letters, digits and +=,.@:/-_";
        let external_id = external_id.matching(2..=128, "+=,.@:/-_", expected)?;
        Ok(name.map(|name| Self { name, external_id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidSetting> {
        Config::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_apply_to_missing_and_empty_variables() {
        for variables in [
            &[][..],
            &[("STRATEGY", ""), ("DRY_RUN", ""), ("CLUSTERS", " "), ("CLUSTER_TAG", ""), ("MANAGED_DRAINING", "")],
        ] {
            let config = read(variables).unwrap();
            assert_eq!(config.strategy, Strategy::Deregister);
            assert_eq!(config.mode, Mode::Change);
            assert_eq!(config.managed_draining, ManagedDrainingPolicy::Respect);
            assert_eq!(config.standalone_tasks, StandaloneTasks::Stop);
            assert_eq!(config.cluster_tag, None);
            assert!(config.accounts.is_empty() && config.member_role.is_none() && config.outcome_bus.is_none());
            let concerns = [Kind::Rebalance, Kind::Running, Kind::Terminated]
                .map(|kind| config.reason_to_ignore_kind(kind).is_none());
            assert_eq!(concerns, [false, true, false]);
            assert_eq!(config.clusters.plain_names(), None);
            assert!(config.eks_clusters.is_empty() && !config.clusters.is_empty());
            assert_eq!(config.eks_strategy, EksStrategy::Drain);
            assert_eq!(config.pod_disruption_budgets, BudgetPolicy::UntilDeadline);
            assert_eq!(config.replacement, ReplacementPolicy::Leave);
        }
    }

    #[test]
    fn every_setting_is_read() {
        let config = read(&[
            ("STRATEGY", "drain"),
            ("DRY_RUN", "true"),
            ("CLUSTER_TAG", "ecs:cluster"),
            ("MANAGED_DRAINING", "override"),
            ("STANDALONE_TASKS", "leave"),
            ("REACTIVATE_RESUMED", "false"),
            ("CLEAN_UP_TERMINATED", "true"),
            ("REBALANCE_RECOMMENDATION", "drain"),
            ("ACCOUNTS", "123456789012, 210987654321"),
            ("MEMBER_ROLE_NAME", "spot-member"),
            ("EXTERNAL_ID", "secret:1"),
            ("OUTCOME_BUS", "arn:aws-cn:events:cn-north-1:123456789012:event-bus/outcomes"),
        ])
        .unwrap();
        assert_eq!(config.accounts.len(), 2);
        let role = MemberRole { name: "spot-member".into(), external_id: Some("secret:1".into()) };
        assert_eq!(config.member_role, Some(role));
        assert!(config.outcome_bus.is_some());
        assert_eq!(config.standalone_tasks, StandaloneTasks::Leave);
        let concerns =
            [Kind::Rebalance, Kind::Running, Kind::Terminated].map(|kind| config.reason_to_ignore_kind(kind).is_none());
        assert_eq!(concerns, [true, false, true]);
        assert_eq!(read(&[("STRATEGY", "evacuate")]).unwrap().strategy, Strategy::Evacuate);
        assert_eq!(config.strategy, Strategy::Drain);
        assert_eq!(config.mode, Mode::DryRun);
        assert_eq!(config.cluster_tag.as_deref(), Some("ecs:cluster"));
        assert_eq!(config.managed_draining, ManagedDrainingPolicy::Override);
    }

    #[test]
    fn invalid_value_is_reported_with_variable_value_and_expectation() {
        for (name, value, expected) in [
            ("STRATEGY", "Drain", "deregister or drain or evacuate"),
            ("STRATEGY", "evict", "deregister or drain or evacuate"),
            ("STANDALONE_TASKS", "kill", "stop or leave"),
            ("REACTIVATE_RESUMED", "1", "true or false"),
            ("CLEAN_UP_TERMINATED", "TRUE", "false or true"),
            ("REBALANCE_RECOMMENDATION", "deregister", "ignore or drain"),
            ("ACCOUNTS", "123456789012,1234", "12 digits"),
            ("ACCOUNTS", ",", "12 digits"),
            ("MEMBER_ROLE_NAME", "path/role", "the name of an IAM role"),
            ("EXTERNAL_ID", "x", "an external id"),
            ("EXTERNAL_ID", "a b", "an external id"),
            ("OUTCOME_BUS", "default", "the ARN of an event bus"),
            ("OUTCOME_BUS", "arn:aws:sns:us-east-1:123456789012:topic", "the ARN of an event bus"),
            ("DRY_RUN", "yes", "false or true"),
            ("MANAGED_DRAINING", "true", "respect or override"),
            ("REPLACE_INSTANCES", "terminate", "leave or detach"),
            ("FARGATE_SPOT", "drain", "ignore or handle"),
            ("RUN_AGAIN", "always", "never or tagged or all"),
            ("RUN_AGAIN_ON", "FARGATE_SPOT", "same or FARGATE"),
            ("LIFECYCLE_HOOKS", "drain me", "comma-separated names of lifecycle hooks"),
            ("LIFECYCLE_HOOKS", &"x".repeat(151), "at most 150 characters"),
            ("EKS_STRATEGY", "evict", "drain or cordon"),
            ("POD_DISRUPTION_BUDGETS", "ignore", "until-deadline or respect"),
            ("EKS_CLUSTERS", "web,a/b", "comma-separated cluster names"),
            ("CLUSTERS", "web,a/b", "comma-separated cluster names"),
            ("CLUSTERS", "arn:aws:ecs:us-east-1:123456789012:cluster/web", "comma-separated cluster names"),
            ("CLUSTERS", " , ", "comma-separated cluster names"),
            ("EXCLUDE_CLUSTERS", "[a-z]", "comma-separated cluster names"),
            ("CLUSTER_TAG", &"k".repeat(129), "at most 128 characters"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            for part in [name, value, expected] {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
    }
}
