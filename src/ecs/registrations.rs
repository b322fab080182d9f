//! Identifies the stale registrations of an instance that has come back.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{Ecs, container_instance::Status, locate::Located};
use crate::aws::calls::Calls;

/// The interval between polls, 5 s: an agent takes half a minute or so to start and connect.
const POLL: Duration = Duration::from_secs(5);

/// The time that is reserved for the change, 10 s.
const CHANGE_TIME: Duration = Duration::from_secs(10);

/// If one of several registrations may become `ACTIVE`, waits until the agent of any of them is connected. The
/// registrations without a connected agent are stale then. If time runs out first, none is known to be stale.
pub(crate) async fn identify_stale(ecs: &Ecs, calls: &Calls, mut located: Vec<Located>) -> Vec<Located> {
    while is_undecided(&located) && calls.left() > POLL + CHANGE_TIME {
        sleep(POLL).await;
        let poll = |located: &Located| {
            let (calls, found) = (calls.once(), located.container_instance.clone());
            async move { ecs.container_instance(&calls, &found.cluster, &found.arn).await }
        };
        let polled = join_all(located.iter().map(poll)).await;
        for (located, described) in located.iter_mut().zip(polled) {
            match described {
                Ok(Some(described)) => located.container_instance = described,
                Ok(None) => located.container_instance.status = Status::Gone,
                Err(error) => tracing::info!(%error, "a registration could not be described: it is polled again"),
            }
        }
    }
    let is_any_connected = located.iter().any(|located| located.container_instance.is_connected);
    for located in &mut located {
        located.is_stale = is_any_connected && !located.container_instance.is_connected;
    }
    located
}

fn is_undecided(located: &[Located]) -> bool {
    let registered = || {
        let found = located.iter().map(|located| &located.container_instance);
        found.filter(|found| found.status != Status::Gone)
    };
    registered().count() > 1
        && registered().any(|found| found.mark.is_some())
        && !registered().any(|found| found.is_connected)
}
