//! Changes container instances: the only place that does.

mod attributes;
mod deregister;
mod drain;
mod evacuate;
mod set_state;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream};

use super::{
    ClusterName, ContainerInstance, Status,
    locate::describe,
    plan::{Action, Change, EndState, Reason},
};
use crate::{
    aws::{Calls, Regional},
    error::{Class, Error},
};

/// How many changes are under way at the same time: at 0.2 s each, twice as many as the quota of 40 a second asks for.
const WIDTH: usize = 16;

/// How long to wait before each further look at a container instance whose change was refused: what was written just
/// before may not show at once.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];

/// What became of a container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was brought there.
    Reached(EndState),
    /// It was there already.
    Kept(EndState),
    /// This is where it would have ended.
    Announced(EndState),
    /// It was left alone.
    Left(Reason),
    /// It was deregistered when its tasks had gone, or its time was up.
    Evacuated {
        /// How many tasks were asked to stop, since draining alone did not stop them in time.
        stopped: usize,
        /// How many tasks had not gone by then.
        left: usize,
    },
}

/// A container instance with which everything is done.
#[derive(Clone, Debug)]
pub struct Done {
    /// As it was before.
    pub found: ContainerInstance,
    /// What became of it.
    pub outcome: Result<Outcome, Error>,
    /// When that was so.
    pub at: SystemTime,
}

impl Done {
    fn now(found: ContainerInstance, outcome: Result<Outcome, Error>) -> Self {
        Self { found, outcome, at: SystemTime::now() }
    }
}

/// Carries out what was planned for container instances of one account and Region.
///
/// A failure belongs to its container instance alone. With evacuations, this takes as long as their notices.
pub async fn act(aws: &Regional, calls: &Calls, planned: Vec<(ContainerInstance, Action)>) -> Vec<Done> {
    let mut done = Vec::with_capacity(planned.len());
    let (mut to_deregister, mut to_evacuate) = (Vec::new(), Vec::new());
    let mut to_drain: BTreeMap<ClusterName, Vec<_>> = BTreeMap::new();
    let mut to_reactivate: BTreeMap<ClusterName, Vec<_>> = BTreeMap::new();
    for (found, action) in planned {
        match action {
            Action::Keep(end_state) => done.push(Done::now(found, Ok(Outcome::Kept(end_state)))),
            Action::Announce(end_state) => done.push(Done::now(found, Ok(Outcome::Announced(end_state)))),
            Action::Leave(reason) => done.push(Done::now(found, Ok(Outcome::Left(reason)))),
            Action::Make(Change::Deregister) => to_deregister.push(found),
            Action::Make(Change::Evacuate(evacuation)) => to_evacuate.push((found, evacuation)),
            Action::Make(Change::Drain(mark)) => to_drain.entry(found.cluster.clone()).or_default().push((found, mark)),
            Action::Make(Change::Reactivate) => to_reactivate.entry(found.cluster.clone()).or_default().push(found),
        }
    }
    let deregistered = stream::iter(to_deregister)
        .map(async |found| deregister::deregister(aws, calls, found).await)
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>();
    let drained = stream::iter(to_drain)
        .map(async |(cluster, planned)| drain::drain(aws, calls, &cluster, planned).await)
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>();
    let reactivated = stream::iter(to_reactivate)
        .map(async |(cluster, found)| drain::reactivate(aws, calls, &cluster, found).await)
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>();
    let evacuated = evacuate::evacuate(aws, calls, to_evacuate);
    let (deregistered, drained, reactivated, evacuated) = tokio::join!(deregistered, drained, reactivated, evacuated);
    done.extend(deregistered);
    done.extend(drained.into_iter().chain(reactivated).flatten());
    done.extend(evacuated);
    done
}

/// Looks at container instances of a cluster whose change was refused: someone else may have been there first, or the
/// answer to an attempt of ours was lost. What they should be, or more than that, is success.
async fn look_again(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    refused: Vec<(ContainerInstance, Error)>,
    wanted: EndState,
) -> Vec<Done> {
    let is_final = |error: &Error| matches!(error, Error::Call { class, .. } if *class != Class::Rejected);
    let (failed, mut refused): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(_, error)| is_final(error));
    let mut done: Vec<_> = failed.into_iter().map(|(found, error)| Done::now(found, Err(error))).collect();
    for pause in LOOKS {
        if refused.is_empty() {
            break;
        }
        tokio::time::sleep(pause.min(calls.left())).await;
        let arns: Vec<_> = refused.iter().map(|(found, _)| found.arn.clone()).collect();
        let described = match describe(aws, calls, cluster, &arns).await {
            Err(error) if error.code() == Some("ClusterNotFoundException") => Vec::new(),
            Err(error) => {
                done.extend(refused.into_iter().map(|(found, _)| Done::now(found, Err(error.clone()))));
                return done;
            }
            Ok(described) => described,
        };
        let (settled, still): (Vec<_>, Vec<_>) = refused
            .into_iter()
            .map(|(found, error)| {
                let now = described.iter().find(|described| described.arn == found.arn);
                (settled(now.map_or(Status::Gone, |now| now.status), wanted), found, error)
            })
            .partition(|(settled, ..)| settled.is_some());
        done.extend(settled.into_iter().filter_map(|(settled, found, _)| Some(Done::now(found, Ok(settled?)))));
        refused = still.into_iter().map(|(_, found, error)| (found, error)).collect();
    }
    done.extend(refused.into_iter().map(|(found, error)| Done::now(found, Err(error))));
    done
}

fn settled(status: Status, wanted: EndState) -> Option<Outcome> {
    match (status, wanted) {
        (Status::Gone, _) => Some(Outcome::Kept(EndState::Deregistered)),
        (Status::Draining, EndState::Draining) | (Status::Active, EndState::Active) => Some(Outcome::Kept(wanted)),
        _ => None,
    }
}
