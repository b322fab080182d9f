//! Takes the EC2 instance behind a Spot interruption notice out of its Amazon ECS cluster before it is gone.
//!
//! ```text
//!  JSON ─► event ─► interruption ─► locate ─► plan ─► act ─► report ─► JSON, logs
//!          wire      domain          reads     pure    writes  pure
//! ```
//!
//! [`handle`] is the whole of it; the modules stand below in the order of the flow.

pub mod config;

pub mod event;

pub mod interruption;

pub mod ecs;

pub mod report;

pub mod aws;
pub mod error;
pub mod identifier;
pub mod log;

use std::{collections::BTreeSet, time::Instant};

use lambda_runtime::LambdaEvent;

use crate::{
    aws::{Aws, Calls, Deadline, Regional},
    config::Config,
    ecs::{act::act, locate::locate, plan::plan},
    error::Error,
    event::{Event, Payload},
    interruption::{Interruption, NOTICE},
    report::{Answer, Cost},
};

/// Handles one invocation.
///
/// # Errors
///
/// Success is what leaves nothing to be done: the container instance is where it should be, or it is left alone for
/// a reason, or the instance is in no ECS cluster, or the event is none for this function. The answer says which.
///
/// An error is what someone has to look at, or what a retry by Lambda may mend:
///
/// | `errorType` | when |
/// |---|---|
/// | `InvalidEvent` | a field of the notice is missing or not what it should be; nothing was called |
/// | `AccessDenied` | the function's role lacks a permission |
/// | `Throttled` | a request quota was used up until the deadline |
/// | `DeadlineExceeded` | AWS did not answer, or answered that it was at fault, until the deadline |
/// | `CallRejected` | AWS refused a call for another reason |
/// | `Unchanged` | AWS took a change, but says that a container instance was not changed |
///
/// What may pass is tried again until shortly before the earlier of the notice's and the function's deadline.
pub async fn handle(aws: &Aws, config: &Config, event: LambdaEvent<Payload>) -> Result<Answer, Error> {
    let answer = match Event::try_from(event.payload) {
        Ok(Event::Interruption(interruption)) => {
            let calls = Calls::until(Deadline::new(interruption.time + NOTICE, event.context.deadline()));
            interrupt(&aws.region(&interruption.region), config, &calls, interruption).await
        }
        Ok(Event::Other(other)) => Ok(Answer::ignored(other)),
        Err(error) => Err(error),
    };
    answer.inspect_err(|error| tracing::error!(errorType = error.error_type(), %error, "failed"))
}

/// Takes an interrupted instance out of its cluster.
async fn interrupt(
    aws: &Regional,
    config: &Config,
    calls: &Calls,
    interruption: Interruption,
) -> Result<Answer, Error> {
    let started = Instant::now();
    let wanted = BTreeSet::from([interruption.instance.clone()]);
    let located = locate(aws, config, calls, &wanted).await.remove(&interruption.instance).transpose()?;
    let locate_ms = ms(started);

    let started = Instant::now();
    let planned = located.into_iter().flatten().map(|located| {
        let action = plan(&located, interruption.action, config);
        (located.container_instance, action)
    });
    let outcomes = act(aws, calls, planned.collect()).await;
    let act_ms = ms(started);

    let outcomes = outcomes.into_iter().map(|(found, outcome)| Ok((found, outcome?))).collect::<Result<_, Error>>()?;
    let answer = Answer::handled(interruption, outcomes);
    answer.log(Cost { calls: calls.made(), locate_ms, act_ms });
    Ok(answer)
}

fn ms(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
