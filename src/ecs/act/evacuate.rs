//! Evacuations: the two minutes of a notice, used.
//!
//! ```text
//!    0 s      DRAINING
//!    :        a look every 10 s: empty? deregister, done
//!  110 s - t  StopTask for what is left: SIGTERM, and t, its stop timeout, until SIGKILL
//!  115 s      deregister, with whatever is left
//!  120 s      EC2 ends the instance
//! ```
//!
//! Where there is more to stop or to deregister than the request quota takes at once, it begins earlier.
//!
//! Nothing is remembered from one invocation to the next: whoever comes in the middle goes on from what is there. Many
//! instances share their looks: one `DescribeContainerInstances` for a hundred of a cluster.
//!
//! [`ward::Ward`] knows how things stand and what is to be done, without doing it; [`job::Job`] is one of these things, a
//! call to ECS, and gives [`job::News`]. Jobs run side by side, so that none waits for another that is slow or fails.

mod host;
mod job;
mod learn;
mod task;
mod ward;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};

use self::ward::Ward;
use super::Done;
use crate::{
    aws::{Calls, Regional},
    ecs::{ContainerInstance, plan::Evacuation},
};

/// Evacuates container instances of one account and Region, each until its own end.
pub(super) async fn evacuate(
    aws: &Regional,
    calls: &Calls,
    planned: Vec<(ContainerInstance, Evacuation)>,
) -> Vec<Done> {
    let mut ward = Ward::new(aws, calls, planned);
    let mut under_way = FuturesUnordered::new();
    loop {
        while let Some(job) = ward.next_job(Instant::now()) {
            under_way.push(job.run(aws, calls));
        }
        if ward.is_empty() {
            return ward.into_done();
        }
        tokio::select! {
            Some(news) = under_way.next() => ward.note(news, Instant::now()),
            () = sleep_until(ward.wakes()) => {}
        }
    }
}
