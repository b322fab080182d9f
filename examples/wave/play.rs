//! The wave itself.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use standin::{Fate, Function, PoolFigures, QueueFigures, Region, Standin};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    channel::Channel,
    fleet::{CLUSTER_TAG, Member},
    notices::{Notice, notices},
    options::{Hints, Options, Strategy},
};

/// How long after its notice an instance is gone.
pub(crate) const NOTICE: Duration = Duration::from_mins(2);

/// What happened.
pub(crate) struct Played {
    /// The notices, in the order in which they came.
    pub(crate) sent: Vec<Sent>,
    pub(crate) pool: PoolFigures,
    pub(crate) queue: Option<QueueFigures>,
    /// What became of the containers, where that is played.
    pub(crate) fates: Vec<Fate>,
}

/// A notice that was given.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When, not cut to the second as the event's own time.
    pub(crate) at: Instant,
    /// When its instance got to where it should be.
    pub(crate) handled: Option<Instant>,
    pub(crate) well_formed: bool,
    container_instance: String,
}

/// Plays the wave until every well-formed notice is handled, or its time over.
pub(crate) async fn play(aws: &Standin, options: &Options, function: &Path, fleet: &[Member]) -> Played {
    let home = &aws.home();
    let mut channel = Channel::open(home, options, configured(aws, options, function));
    let mut to_come = notices(options, fleet).into_iter().peekable();
    let mut sent: Vec<Sent> = Vec::with_capacity(fleet.len());
    let first = Instant::now();
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looked, mut shown, mut killed) = (first, first, 0);
    loop {
        tick.tick().await;
        while let Some(notice) = to_come.next_if(|notice| notice.after <= first.elapsed()) {
            sent.push(Sent::now(&notice));
            if options.strategy == Strategy::Evacuate {
                // From then on it is played what becomes of its tasks.
                home.interrupt(&notice.member.instance, "terminate");
            }
            channel.send(&notice.text(home), notice.twice);
        }
        let kill_after = options.spread * (killed + 1) / (options.kills + 1);
        if killed < options.kills && first.elapsed() > kill_after && channel.kill_one() {
            killed += 1;
        }
        if looked.elapsed() < Duration::from_millis(200) {
            continue;
        }
        looked = Instant::now();
        look(home, options.strategy, &mut sent);
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = looked;
            show(aws, first, &sent, fleet.len(), &channel);
        }
        let is_over = |sent: &Sent| {
            // Containers may still be at their end when the instance is no longer registered.
            sent.is_over() && (options.strategy != Strategy::Evacuate || sent.at.elapsed() > NOTICE)
        };
        if to_come.peek().is_none() && sent.iter().all(is_over) {
            break;
        }
    }
    settle(&channel).await;
    show(aws, first, &sent, fleet.len(), &channel);
    Played { sent, pool: channel.pool(), queue: channel.queue(), fates: home.fates() }
}

fn configured(aws: &Standin, options: &Options, function: &Path) -> Function {
    let function = Function::new(function)
        .envs(aws.env())
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .env("STRATEGY", options.strategy.word())
        .timeout(options.timeout);
    if options.hints == Hints::Tag { function.env("CLUSTER_TAG", CLUSTER_TAG) } else { function }
}

/// Notes what is handled by now.
fn look(home: &Region, strategy: Strategy, sent: &mut [Sent]) {
    let wanted = match strategy {
        Strategy::Deregister | Strategy::Evacuate => "INACTIVE",
        Strategy::Drain => "DRAINING",
    };
    let there = home.container_instances().into_iter().filter(|found| found.status == wanted);
    let since: HashMap<_, _> = there.map(|found| (found.arn, found.status_since)).collect();
    for sent in sent.iter_mut().filter(|sent| sent.handled.is_none()) {
        sent.handled = since.get(&sent.container_instance).copied().flatten();
    }
}

/// A line on how it goes.
fn show(aws: &Standin, first: Instant, sent: &[Sent], all: usize, channel: &Channel) {
    let handled = sent.iter().filter(|sent| sent.handled.is_some()).count();
    let (calls, throttled) =
        aws.tally().values().fold((0, 0), |(calls, throttled), of| (calls + of.calls, throttled + of.throttled));
    let pool = channel.pool();
    eprintln!(
        "{:4} s  {handled:5} handled of {:5} noticed ({all} in all)  {calls:6} calls, {throttled} throttled  \
         {:4} invocations under way, {} cold starts",
        first.elapsed().as_secs(),
        sent.len(),
        pool.in_flight,
        pool.cold_starts,
    );
}

/// Lets invocations answer that have done their part.
async fn settle(channel: &Channel) {
    let asked = Instant::now();
    while channel.pool().in_flight > 0 && asked.elapsed() < Duration::from_secs(2) {
        sleep(Duration::from_millis(10)).await;
    }
}

impl Sent {
    fn now(notice: &Notice) -> Self {
        Self {
            at: Instant::now(),
            handled: None,
            well_formed: notice.flaw.is_none(),
            container_instance: notice.member.container_instance.clone(),
        }
    }

    fn is_over(&self) -> bool {
        !self.well_formed || self.handled.is_some() || self.at.elapsed() > NOTICE
    }
}
