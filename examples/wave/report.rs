//! The report, as text and as JSON.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use standin::{Bucket, Standin, Tally};

use crate::{bound::Bound, measured::Figures, notices::share, options::Options, run::WaveRun};

/// Prints the report in the selected format.
pub(crate) fn print(aws: &Standin, options: &Options, run: &WaveRun, measured: &Figures) {
    let (tally, needed) = (aws.tally(), needed(aws, options.quota_factor));
    if options.json {
        println!("{:#}", json(options, run, measured, &tally));
    } else {
        println!("{}", text(options, run, measured, &tally, &needed));
    }
}

/// The time that the calls take at the quotas, which excludes throttled calls.
fn needed(aws: &Standin, factor: f64) -> Vec<Bound> {
    let mut made: BTreeMap<Bucket, usize> = BTreeMap::new();
    for bucket in aws.calls().iter().filter(|call| !call.is_throttled()).filter_map(standin::Call::bucket) {
        *made.entry(bucket).or_default() += 1;
    }
    made.into_iter().filter_map(|(bucket, calls)| Bound::new(bucket, calls, factor)).collect()
}

fn text(
    options: &Options,
    run: &WaveRun,
    measured: &Figures,
    tally: &BTreeMap<String, Tally>,
    needed: &[Bound],
) -> String {
    let mut lines = vec![
        String::new(),
        title(options),
        String::new(),
        format!("{:5} handled", measured.handled),
        format!("{:5} lost", measured.lost),
        format!("{:5} malformed", measured.malformed),
        String::new(),
        format!("{:<28} {:>9} {:>9} {:>9} {:>9}", "handled, in seconds", "first", "half", "99 %", "last"),
    ];
    if let Some((graceful, all)) = measured.graceful {
        lines.insert(5, format!("{graceful:5} of {all} containers got SIGTERM and the time they needed"));
    }
    for (name, times) in
        [("  after its own notice", &measured.after_notice), ("  after the first notice", &measured.after_first)]
    {
        lines.push(format!("{name:<28} {}", times.row().map(|seconds| format!("{seconds:9.1}")).join(" ")));
    }
    lines.extend(Bound::of(options).map(|bound| format!("  at best {bound}")));
    lines.push(format!("\n{:<28} {:>9} {:>9} {:>9}", "calls", "all", "throttled", "failed"));
    for (api, of) in tally {
        lines.push(format!("  {api:<26} {:9} {:9} {:9}", of.calls, of.throttled, of.failed));
    }
    lines.push(format!("  {:<26} {:9.2}", "for each notice", per_notice(tally, options.events)));
    lines.push("\nquotas, by the calls that they admitted".to_owned());
    lines.extend(needed.iter().map(|bound| format!("  {bound}")));
    lines.push(format!("\nfunction\n{}", function(run)));
    lines.join("\n")
}

fn title(options: &Options) -> String {
    format!(
        "{} notices over {} clusters within {:.0} s, {}, {}, hints: {}, {:.0} ms a call, {} times the quotas, {} % faults",
        options.events,
        options.clusters,
        options.spread.as_secs_f64(),
        options.delivery.word(),
        options.strategy.word(),
        options.hints.word(),
        options.latency.as_secs_f64() * 1e3,
        options.quota_factor,
        options.faults.0,
    )
}

fn function(run: &WaveRun) -> String {
    let pool = &run.pool;
    let mut lines = vec![format!(
        "  {} invocations, {} cold starts, at most {:.1} MB",
        pool.invocations,
        pool.cold_starts,
        memory_mb(run)
    )];
    lines.extend(pool.errors.iter().map(|(error, times)| format!("  {times} times {error}")));
    if pool.undelivered > 0 {
        lines.push(format!("  {} given up", pool.undelivered));
    }
    if let Some(queue) = &run.queue {
        let batches: Vec<_> = queue.batches.iter().map(ToString::to_string).collect();
        lines.push(format!("  {} batches: {}", batches.len(), batches.join(", ")));
        lines.push(format!("  {} messages redelivered, {} dead", queue.redelivered, queue.dead.len()));
    }
    lines.join("\n")
}

fn json(options: &Options, run: &WaveRun, measured: &Figures, tally: &BTreeMap<String, Tally>) -> Value {
    let calls: BTreeMap<_, _> = tally
        .iter()
        .map(|(api, of)| (api, json!({"calls": of.calls, "throttled": of.throttled, "failed": of.failed})))
        .collect();
    let queue = run
        .queue
        .as_ref()
        .map(|queue| json!({ "batches": queue.batches, "redelivered": queue.redelivered, "dead": queue.dead.len() }));
    json!({
        "wave": {
            "events": options.events,
            "clusters": options.clusters,
            "delivery": options.delivery.word(),
            "strategy": options.strategy.word(),
            "hints": options.hints.word(),
            "spreadSeconds": options.spread.as_secs_f64(),
            "latencyMs": options.latency.as_millis(),
            "quotaFactor": options.quota_factor,
            "faultsPercent": options.faults.0,
            "kills": options.kills,
        },
        "wellFormed": measured.well_formed,
        "malformed": measured.malformed,
        "handled": measured.handled,
        "lost": measured.lost,
        "graceful": measured.graceful.map(|(graceful, all)| json!({ "containers": all, "graceful": graceful })),
        "secondsAfterNotice": measured.after_notice.json(),
        "secondsAfterFirst": measured.after_first.json(),
        "bound": Bound::of(options).map(|bound| json!({
            "seconds": bound.seconds(), "quota": format!("{:?}", bound.bucket), "calls": bound.calls,
        })),
        "calls": calls,
        "callsPerNotice": per_notice(tally, options.events),
        "invocations": run.pool.invocations,
        "coldStarts": run.pool.cold_starts,
        "peakMemoryMb": memory_mb(run),
        "errors": run.pool.errors,
        "undelivered": run.pool.undelivered,
        "queue": queue,
    })
}

fn per_notice(tally: &BTreeMap<String, Tally>, events: usize) -> f64 {
    (share(tally.values().map(|of| of.calls).sum(), events) * 1e3).round() / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a figure with one decimal")]
fn memory_mb(run: &WaveRun) -> f64 {
    (run.pool.peak_memory_kb as f64 / 1e2).round() / 10.0
}
