//! The report as a table for people. Pure.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    finding::{Finding, name},
    report::Report,
    timeline::Timeline,
};

/// Writes the report as text, with lines that end in a line feed.
pub(crate) fn write(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = sections(&mut text, report);
    text
}

fn sections(text: &mut String, report: &Report) -> std::fmt::Result {
    let Report { instances, places, duration_ms, calls, .. } = report;
    let calls: u32 = calls.values().sum();
    let strategy = name(&report.strategy);
    writeln!(
        text,
        "{instances} Spot Instances, strategy {strategy}: {calls} calls, {duration_ms} ms, nothing changed"
    )?;
    for place in places {
        let error = place.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        writeln!(text, "  account {}, Region {}: {} instances{error}", place.account, place.region, place.instances)?;
    }
    counts(text, "\nWould be", &report.outcomes)?;
    counts(text, "\nLeft alone, by reason", &report.skipped_by)?;
    counts(text, &format!("\nCluster found by ({} calls)", report.calls_to_locate), &report.ways)?;
    match report.not_covered {
        0 => writeln!(text, "\nEach instance is covered.")?,
        count => writeln!(text, "\n{count} not covered: this function would not handle them, nor would anybody else.")?,
    }
    if report.findings.is_empty() {
        writeln!(text, "\nFindings: none")?;
    } else {
        writeln!(text, "\nFindings, worst first")?;
        report.findings.iter().try_for_each(|finding| write_finding(text, finding))?;
    }
    list(text, "\nNot checked", &report.not_checked)?;
    list(text, "\nNot read", &report.incomplete)?;
    report.timeline.iter().try_for_each(|timeline| write_timeline(text, timeline))
}

fn counts(text: &mut String, heading: &str, counts: &BTreeMap<String, usize>) -> std::fmt::Result {
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    if counts.is_empty() {
        return Ok(());
    }
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    writeln!(text, "{heading}")?;
    counts.into_iter().try_for_each(|(name, count)| writeln!(text, "  {count:>6}  {}", words(name)))
}

/// A name of JSON as words.
fn words(name: &str) -> String {
    if !name.chars().all(char::is_alphanumeric) {
        return name.to_owned();
    }
    name.chars().fold(String::new(), |mut words, c| {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
        words
    })
}

fn write_finding(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding { kind, count, examples, what, what_to_do } = finding;
    writeln!(text, "  {} ({count})", name(kind))?;
    writeln!(text, "    what:       {what}")?;
    writeln!(text, "    what to do: {what_to_do}")?;
    let more = if *count > examples.len() { ", ..." } else { "" };
    writeln!(text, "    such as:    {}{more}", examples.join(", "))
}

fn list(text: &mut String, heading: &str, lines: &[String]) -> std::fmt::Result {
    if !lines.is_empty() {
        writeln!(text, "{heading}")?;
    }
    lines.iter().try_for_each(|line| writeln!(text, "  {line}"))
}

fn write_timeline(text: &mut String, timeline: &Timeline) -> std::fmt::Result {
    let Timeline { instance_type, availability_zone, instances, handled, notice_s, limited_by, .. } = timeline;
    writeln!(
        text,
        "\nIf all {instances} instances of {instance_type} in {availability_zone} were interrupted at once"
    )?;
    for (what, seconds) in [
        ("notices received", timeline.received_s),
        ("last one located", timeline.located_s),
        ("last one handled", timeline.handled_s),
        ("EC2 ends the instances", *notice_s),
    ] {
        writeln!(text, "  {seconds:>6.1} s  {what}")?;
    }
    let in_time = if timeline.is_in_time { "in time" } else { "too late" };
    let limit = limited_by.as_ref().map(|of| format!("; the request quota of {of} decides")).unwrap_or_default();
    writeln!(text, "  {handled} would be handled, {in_time}{limit}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{RehearsalReads, Strategy},
        rehearsal::finding::{Findings, Kind},
        rehearsal::{report::Place, timeline::Wave},
    };

    fn report() -> Report {
        let counts = |of: &[(&str, usize)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let mut findings = Findings::default();
        (1..8).for_each(|n| findings.add(Kind::ServiceWithoutRoom, format!("web/s{n}")));
        Report {
            event: "rehearsal",
            outcome: "rehearsed",
            strategy: Strategy::Evacuate,
            reads: RehearsalReads::All,
            places: vec![Place {
                account: "123456789012".to_owned().try_into().unwrap(),
                region: "us-east-2".to_owned().try_into().unwrap(),
                instances: 7,
                error: None,
            }],
            instances: 7,
            not_covered: 1,
            not_reached: 0,
            outcomes: counts(&[("evacuated", 4), ("notFound", 2), ("failed", 1), ("skipped", 0)]),
            skipped_by: counts(&[("its tags say that it is a node of Amazon EMR", 1)]),
            ways: counts(&[("userData", 4)]),
            calls_to_locate: 9,
            calls: [("DescribeInstances".to_owned(), 12)].into(),
            findings: findings.into_list(),
            not_checked: vec!["ecs:StopTask".to_owned()],
            incomplete: Vec::new(),
            timeline: Some(Wave { instances: 7, ..Wave::default() }.timeline("m6i.large", "us-east-2a")),
            duration_ms: 40,
            text: String::new(),
        }
    }

    #[test]
    fn table_has_what_the_report_has() {
        let expected = "\
7 Spot Instances, strategy evacuate: 12 calls, 40 ms, nothing changed
  account 123456789012, Region us-east-2: 7 instances

Would be
       4  evacuated
       2  not found
       1  failed

Left alone, by reason
       1  its tags say that it is a node of Amazon EMR

Cluster found by (9 calls)
       4  user data

1 not covered: this function would not handle them, nor would anybody else.

Findings, worst first
  service-without-room (7)
    what:       services that may neither stop a task nor start another one before: a draining instance keeps their tasks to the end
    what to do: set minimumHealthyPercent below 100, or maximumPercent so high that one more task may start
    such as:    web/s1, web/s2, web/s3, web/s4, web/s5, ...

Not checked
  ecs:StopTask

If all 7 instances of m6i.large in us-east-2a were interrupted at once
     1.0 s  notices received
     1.0 s  last one located
     1.0 s  last one handled
   120.0 s  EC2 ends the instances
  0 would be handled, in time.
";
        assert_eq!(write(&report()), expected);
    }

    #[test]
    fn report_without_findings_says_so() {
        let report = Report { findings: Vec::new(), not_covered: 0, timeline: None, ..report() };
        let text = write(&report);
        assert!(text.contains("Findings: none") && text.contains("Each instance is covered."), "{text}");
    }
}
