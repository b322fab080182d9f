//! What to do with a container instance. Pure.

use std::{fmt, time::SystemTime};

use super::{container_instance::Status, locate::Located, managed_by::ManagedBy, mark::Mark};
use crate::{
    config::{Config, ManagedDraining, Mode, Resumed, StandaloneTasks, Strategy, Verdict},
    interruption::{InstanceAction, Interruption, Kind, NOTICE},
    outcome::EndState,
};

/// What is to be done with a container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Change it.
    Make(Change),
    /// It is there already.
    Keep(EndState),
    /// Say that this is where it would end.
    Announce(EndState),
    /// Leave it alone.
    Leave(Reason),
}

/// A change to a container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Deregister it.
    Deregister,
    /// Set it to `DRAINING`, and mark it if it is to become `ACTIVE` again when its EC2 instance comes back.
    Drain(Option<Mark>),
    /// Use the time that is left to stop its tasks, then deregister it.
    Evacuate(Evacuation),
    /// Set it to `ACTIVE`, if it is not, and take the mark off.
    Reactivate,
}

/// How a container instance is evacuated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evacuation {
    /// When EC2 ends the instance.
    pub(crate) deadline: SystemTime,
    /// What happens to the tasks of no service.
    pub(crate) standalone_tasks: StandaloneTasks,
}

/// Why a container instance is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Someone else looks after it.
    ManagedBy(ManagedBy),
    /// `CLUSTERS` doesn't match its cluster.
    NotIncluded,
    /// `EXCLUDE_CLUSTERS` matches its cluster.
    Excluded,
    /// It is back, or new, and was not drained by this function before.
    NotDrainedByUs,
    /// It is back, but uses another registration.
    Stale,
    /// EC2 has started the instance again after the event: what it announced is over.
    StartedSince,
    /// Its registration failed: there is nothing to drain.
    NotRegistered,
}

/// Decides what to do with a container instance of an EC2 instance that something happens to.
pub(crate) fn plan(located: &Located, interruption: &Interruption, config: &Config) -> Action {
    if let Some(reason) = reason_to_leave(located, interruption, config) {
        return Action::Leave(reason);
    }
    let change = match (interruption.kind, config.strategy) {
        (Kind::Terminated, _) | (Kind::Notice(InstanceAction::Terminate), Strategy::Deregister) => Change::Deregister,
        (Kind::Notice(InstanceAction::Terminate), Strategy::Evacuate) => Change::Evacuate(Evacuation {
            deadline: interruption.time + NOTICE,
            standalone_tasks: config.standalone_tasks,
        }),
        (Kind::Notice(InstanceAction::Terminate), Strategy::Drain) => Change::Drain(None),
        // What stops or hibernates comes back, and the agent of a deregistered one would not register it again. What
        // may be interrupted is marked as well: a notice that comes later finds it drained.
        (Kind::Notice(InstanceAction::Stop | InstanceAction::Hibernate) | Kind::Rebalance, _) => {
            Change::Drain((config.reactivate_resumed == Resumed::Reactivate).then(|| Mark::new(interruption.time)))
        }
        (Kind::Running, _) => Change::Reactivate,
    };
    let change = match (located.container_instance.status, change) {
        (Status::RegistrationFailed, Change::Drain(_)) => return Action::Leave(Reason::NotRegistered),
        // There are no tasks yet.
        (Status::Registering | Status::RegistrationFailed, Change::Evacuate(_)) => Change::Deregister,
        _ => change,
    };
    match (config.mode, located.container_instance.status, change) {
        (Mode::DryRun, ..) => Action::Announce(change.end_state()),
        (Mode::Change, Status::Gone, _) => Action::Keep(EndState::Deregistered),
        // A mark of ours that is older would let a late event undo this draining.
        (Mode::Change, Status::Draining, Change::Drain(mark)) if mark <= located.container_instance.mark => {
            Action::Keep(EndState::Draining)
        }
        (Mode::Change, Status::Draining, Change::Drain(_)) if located.container_instance.mark.is_none() => {
            Action::Keep(EndState::Draining)
        }
        (Mode::Change, ..) => Action::Make(change),
    }
}

impl Change {
    /// Where it leads.
    pub(crate) fn end_state(self) -> EndState {
        match self {
            Self::Deregister | Self::Evacuate(_) => EndState::Deregistered,
            Self::Drain(_) => EndState::Draining,
            Self::Reactivate => EndState::Active,
        }
    }
}

fn reason_to_leave(located: &Located, interruption: &Interruption, config: &Config) -> Option<Reason> {
    let found = &located.container_instance;
    match config.clusters.verdict(&found.cluster) {
        Verdict::Included => {}
        Verdict::NotIncluded => return Some(Reason::NotIncluded),
        Verdict::Excluded => return Some(Reason::Excluded),
    }
    // An event that comes late must not undo what was drained since.
    if interruption.kind == Kind::Running && !found.mark.is_some_and(|mark| mark.is_before(interruption.time)) {
        return Some(Reason::NotDrainedByUs);
    }
    if interruption.kind == Kind::Running && located.is_stale {
        return Some(Reason::Stale);
    }
    let is_temporary =
        !matches!(interruption.kind, Kind::Notice(InstanceAction::Terminate) | Kind::Terminated | Kind::Running);
    if is_temporary && located.started_again.is_some_and(|started| started > interruption.time) {
        return Some(Reason::StartedSince);
    }
    let is_managed = |by: &&ManagedBy| match by {
        ManagedBy::ManagedInstances | ManagedBy::Operator(_) => true,
        ManagedBy::Batch => !config.clusters.name_literally(&found.cluster),
        // There is nothing left to drain of what is gone, or back.
        ManagedBy::ManagedDraining(_) => {
            config.managed_draining == ManagedDraining::Respect
                && matches!(interruption.kind, Kind::Notice(_) | Kind::Rebalance)
        }
    };
    located.managed_by.iter().find(is_managed).cloned().map(Reason::ManagedBy)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManagedBy(ManagedBy::ManagedInstances) => {
                f.write_str("ECS Managed Instances: a deregistration would terminate the instance at once")
            }
            Self::ManagedBy(ManagedBy::Operator(principal)) => {
                write!(f, "EC2 says that {principal} manages the instance")
            }
            Self::ManagedBy(ManagedBy::Batch) => f.write_str("AWS Batch: it starts interrupted jobs again by itself"),
            Self::ManagedBy(ManagedBy::ManagedDraining(provider)) => {
                write!(f, "managed draining: ECS drains the instances of capacity provider {provider} by itself")
            }
            Self::NotIncluded => f.write_str("CLUSTERS does not match the cluster"),
            Self::Excluded => f.write_str("EXCLUDE_CLUSTERS matches the cluster"),
            Self::NotRegistered => f.write_str("its registration failed: no task is placed on it"),
            Self::StartedSince => f.write_str("the instance was started again after this event"),
            Self::Stale => {
                f.write_str("its agent is not connected: the instance has another registration whose agent is")
            }
            Self::NotDrainedByUs => f.write_str("this function did not drain it before it was running"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::ecs::{capacity_provider::ProviderName, container_instance::ContainerInstance};

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    fn located(cluster: &str, status: Status, managed_by: &[ManagedBy]) -> Located {
        let arn = format!("arn:aws:ecs:us-east-1:123456789012:container-instance/{cluster}/0123456789abcdef");
        Located {
            container_instance: ContainerInstance {
                cluster: cluster.to_owned().try_into().unwrap(),
                arn: arn.try_into().unwrap(),
                instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
                status,
                is_connected: true,
                running_tasks: 3,
                pending_tasks: 0,
                capacity_provider: None,
                mark: None,
            },
            managed_by: managed_by.to_vec(),
            started_again: None,
            is_stale: false,
        }
    }

    const TERMINATE: Kind = Kind::Notice(InstanceAction::Terminate);
    const STOP: Kind = Kind::Notice(InstanceAction::Stop);
    const HIBERNATE: Kind = Kind::Notice(InstanceAction::Hibernate);

    /// An event an hour after 1970 began.
    fn event(kind: Kind) -> Interruption {
        Interruption {
            instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
            kind,
            account: "123456789012".to_owned().try_into().unwrap(),
            region: "us-east-1".to_owned().try_into().unwrap(),
            time: at(60),
        }
    }

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_mins(minutes)
    }

    #[test]
    fn the_change_depends_on_strategy_event_and_status_alone() {
        use Change::{Deregister, Drain, Evacuate};
        use EndState::{Deregistered, Draining};
        use Status::{Active, Gone};
        let marked = Drain(Some(Mark::new(at(60))));
        let evacuation = Evacuation { deadline: at(62), standalone_tasks: StandaloneTasks::Stop };
        for (strategy, kind, status, expected) in [
            ("deregister", TERMINATE, Active, Action::Make(Deregister)),
            ("deregister", TERMINATE, Status::Draining, Action::Make(Deregister)),
            ("deregister", TERMINATE, Gone, Action::Keep(Deregistered)),
            ("deregister", STOP, Active, Action::Make(marked)),
            ("deregister", STOP, Status::Draining, Action::Keep(Draining)),
            ("deregister", HIBERNATE, Active, Action::Make(marked)),
            ("deregister", HIBERNATE, Gone, Action::Keep(Deregistered)),
            ("deregister", Kind::Rebalance, Active, Action::Make(marked)),
            ("drain", TERMINATE, Active, Action::Make(Drain(None))),
            ("drain", TERMINATE, Status::Draining, Action::Keep(Draining)),
            ("drain", TERMINATE, Gone, Action::Keep(Deregistered)),
            ("drain", Kind::Terminated, Active, Action::Make(Deregister)),
            ("evacuate", TERMINATE, Active, Action::Make(Evacuate(evacuation))),
            ("evacuate", TERMINATE, Status::Draining, Action::Make(Evacuate(evacuation))),
            ("evacuate", TERMINATE, Gone, Action::Keep(Deregistered)),
            ("evacuate", STOP, Active, Action::Make(marked)),
            ("evacuate", Kind::Rebalance, Active, Action::Make(marked)),
            ("evacuate", Kind::Rebalance, Status::Draining, Action::Keep(Draining)),
            ("evacuate", Kind::Terminated, Status::Draining, Action::Make(Deregister)),
        ] {
            let planned = plan(&located("web", status, &[]), &event(kind), &config(&[("STRATEGY", strategy)]));
            assert_eq!(planned, expected, "{strategy} {kind} {status:?}");
        }
    }

    #[test]
    fn only_what_this_function_drained_before_becomes_active_again() {
        for (mark, status, expected) in [
            (None, Status::Draining, Action::Leave(Reason::NotDrainedByUs)),
            (None, Status::Active, Action::Leave(Reason::NotDrainedByUs)),
            (Some(at(58)), Status::Draining, Action::Make(Change::Reactivate)),
            (Some(at(58)), Status::Active, Action::Make(Change::Reactivate)),
            (Some(at(58)), Status::Gone, Action::Keep(EndState::Deregistered)),
            (Some(at(61)), Status::Draining, Action::Leave(Reason::NotDrainedByUs)),
        ] {
            let mut located =
                located("web", status, &[ManagedBy::ManagedDraining(ProviderName::from_name_or_arn("spot"))]);
            located.container_instance.mark = mark.map(Mark::new);
            let planned = plan(&located, &event(Kind::Running), &config(&[]));
            assert_eq!(planned, expected, "{mark:?} {status:?}");
        }
    }

    #[test]
    fn only_what_comes_back_is_left_alone_as_stale() {
        for (kind, mark, expected) in [
            (Kind::Running, 58, Action::Leave(Reason::Stale)),
            (Kind::Running, 61, Action::Leave(Reason::NotDrainedByUs)),
            (TERMINATE, 58, Action::Make(Change::Deregister)),
        ] {
            let mut located = located("web", Status::Draining, &[]);
            located.container_instance.mark = Some(Mark::new(at(mark)));
            located.is_stale = true;
            assert_eq!(plan(&located, &event(kind), &config(&[])), expected, "{kind} {mark}");
        }
    }

    #[test]
    fn what_was_announced_before_the_instance_was_started_is_over() {
        for (kind, started, expected) in [
            (STOP, 59, Action::Make(Change::Drain(Some(Mark::new(at(60)))))),
            (STOP, 61, Action::Leave(Reason::StartedSince)),
            (HIBERNATE, 61, Action::Leave(Reason::StartedSince)),
            (Kind::Rebalance, 61, Action::Leave(Reason::StartedSince)),
            (TERMINATE, 61, Action::Make(Change::Deregister)),
            (Kind::Terminated, 61, Action::Make(Change::Deregister)),
        ] {
            let mut located = located("web", Status::Active, &[]);
            located.started_again = Some(at(started));
            assert_eq!(plan(&located, &event(kind), &config(&[])), expected, "{kind} {started}");
        }
    }

    #[test]
    fn an_older_mark_is_renewed() {
        for (mark, expected) in [
            (Some(59), Action::Make(Change::Drain(Some(Mark::new(at(60)))))),
            (Some(60), Action::Keep(EndState::Draining)),
            (Some(61), Action::Keep(EndState::Draining)),
            (None, Action::Keep(EndState::Draining)),
        ] {
            let mut located = located("web", Status::Draining, &[]);
            located.container_instance.mark = mark.map(|minutes| Mark::new(at(minutes)));
            assert_eq!(plan(&located, &event(STOP), &config(&[])), expected, "{mark:?}");
        }
    }

    #[test]
    fn nothing_is_marked_that_would_not_be_reactivated() {
        let planned =
            plan(&located("web", Status::Active, &[]), &event(STOP), &config(&[("REACTIVATE_RESUMED", "false")]));
        assert_eq!(planned, Action::Make(Change::Drain(None)));
    }

    /// A cluster, who else manages its instances, the settings, and why it is left alone.
    type Case<'a> = (&'a str, &'a [ManagedBy], &'a [(&'a str, &'a str)], Option<Reason>);

    #[test]
    fn who_is_left_alone() {
        let managed = ManagedBy::ManagedDraining(ProviderName::from_name_or_arn("spot"));
        let batch = "x_Batch_1";
        let cases: &[Case] = &[
            ("web", std::slice::from_ref(&managed), &[], Some(Reason::ManagedBy(managed.clone()))),
            ("web", std::slice::from_ref(&managed), &[("MANAGED_DRAINING", "override")], None),
            (
                "web",
                &[ManagedBy::ManagedInstances],
                &[("MANAGED_DRAINING", "override"), ("CLUSTERS", "web")],
                Some(Reason::ManagedBy(ManagedBy::ManagedInstances)),
            ),
            (batch, &[ManagedBy::Batch], &[], Some(Reason::ManagedBy(ManagedBy::Batch))),
            (batch, &[ManagedBy::Batch], &[("CLUSTERS", "*_Batch_*")], Some(Reason::ManagedBy(ManagedBy::Batch))),
            (batch, &[ManagedBy::Batch], &[("CLUSTERS", "web,x_Batch_1")], None),
            (
                batch,
                &[ManagedBy::Batch, managed.clone()],
                &[("CLUSTERS", batch)],
                Some(Reason::ManagedBy(managed.clone())),
            ),
            ("web", &[], &[("CLUSTERS", "api,prod-*")], Some(Reason::NotIncluded)),
            ("web", &[], &[("EXCLUDE_CLUSTERS", "w*")], Some(Reason::Excluded)),
            ("web", &[], &[("CLUSTERS", "web"), ("EXCLUDE_CLUSTERS", "web")], Some(Reason::Excluded)),
        ];
        for (cluster, managed_by, variables, reason) in cases {
            for status in [Status::Active, Status::Draining] {
                let planned = plan(&located(cluster, status, managed_by), &event(TERMINATE), &config(variables));
                let expected = reason.clone().map_or(Action::Make(Change::Deregister), Action::Leave);
                assert_eq!(planned, expected, "{cluster} {managed_by:?} {variables:?}");
            }
        }
    }

    #[test]
    fn each_reason_names_what_to_look_at() {
        for (reason, named) in [
            (Reason::ManagedBy(ManagedBy::ManagedInstances), "Managed Instances"),
            (Reason::ManagedBy(ManagedBy::Batch), "AWS Batch"),
            (Reason::ManagedBy(ManagedBy::ManagedDraining(ProviderName::from_name_or_arn("spot-cp"))), "spot-cp"),
            (Reason::NotIncluded, "CLUSTERS"),
            (Reason::Excluded, "EXCLUDE_CLUSTERS"),
            (Reason::NotDrainedByUs, "did not drain"),
            (Reason::Stale, "agent is not connected"),
            (Reason::StartedSince, "started again after"),
        ] {
            assert!(reason.to_string().contains(named), "{reason}");
        }
    }

    fn manager() -> impl proptest::strategy::Strategy<Value = ManagedBy> {
        prop_oneof![
            Just(ManagedBy::ManagedInstances),
            Just(ManagedBy::Batch),
            Just(ManagedBy::ManagedDraining(ProviderName::from_name_or_arn("spot")))
        ]
    }

    proptest! {
        #[test]
        fn a_dry_run_changes_nothing_and_a_second_plan_finds_nothing_to_do(
            strategy in prop::sample::select(vec!["deregister", "drain", "evacuate"]),
            dry_run in prop::sample::select(vec!["true", "false"]),
            managed_draining in prop::sample::select(vec!["respect", "override"]),
            resumed in prop::sample::select(vec!["true", "false"]),
            clusters in prop::sample::select(vec!["*", "web", "x_Batch_1", "w*", "api"]),
            cluster in prop::sample::select(vec!["web", "x_Batch_1"]),
            kind in prop::sample::select(vec![TERMINATE, STOP, HIBERNATE, Kind::Rebalance, Kind::Running, Kind::Terminated]),
            status in prop::sample::select(vec![Status::Active, Status::Draining, Status::Gone]),
            mark in prop::option::of(0..120_u64),
            managed_by in prop::collection::vec(manager(), 0..3),
        ) {
            let config = config(&[
                ("STRATEGY", strategy), ("DRY_RUN", dry_run), ("MANAGED_DRAINING", managed_draining), ("CLUSTERS", clusters),
                ("REACTIVATE_RESUMED", resumed),
            ]);
            let mut located = located(cluster, status, &managed_by);
            located.container_instance.mark = mark.map(|minutes| Mark::new(at(minutes)));
            let planned = plan(&located, &event(kind), &config);
            if let Action::Make(change) = planned {
                prop_assert_eq!(dry_run, "false");
                prop_assert!(!managed_by.contains(&ManagedBy::ManagedInstances));
                let found = &mut located.container_instance;
                match change.end_state() {
                    EndState::Deregistered => {
                        prop_assert!(matches!(kind, TERMINATE | Kind::Terminated));
                        found.status = Status::Gone;
                    }
                    EndState::Draining => {
                        prop_assert!(!matches!(kind, Kind::Running | Kind::Terminated));
                        found.status = Status::Draining;
                        if let Change::Drain(Some(mark)) = change {
                            found.mark = Some(mark);
                        }
                    }
                    EndState::Active => {
                        prop_assert!(kind == Kind::Running && found.mark.is_some());
                        (found.status, found.mark) = (Status::Active, None);
                    }
                }
                let again = plan(&located, &event(kind), &config);
                prop_assert!(matches!(again, Action::Keep(_) | Action::Leave(Reason::NotDrainedByUs)), "{again:?}");
            }
        }
    }
}
