//! A Kubernetes node's two minutes: as `kubectl drain` would use them, and as the function does.

use std::{error::Error, fmt::Write, sync::Arc, time::Duration};

use standin::{PodEnding, PodFate, Standin, StopRequest, eks_node};

use crate::{ID, LATENCY, in_process::Process};

/// A `PodDisruptionBudget` is respected to the end, as by `kubectl drain`, or until the pod's grace period no longer
/// fits.
const BUDGETS: [(&str, &str); 2] =
    [("evict and wait, as kubectl drain does", "respect"), ("the default", "until-deadline")];

/// The fate of each pod, with a column for each way.
pub(crate) async fn table() -> Result<String, Box<dyn Error>> {
    let mut columns = Vec::new();
    for (_, budgets) in BUDGETS {
        columns.push(run(budgets).await?);
    }
    let mut text = String::new();
    let mut row = |title: &str, cells: [&str; 2]| writeln!(text, "{title:>8}  {:<44} {}", cells[0], cells[1]);
    row("node", BUDGETS.map(|(title, _)| title))?;
    for (before, now) in columns[0].iter().zip(&columns[1]) {
        row(&before.name, [&fate(before), &fate(now)])?;
    }
    let summary = |fates: &[PodFate]| {
        let graceful = fates.iter().filter(|fate| fate.is_graceful()).count();
        format!("{graceful} of {} pods got SIGTERM and their time", fates.len() - 1)
    };
    row("SIGTERM", [&summary(&columns[0]), &summary(&columns[1])])?;
    Ok(text)
}

async fn run(budgets: &str) -> Result<Vec<PodFate>, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(LATENCY).start().await?);
    eks_node(&aws.home(), "shop", ID);
    let settings = [("EKS_CLUSTERS", "*"), ("POD_DISRUPTION_BUDGETS", budgets)];
    let process = Process::start(&aws, &settings).await;
    process.invoke(&aws.home().interrupt(ID, "terminate")).await?;
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(aws.home().pod_fates("shop"))
}

fn fate(fate: &PodFate) -> String {
    let request = match fate.stop_request {
        StopRequest::Evicted => "evicted",
        StopRequest::Deleted => "deleted",
        StopRequest::Not => "left",
    };
    let ending = match fate.ending {
        PodEnding::Running => "still runs",
        PodEnding::Exited => "exited",
        PodEnding::Killed => "killed",
        PodEnding::KilledInGracePeriod => "cut off",
        PodEnding::KilledUntold => "killed without SIGTERM",
    };
    let s = Duration::as_secs_f64;
    match fate.sigterm {
        Some(at) => {
            format!("{request} {:.0} s, {:.0} of {:.0} s, {ending}", s(&at), s(&fate.had()), s(&fate.grace_period))
        }
        None => format!("{request}, {ending}"),
    }
}
