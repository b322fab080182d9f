//! An instance that came back and has several registrations: which of them it uses.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{Ecs, container_instance::Status, locate::Located};
use crate::aws::calls::Calls;

/// From one look to the next: an agent takes half a minute or so to start and connect.
const LOOK: Duration = Duration::from_secs(5);

/// How much of the time is kept for the change.
const CHANGE: Duration = Duration::from_secs(10);

/// Waits, if one of several registrations may become `ACTIVE`, until the agent of any is connected. Those that are not are
/// stale then. If there is no time left, none is known to be stale.
pub(crate) async fn without_stale(ecs: &Ecs, calls: &Calls, mut located: Vec<Located>) -> Vec<Located> {
    while is_undecided(&located) && calls.left() > LOOK + CHANGE {
        sleep(LOOK).await;
        let look = |located: &Located| {
            let (calls, found) = (calls.once(), located.container_instance.clone());
            async move { ecs.container_instance(&calls, &found.cluster, &found.arn).await }
        };
        let looks = join_all(located.iter().map(look)).await;
        for (located, described) in located.iter_mut().zip(looks) {
            match described {
                Ok(Some(described)) => located.container_instance = described,
                Ok(None) => located.container_instance.status = Status::Gone,
                Err(error) => tracing::info!(%error, "it is looked at again"),
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
