//! Plans what to do with a container instance. Pure.

use std::{fmt, time::SystemTime};

use super::{container_instance::Status, locate::Located, managed_by::ManagedBy};
use crate::{
    config::{
        Config, ManagedDrainingPolicy, Mode, ResumedPolicy, RunAgainOn, RunAgainPolicy, StandaloneTasks, Strategy,
        Verdict,
    },
    interruption::{InstanceAction, Interruption, Kind},
    mark::Mark,
    outcome::EndState,
};

/// What to do with a container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Apply(Change),
    /// Nothing: it is in this state already.
    AlreadyDone(EndState),
    /// Nothing but report the state that it would reach.
    DryRun(EndState),
    /// Nothing: it is left alone for this reason.
    Skip(Reason),
}

/// A change to a container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Deregister,
    /// Set it to `DRAINING`, and mark it if it is to become `ACTIVE` again when its EC2 instance comes back.
    Drain(Option<Mark>),
    /// Use the time that is left to stop its tasks, then deregister it.
    Evacuate(Evacuation),
    /// Set it to `ACTIVE`, and take the mark off.
    Reactivate,
}

/// How a container instance is evacuated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evacuation {
    /// When EC2 ends the instance.
    pub(crate) deadline: SystemTime,
    /// What happens to standalone tasks.
    pub(crate) standalone_tasks: StandaloneTasks,
    /// Which of them are started again, and where.
    pub(crate) run_again: RunAgainPolicy,
    pub(crate) run_again_on: RunAgainOn,
}

impl Evacuation {
    fn new(deadline: SystemTime, config: &Config) -> Self {
        let Config { standalone_tasks, run_again, run_again_on, .. } = *config;
        Self { deadline, standalone_tasks, run_again, run_again_on }
    }
}

/// Why a container instance is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Someone else manages it.
    ManagedBy(ManagedBy),
    /// `CLUSTERS` doesn't match its cluster.
    NotIncluded,
    /// `EXCLUDE_CLUSTERS` matches its cluster.
    Excluded,
    /// The instance is running, but this function had not drained it before.
    NotDrainedByUs,
    /// The instance is running, but uses another registration.
    Stale,
    /// EC2 has started the instance again after the event, which is thus obsolete.
    RestartedSince,
    /// Its registration failed: there is nothing to drain.
    NotRegistered,
}

/// Decides what to do with a container instance of an EC2 instance.
pub(crate) fn plan(located: &Located, interruption: &Interruption, config: &Config) -> Action {
    if let Some(reason) = reason_to_skip(located, interruption, config) {
        return Action::Skip(reason);
    }
    let evacuate = Change::Evacuate(Evacuation::new(interruption.end(), config));
    let change = match (interruption.kind, config.strategy) {
        (Kind::Terminated, _) | (Kind::Notice(InstanceAction::Terminate), Strategy::Deregister) => Change::Deregister,
        (Kind::Notice(InstanceAction::Terminate), Strategy::Evacuate) => evacuate,
        (Kind::LifecycleAction, Strategy::Evacuate) if interruption.deadline().is_some() => evacuate,
        (Kind::Notice(InstanceAction::Terminate), Strategy::Drain) | (Kind::LifecycleAction, _) => Change::Drain(None),
        // An instance that is stopped or hibernated comes back, and its agent would not register a deregistered
        // container instance again. After a rebalance recommendation it is marked as well, since a later notice finds
        // it `DRAINING` already.
        (Kind::Notice(InstanceAction::Stop | InstanceAction::Hibernate) | Kind::Rebalance, _) => Change::Drain(
            (config.reactivate_resumed == ResumedPolicy::Reactivate).then(|| Mark::new(interruption.time)),
        ),
        (Kind::Running, _) => Change::Reactivate,
    };
    let change = match (located.container_instance.status, change) {
        (Status::RegistrationFailed, Change::Drain(_)) => return Action::Skip(Reason::NotRegistered),
        // It has no tasks yet.
        (Status::Registering | Status::RegistrationFailed, Change::Evacuate(_)) => Change::Deregister,
        _ => change,
    };
    match (config.mode, located.container_instance.status, change) {
        (Mode::DryRun, ..) => Action::DryRun(change.end_state()),
        (Mode::Change, Status::Gone, _) => Action::AlreadyDone(EndState::Deregistered),
        // An older mark would let a late event undo this draining.
        (Mode::Change, Status::Draining, Change::Drain(mark)) if mark <= located.container_instance.mark => {
            Action::AlreadyDone(EndState::Draining)
        }
        (Mode::Change, Status::Draining, Change::Drain(_)) if located.container_instance.mark.is_none() => {
            Action::AlreadyDone(EndState::Draining)
        }
        (Mode::Change, ..) => Action::Apply(change),
    }
}

impl Action {
    /// Whether the container instance is, or will be, in the state that it should be in.
    pub(crate) fn is_effective(&self) -> bool {
        matches!(self, Self::Apply(_) | Self::AlreadyDone(_))
    }
}

impl Change {
    /// The state that the change leads to.
    pub(crate) fn end_state(self) -> EndState {
        match self {
            Self::Deregister | Self::Evacuate(_) => EndState::Deregistered,
            Self::Drain(_) => EndState::Draining,
            Self::Reactivate => EndState::Active,
        }
    }
}

fn reason_to_skip(located: &Located, interruption: &Interruption, config: &Config) -> Option<Reason> {
    let found = &located.container_instance;
    match config.clusters.verdict(&found.cluster) {
        Verdict::Included => {}
        Verdict::NotIncluded => return Some(Reason::NotIncluded),
        Verdict::Excluded => return Some(Reason::Excluded),
    }
    // A late event must not undo a later draining.
    if interruption.kind == Kind::Running && !found.mark.is_some_and(|mark| mark.is_before(interruption.time)) {
        return Some(Reason::NotDrainedByUs);
    }
    if interruption.kind == Kind::Running && located.is_stale {
        return Some(Reason::Stale);
    }
    let is_temporary = !matches!(
        interruption.kind,
        Kind::Notice(InstanceAction::Terminate) | Kind::Terminated | Kind::Running | Kind::LifecycleAction
    );
    if is_temporary && located.restarted_at.is_some_and(|started| started > interruption.time) {
        return Some(Reason::RestartedSince);
    }
    let is_managed = |by: &&ManagedBy| match by {
        ManagedBy::ManagedInstances | ManagedBy::Operator(_) => true,
        ManagedBy::Batch => !config.clusters.names_literally(&found.cluster),
        // An instance that is terminated or running again is not being drained by ECS.
        ManagedBy::ManagedDraining(_) => {
            config.managed_draining == ManagedDrainingPolicy::Respect
                && matches!(interruption.kind, Kind::Notice(_) | Kind::Rebalance | Kind::LifecycleAction)
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
            Self::ManagedBy(ManagedBy::Batch) => f.write_str("AWS Batch: it retries interrupted jobs by itself"),
            Self::ManagedBy(ManagedBy::ManagedDraining(provider)) => {
                write!(f, "managed draining: ECS drains the instances of capacity provider {provider} by itself")
            }
            Self::NotIncluded => f.write_str("CLUSTERS does not match the cluster"),
            Self::Excluded => f.write_str("EXCLUDE_CLUSTERS matches the cluster"),
            Self::NotRegistered => f.write_str("its registration failed: no task is placed on it"),
            Self::RestartedSince => f.write_str("the instance was started again after this event"),
            Self::Stale => {
                f.write_str("its agent is not connected, unlike that of another registration of the instance")
            }
            Self::NotDrainedByUs => f.write_str("this function did not drain it before the instance was running"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::ecs::{
        capacity_provider::CapacityProviderName, container_instance::ContainerInstance, locate::way::Way,
    };

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
            restarted_at: None,
            is_stale: false,
            way: Way::Scan,
        }
    }

    const TERMINATE: Kind = Kind::Notice(InstanceAction::Terminate);
    const STOP: Kind = Kind::Notice(InstanceAction::Stop);
    const HIBERNATE: Kind = Kind::Notice(InstanceAction::Hibernate);

    /// An event at one hour after the epoch.
    fn event(kind: Kind) -> Interruption {
        Interruption {
            instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
            kind,
            account: "123456789012".to_owned().try_into().unwrap(),
            region: "us-east-1".to_owned().try_into().unwrap(),
            time: at(60),
            announced_end: None,
            lifecycle_action: None,
        }
    }

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_mins(minutes)
    }

    #[test]
    fn change_depends_on_strategy_event_and_status() {
        use Change::{Deregister, Drain, Evacuate};
        use EndState::{Deregistered, Draining};
        use Status::{Active, Gone};
        let marked = Drain(Some(Mark::new(at(60))));
        let evacuation = Evacuation::new(at(62), &config(&[]));
        for (strategy, kind, status, expected) in [
            ("deregister", TERMINATE, Active, Action::Apply(Deregister)),
            ("deregister", TERMINATE, Status::Draining, Action::Apply(Deregister)),
            ("deregister", TERMINATE, Gone, Action::AlreadyDone(Deregistered)),
            ("deregister", STOP, Active, Action::Apply(marked)),
            ("deregister", STOP, Status::Draining, Action::AlreadyDone(Draining)),
            ("deregister", HIBERNATE, Active, Action::Apply(marked)),
            ("deregister", HIBERNATE, Gone, Action::AlreadyDone(Deregistered)),
            ("deregister", Kind::Rebalance, Active, Action::Apply(marked)),
            ("drain", TERMINATE, Active, Action::Apply(Drain(None))),
            ("drain", TERMINATE, Status::Draining, Action::AlreadyDone(Draining)),
            ("drain", TERMINATE, Gone, Action::AlreadyDone(Deregistered)),
            ("drain", Kind::Terminated, Active, Action::Apply(Deregister)),
            ("evacuate", TERMINATE, Active, Action::Apply(Evacuate(evacuation))),
            ("evacuate", TERMINATE, Status::Draining, Action::Apply(Evacuate(evacuation))),
            ("evacuate", TERMINATE, Gone, Action::AlreadyDone(Deregistered)),
            ("evacuate", STOP, Active, Action::Apply(marked)),
            ("evacuate", Kind::Rebalance, Active, Action::Apply(marked)),
            ("evacuate", Kind::Rebalance, Status::Draining, Action::AlreadyDone(Draining)),
            ("evacuate", Kind::Terminated, Status::Draining, Action::Apply(Deregister)),
        ] {
            let planned = plan(&located("web", status, &[]), &event(kind), &config(&[("STRATEGY", strategy)]));
            assert_eq!(planned, expected, "{strategy} {kind} {status:?}");
        }
    }

    #[test]
    fn only_marked_container_instances_are_reactivated() {
        for (mark, status, expected) in [
            (None, Status::Draining, Action::Skip(Reason::NotDrainedByUs)),
            (None, Status::Active, Action::Skip(Reason::NotDrainedByUs)),
            (Some(at(58)), Status::Draining, Action::Apply(Change::Reactivate)),
            (Some(at(58)), Status::Active, Action::Apply(Change::Reactivate)),
            (Some(at(58)), Status::Gone, Action::AlreadyDone(EndState::Deregistered)),
            (Some(at(61)), Status::Draining, Action::Skip(Reason::NotDrainedByUs)),
        ] {
            let mut located =
                located("web", status, &[ManagedBy::ManagedDraining(CapacityProviderName::from_name_or_arn("spot"))]);
            located.container_instance.mark = mark.map(Mark::new);
            let planned = plan(&located, &event(Kind::Running), &config(&[]));
            assert_eq!(planned, expected, "{mark:?} {status:?}");
        }
    }

    #[test]
    fn stale_registration_is_skipped_only_when_the_instance_is_running() {
        for (kind, mark, expected) in [
            (Kind::Running, 58, Action::Skip(Reason::Stale)),
            (Kind::Running, 61, Action::Skip(Reason::NotDrainedByUs)),
            (TERMINATE, 58, Action::Apply(Change::Deregister)),
        ] {
            let mut located = located("web", Status::Draining, &[]);
            located.container_instance.mark = Some(Mark::new(at(mark)));
            located.is_stale = true;
            assert_eq!(plan(&located, &event(kind), &config(&[])), expected, "{kind} {mark}");
        }
    }

    #[test]
    fn event_before_a_restart_is_obsolete() {
        for (kind, started, expected) in [
            (STOP, 59, Action::Apply(Change::Drain(Some(Mark::new(at(60)))))),
            (STOP, 61, Action::Skip(Reason::RestartedSince)),
            (HIBERNATE, 61, Action::Skip(Reason::RestartedSince)),
            (Kind::Rebalance, 61, Action::Skip(Reason::RestartedSince)),
            (TERMINATE, 61, Action::Apply(Change::Deregister)),
            (Kind::Terminated, 61, Action::Apply(Change::Deregister)),
        ] {
            let mut located = located("web", Status::Active, &[]);
            located.restarted_at = Some(at(started));
            assert_eq!(plan(&located, &event(kind), &config(&[])), expected, "{kind} {started}");
        }
    }

    #[test]
    fn older_mark_is_renewed() {
        for (mark, expected) in [
            (Some(59), Action::Apply(Change::Drain(Some(Mark::new(at(60)))))),
            (Some(60), Action::AlreadyDone(EndState::Draining)),
            (Some(61), Action::AlreadyDone(EndState::Draining)),
            (None, Action::AlreadyDone(EndState::Draining)),
        ] {
            let mut located = located("web", Status::Draining, &[]);
            located.container_instance.mark = mark.map(|minutes| Mark::new(at(minutes)));
            assert_eq!(plan(&located, &event(STOP), &config(&[])), expected, "{mark:?}");
        }
    }

    #[test]
    fn nothing_is_marked_if_reactivation_is_off() {
        let planned =
            plan(&located("web", Status::Active, &[]), &event(STOP), &config(&[("REACTIVATE_RESUMED", "false")]));
        assert_eq!(planned, Action::Apply(Change::Drain(None)));
    }

    /// A cluster, who else manages its instances, the settings, and the reason why it is left alone.
    type Case<'a> = (&'a str, &'a [ManagedBy], &'a [(&'a str, &'a str)], Option<Reason>);

    #[test]
    fn managed_and_excluded_container_instances_are_skipped() {
        let managed = ManagedBy::ManagedDraining(CapacityProviderName::from_name_or_arn("spot"));
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
                let expected = reason.clone().map_or(Action::Apply(Change::Deregister), Action::Skip);
                assert_eq!(planned, expected, "{cluster} {managed_by:?} {variables:?}");
            }
        }
    }

    #[test]
    fn each_reason_names_its_cause() {
        for (reason, named) in [
            (Reason::ManagedBy(ManagedBy::ManagedInstances), "Managed Instances"),
            (Reason::ManagedBy(ManagedBy::Batch), "AWS Batch"),
            (
                Reason::ManagedBy(ManagedBy::ManagedDraining(CapacityProviderName::from_name_or_arn("spot-cp"))),
                "spot-cp",
            ),
            (Reason::NotIncluded, "CLUSTERS"),
            (Reason::Excluded, "EXCLUDE_CLUSTERS"),
            (Reason::NotDrainedByUs, "did not drain"),
            (Reason::Stale, "agent is not connected"),
            (Reason::RestartedSince, "started again after"),
        ] {
            assert!(reason.to_string().contains(named), "{reason}");
        }
    }

    fn manager() -> impl proptest::strategy::Strategy<Value = ManagedBy> {
        prop_oneof![
            Just(ManagedBy::ManagedInstances),
            Just(ManagedBy::Batch),
            Just(ManagedBy::ManagedDraining(CapacityProviderName::from_name_or_arn("spot")))
        ]
    }

    proptest! {
        #[test]
        fn dry_run_changes_nothing_and_a_second_plan_is_empty(
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
            if let Action::Apply(change) = planned {
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
                prop_assert!(matches!(again, Action::AlreadyDone(_) | Action::Skip(Reason::NotDrainedByUs)), "{again:?}");
            }
        }
    }
}
