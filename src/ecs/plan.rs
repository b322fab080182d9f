//! What to do with a container instance. Pure.

use std::fmt;

use super::{
    Status,
    locate::{Keeper, Located},
};
use crate::{
    config::{Config, ManagedDraining, Mode, Strategy, Verdict},
    interruption::InstanceAction,
};

/// What is to be done with a container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring it there.
    Reach(EndState),
    /// It is there already.
    Keep(EndState),
    /// Say that this is where it would end.
    Announce(EndState),
    /// Leave it alone.
    Leave(Reason),
}

/// How an interrupted instance's container instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndState {
    /// No longer registered.
    Deregistered,
    /// `DRAINING`
    Draining,
}

/// Why a container instance is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Someone else looks after it.
    Kept(Keeper),
    /// `CLUSTERS` doesn't match its cluster.
    NotIncluded,
    /// `EXCLUDE_CLUSTERS` matches its cluster.
    Excluded,
}

/// Decides what to do with a container instance whose EC2 instance is interrupted.
#[must_use]
pub fn plan(located: &Located, action: InstanceAction, config: &Config) -> Action {
    if let Some(reason) = reason_to_leave(located, config) {
        return Action::Leave(reason);
    }
    let end_state = match (action, config.strategy) {
        (InstanceAction::Terminate, Strategy::Deregister) => EndState::Deregistered,
        // What stops or hibernates comes back, and the agent of a deregistered one would not register it again.
        (InstanceAction::Terminate, Strategy::Drain) | (InstanceAction::Stop | InstanceAction::Hibernate, _) => {
            EndState::Draining
        }
    };
    match (config.mode, located.container_instance.status, end_state) {
        (Mode::DryRun, ..) => Action::Announce(end_state),
        (Mode::Change, Status::Gone, _) => Action::Keep(EndState::Deregistered),
        (Mode::Change, Status::Draining, EndState::Draining) => Action::Keep(EndState::Draining),
        (Mode::Change, ..) => Action::Reach(end_state),
    }
}

fn reason_to_leave(located: &Located, config: &Config) -> Option<Reason> {
    let cluster = &located.container_instance.cluster;
    match config.clusters.verdict(cluster) {
        Verdict::Included => {}
        Verdict::NotIncluded => return Some(Reason::NotIncluded),
        Verdict::Excluded => return Some(Reason::Excluded),
    }
    let is_kept = |keeper: &&Keeper| match keeper {
        Keeper::ManagedInstances => true,
        Keeper::Batch => !config.clusters.name_literally(cluster),
        Keeper::ManagedDraining(_) => config.managed_draining == ManagedDraining::Respect,
    };
    located.keepers.iter().find(is_kept).cloned().map(Reason::Kept)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(Keeper::ManagedInstances) => {
                f.write_str("ECS Managed Instances: a deregistration would terminate the instance at once")
            }
            Self::Kept(Keeper::Batch) => f.write_str("AWS Batch: it starts interrupted jobs again by itself"),
            Self::Kept(Keeper::ManagedDraining(provider)) => {
                write!(f, "managed draining: ECS drains the instances of capacity provider {provider} by itself")
            }
            Self::NotIncluded => f.write_str("CLUSTERS does not match the cluster"),
            Self::Excluded => f.write_str("EXCLUDE_CLUSTERS matches the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ecs::ContainerInstance;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    fn located(cluster: &str, status: Status, keepers: &[Keeper]) -> Located {
        let arn = format!("arn:aws:ecs:us-east-1:123456789012:container-instance/{cluster}/0123456789abcdef");
        Located {
            container_instance: ContainerInstance {
                cluster: cluster.to_owned().try_into().unwrap(),
                arn: arn.try_into().unwrap(),
                instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
                status,
                running_tasks: 3,
                capacity_provider: None,
            },
            keepers: keepers.to_vec(),
        }
    }

    #[test]
    fn the_end_state_depends_on_strategy_and_action_alone() {
        use EndState::{Deregistered, Draining};
        use InstanceAction::{Hibernate, Stop, Terminate};
        for (strategy, action, status, expected) in [
            ("deregister", Terminate, Status::Active, Action::Reach(Deregistered)),
            ("deregister", Terminate, Status::Draining, Action::Reach(Deregistered)),
            ("deregister", Terminate, Status::Gone, Action::Keep(Deregistered)),
            ("deregister", Stop, Status::Active, Action::Reach(Draining)),
            ("deregister", Stop, Status::Draining, Action::Keep(Draining)),
            ("deregister", Hibernate, Status::Active, Action::Reach(Draining)),
            ("deregister", Hibernate, Status::Gone, Action::Keep(Deregistered)),
            ("drain", Terminate, Status::Active, Action::Reach(Draining)),
            ("drain", Terminate, Status::Draining, Action::Keep(Draining)),
            ("drain", Terminate, Status::Gone, Action::Keep(Deregistered)),
        ] {
            let planned = plan(&located("web", status, &[]), action, &config(&[("STRATEGY", strategy)]));
            assert_eq!(planned, expected, "{strategy} {action} {status:?}");
        }
    }

    /// A cluster, its keepers, the settings, and why it is left alone.
    type Case<'a> = (&'a str, &'a [Keeper], &'a [(&'a str, &'a str)], Option<Reason>);

    #[test]
    fn who_is_left_alone() {
        let managed = Keeper::ManagedDraining("spot".into());
        let batch = "x_Batch_1";
        let cases: &[Case] = &[
            ("web", std::slice::from_ref(&managed), &[], Some(Reason::Kept(managed.clone()))),
            ("web", std::slice::from_ref(&managed), &[("MANAGED_DRAINING", "override")], None),
            (
                "web",
                &[Keeper::ManagedInstances],
                &[("MANAGED_DRAINING", "override"), ("CLUSTERS", "web")],
                Some(Reason::Kept(Keeper::ManagedInstances)),
            ),
            (batch, &[Keeper::Batch], &[], Some(Reason::Kept(Keeper::Batch))),
            (batch, &[Keeper::Batch], &[("CLUSTERS", "*_Batch_*")], Some(Reason::Kept(Keeper::Batch))),
            (batch, &[Keeper::Batch], &[("CLUSTERS", "web,x_Batch_1")], None),
            (batch, &[Keeper::Batch, managed.clone()], &[("CLUSTERS", batch)], Some(Reason::Kept(managed.clone()))),
            ("web", &[], &[("CLUSTERS", "api,prod-*")], Some(Reason::NotIncluded)),
            ("web", &[], &[("EXCLUDE_CLUSTERS", "w*")], Some(Reason::Excluded)),
            ("web", &[], &[("CLUSTERS", "web"), ("EXCLUDE_CLUSTERS", "web")], Some(Reason::Excluded)),
        ];
        for (cluster, keepers, variables, reason) in cases {
            for status in [Status::Active, Status::Draining] {
                let planned = plan(&located(cluster, status, keepers), InstanceAction::Terminate, &config(variables));
                let expected = reason.clone().map_or(Action::Reach(EndState::Deregistered), Action::Leave);
                assert_eq!(planned, expected, "{cluster} {keepers:?} {variables:?}");
            }
        }
    }

    #[test]
    fn each_reason_names_what_to_look_at() {
        for (reason, named) in [
            (Reason::Kept(Keeper::ManagedInstances), "Managed Instances"),
            (Reason::Kept(Keeper::Batch), "AWS Batch"),
            (Reason::Kept(Keeper::ManagedDraining("spot-cp".into())), "spot-cp"),
            (Reason::NotIncluded, "CLUSTERS"),
            (Reason::Excluded, "EXCLUDE_CLUSTERS"),
        ] {
            assert!(reason.to_string().contains(named), "{reason}");
        }
    }

    fn keeper() -> impl proptest::strategy::Strategy<Value = Keeper> {
        prop_oneof![Just(Keeper::ManagedInstances), Just(Keeper::Batch), Just(Keeper::ManagedDraining("spot".into()))]
    }

    proptest! {
        #[test]
        fn a_dry_run_changes_nothing_and_a_second_plan_finds_nothing_to_do(
            strategy in prop::sample::select(vec!["deregister", "drain"]),
            dry_run in prop::sample::select(vec!["true", "false"]),
            managed_draining in prop::sample::select(vec!["respect", "override"]),
            clusters in prop::sample::select(vec!["*", "web", "x_Batch_1", "w*", "api"]),
            cluster in prop::sample::select(vec!["web", "x_Batch_1"]),
            action in prop::sample::select(vec![InstanceAction::Terminate, InstanceAction::Stop, InstanceAction::Hibernate]),
            status in prop::sample::select(vec![Status::Active, Status::Draining, Status::Gone]),
            keepers in prop::collection::vec(keeper(), 0..3),
        ) {
            let config = config(&[
                ("STRATEGY", strategy), ("DRY_RUN", dry_run), ("MANAGED_DRAINING", managed_draining), ("CLUSTERS", clusters),
            ]);
            let mut located = located(cluster, status, &keepers);
            let planned = plan(&located, action, &config);
            if let Action::Reach(end_state) = planned {
                prop_assert_eq!(dry_run, "false");
                prop_assert!(!keepers.contains(&Keeper::ManagedInstances));
                prop_assert!(action == InstanceAction::Terminate || end_state == EndState::Draining);
                located.container_instance.status = match end_state {
                    EndState::Deregistered => Status::Gone,
                    EndState::Draining => Status::Draining,
                };
                prop_assert_eq!(plan(&located, action, &config), Action::Keep(end_state));
            }
        }
    }
}
