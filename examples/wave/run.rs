//! Runs a wave.

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

/// The time from its notice to an instance's end.
pub(crate) const NOTICE: Duration = Duration::from_mins(2);

/// The record of a wave.
pub(crate) struct WaveRun {
    /// The notices, in the order in which they were sent.
    pub(crate) sent: Vec<Sent>,
    pub(crate) pool: PoolFigures,
    pub(crate) queue: Option<QueueFigures>,
    /// The fates of the containers, if the wave simulates them.
    pub(crate) fates: Vec<Fate>,
}

/// A notice that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When it was sent, more precisely than the event's own time.
    pub(crate) at: Instant,
    /// When its instance reached the state that it should be in.
    pub(crate) handled: Option<Instant>,
    pub(crate) well_formed: bool,
    container_instance: String,
}

/// Runs the wave until every well-formed notice is handled or has expired.
pub(crate) async fn run(aws: &Standin, options: &Options, function: &Path, fleet: &[Member]) -> WaveRun {
    let home = &aws.home();
    let mut channel = Channel::open(home, options, configured(aws, options, function));
    let mut pending = notices(options, fleet).into_iter().peekable();
    let mut sent: Vec<Sent> = Vec::with_capacity(fleet.len());
    let first = Instant::now();
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut checked, mut shown, mut killed) = (first, first, 0);
    loop {
        tick.tick().await;
        while let Some(notice) = pending.next_if(|notice| notice.after <= first.elapsed()) {
            sent.push(Sent::now(&notice));
            if options.strategy == Strategy::Evacuate {
                // From now on, the stand-in simulates the end of the instance.
                home.interrupt(&notice.member.instance, "terminate");
            }
            channel.send(&notice.text(home), notice.twice);
        }
        let kill_after = options.spread * (killed + 1) / (options.kills + 1);
        if killed < options.kills && first.elapsed() > kill_after && channel.kill_one() {
            killed += 1;
        }
        if checked.elapsed() < Duration::from_millis(200) {
            continue;
        }
        checked = Instant::now();
        check(home, options.strategy, &mut sent);
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = checked;
            show(aws, first, &sent, fleet.len(), &channel);
        }
        let is_over = |sent: &Sent| {
            // Containers may still be running when the instance is no longer registered.
            sent.is_over() && (options.strategy != Strategy::Evacuate || sent.at.elapsed() > NOTICE)
        };
        if pending.peek().is_none() && sent.iter().all(is_over) {
            break;
        }
    }
    settle(&channel).await;
    show(aws, first, &sent, fleet.len(), &channel);
    WaveRun { sent, pool: channel.pool(), queue: channel.queue(), fates: home.fates() }
}

fn configured(aws: &Standin, options: &Options, function: &Path) -> Function {
    let function = Function::new(function)
        .envs(aws.env())
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .env("STRATEGY", options.strategy.word())
        .timeout(options.timeout);
    if options.hints == Hints::Tag { function.env("CLUSTER_TAG", CLUSTER_TAG) } else { function }
}

/// Records which notices are handled by now.
fn check(home: &Region, strategy: Strategy, sent: &mut [Sent]) {
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

/// Prints a line of progress.
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

/// Gives invocations that have done their work time to answer.
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
