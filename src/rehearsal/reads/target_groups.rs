//! The deregistration delays of target groups.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use crate::{
    aws::calls::Calls,
    error::Error,
    load_balancing::LoadBalancing,
    rehearsal::{finding::Kind, notes::Notes, timeline::MAX_STOP_S},
};

/// A target group's name, and its deregistration delay.
pub(super) type Delay = (String, Option<Duration>);

/// Reads target groups, by their ARNs.
pub(super) async fn read(
    load_balancing: &LoadBalancing,
    calls: &Calls,
    target_groups: &BTreeSet<String>,
) -> Vec<Result<Delay, Error>> {
    join_all(target_groups.iter().map(async |arn| {
        let delay = load_balancing.deregistration_delay(calls, arn).await?;
        // arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID
        Ok((arn.split('/').nth(1).unwrap_or(arn).to_owned(), delay))
    }))
    .await
}

pub(super) fn find_long_delays(read: Vec<Result<Delay, Error>>, notes: &mut Notes) {
    for (name, delay) in notes.answers(read) {
        if let Some(delay) = delay.filter(|delay| delay.as_secs() > MAX_STOP_S) {
            notes.add(Kind::DeregistrationDelayTooLong, &format!("{name} ({} s)", delay.as_secs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_found_that_does_not_fit_into_a_notice() {
        for (seconds, is_found) in [(Some(300), true), (Some(111), true), (Some(110), false), (None, false)] {
            let mut notes = Notes::default();
            find_long_delays(vec![Ok(("web".to_owned(), seconds.map(Duration::from_secs)))], &mut notes);
            assert_eq!(notes.findings.into_list().len(), usize::from(is_found), "{seconds:?}");
        }
    }
}
