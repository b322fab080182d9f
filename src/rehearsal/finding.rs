//! Findings: what would go wrong, and what to do about it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// The most examples of a finding, 5.
const EXAMPLES: usize = 5;

/// The kinds of findings, worst first. Their names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A call was denied.
    PermissionMissing,
    /// An EKS cluster has no access entry for the role.
    EksNoAccessEntry,
    /// The endpoint of an EKS cluster can't be reached.
    EksUnreachable,
    /// Instances are found only by a scan that a wave has to wait for.
    ScanOutOfQuota,
    /// A standalone task that neither a state machine nor this function starts again in any case.
    StandaloneTaskNotRestarted,
    /// A stop timeout that does not fit into the notice.
    StopTimeoutTooLong,
    /// A deregistration delay that does not fit into the notice.
    DeregistrationDelayTooLong,
    /// A service that may neither stop a task nor start another one.
    ServiceWithoutRoom,
    /// A pod whose grace period does not fit into the notice.
    PodGracePeriodTooLong,
    /// A pod whose budget never allows an eviction, or that several budgets cover.
    PodDisruptionBudgetNeverAllows,
    /// An Auto Scaling group that replaces an instance only after it failed its health check.
    AutoScalingWaitsForHealthCheck,
    /// A container without a stop timeout.
    StopTimeoutNotSet,
}

impl Kind {
    /// All kinds, worst first.
    pub(crate) const ALL: [Self; 12] = [
        Self::PermissionMissing,
        Self::EksNoAccessEntry,
        Self::EksUnreachable,
        Self::ScanOutOfQuota,
        Self::StandaloneTaskNotRestarted,
        Self::StopTimeoutTooLong,
        Self::DeregistrationDelayTooLong,
        Self::ServiceWithoutRoom,
        Self::PodGracePeriodTooLong,
        Self::PodDisruptionBudgetNeverAllows,
        Self::AutoScalingWaitsForHealthCheck,
        Self::StopTimeoutNotSet,
    ];

    /// What would go wrong, and what to do about it.
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::PermissionMissing => (
                "calls that handling these instances takes are denied",
                "allow the action in the function's role, or in the member's role: deploy the current template, and look for a permissions boundary or a service control policy. In an EKS cluster, apply kubernetes/access.yaml",
            ),
            Self::EksNoAccessEntry => (
                "EKS clusters that have no access entry for the function's role",
                "create an access entry for the role with the Kubernetes group spot-interruption-handler (docs/eks.md)",
            ),
            Self::EksUnreachable => (
                "EKS clusters whose endpoint can't be reached",
                "set SubnetIds and SecurityGroupIds, or allow the function's addresses in the cluster's publicAccessCidrs (docs/eks.md)",
            ),
            Self::ScanOutOfQuota => (
                "instances whose cluster is found only by a scan of all clusters, which uses up the request quotas in a wave",
                "give the instances a hint: set ClusterTag and tag them, or put their Auto Scaling groups behind capacity providers (docs/finding-the-cluster.md)",
            ),
            Self::StandaloneTaskNotRestarted => (
                "standalone tasks that end with their instance, and that nobody starts again unless their tags say so",
                "have the task run again with RunAgain, run it as a service or as an AWS Batch job, start it from a state machine that retries, or not on Spot",
            ),
            Self::StopTimeoutTooLong => (
                "task definitions whose containers take longer to stop than a notice leaves",
                "set a stopTimeout of 110 s or less in total, and have containers end sooner after SIGTERM",
            ),
            Self::DeregistrationDelayTooLong => (
                "target groups with a deregistration delay that is longer than a notice: tasks get SIGTERM only after it",
                "set deregistration_delay.timeout_seconds of the target group below the notice, such as 30",
            ),
            Self::ServiceWithoutRoom => (
                "services that may neither stop a task nor start another one before: a draining instance keeps their tasks to the end",
                "set minimumHealthyPercent below 100, or maximumPercent so high that one more task may start",
            ),
            Self::PodGracePeriodTooLong => (
                "pods with a grace period that is longer than a notice: they are killed before it is over",
                "set terminationGracePeriodSeconds to 110 or less, and have containers end sooner after SIGTERM",
            ),
            Self::PodDisruptionBudgetNeverAllows => (
                "pods with a PodDisruptionBudget that never allows an eviction, or with several, which has the same effect",
                "have one budget cover a pod, and let it allow one disruption, by another replica or a larger maxUnavailable; PodDisruptionBudgets=until-deadline deletes the pods at the end",
            ),
            Self::AutoScalingWaitsForHealthCheck => (
                "Auto Scaling groups that launch a replacement only when the instance is gone and has failed its health check",
                "set ReplaceInstances=detach, or turn on Capacity Rebalancing of the group",
            ),
            Self::StopTimeoutNotSet => (
                "task definitions with containers without stopTimeout: they get the agent's default, 30 s",
                "set stopTimeout to what the containers need after SIGTERM; Strategy=evacuate stops tasks accordingly",
            ),
        }
    }
}

/// A value as JSON writes it.
pub(crate) fn name(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What would go wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// The number of clusters, tasks, pods and so on that it concerns.
    pub(crate) count: usize,
    /// Some of them.
    pub(crate) examples: Vec<String>,
    pub(crate) what: String,
    pub(crate) what_to_do: String,
}

/// Collects findings. What is found several times counts once.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: BTreeMap<Kind, BTreeSet<String>>,
    details: BTreeMap<Kind, String>,
}

impl Findings {
    pub(crate) fn add(&mut self, kind: Kind, what: impl Into<String>) {
        self.found.entry(kind).or_default().insert(what.into());
    }

    /// Takes over what others found, with a text before each example.
    pub(crate) fn extend(&mut self, prefix: &str, others: Self) {
        for (kind, found) in others.found {
            let found = found.into_iter().map(|found| format!("{prefix}{found}"));
            self.found.entry(kind).or_default().extend(found);
        }
        self.details.extend(others.details);
    }

    /// Adds figures to the text of a kind.
    pub(crate) fn explain(&mut self, kind: Kind, detail: String) {
        self.details.insert(kind, detail);
    }

    /// The findings, worst first.
    pub(crate) fn into_list(mut self) -> Vec<Finding> {
        let finding = |(kind, found): (Kind, BTreeSet<String>)| {
            let (what, what_to_do) = kind.text();
            let detail = self.details.remove(&kind).map(|detail| format!(": {detail}")).unwrap_or_default();
            Finding {
                kind,
                count: found.len(),
                examples: found.into_iter().take(EXAMPLES).collect(),
                what: format!("{what}{detail}"),
                what_to_do: what_to_do.to_owned(),
            }
        };
        self.found.into_iter().map(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_worst_first_and_count_each_once() {
        let mut findings = Findings::default();
        for n in [3, 1, 2, 3, 5, 4, 6] {
            findings.add(Kind::StopTimeoutNotSet, format!("web:{n}"));
        }
        findings.add(Kind::PermissionMissing, "ecs:ListTasks");
        findings.explain(Kind::StopTimeoutNotSet, "some".to_owned());
        let found = findings.into_list();
        let counts: Vec<_> = found.iter().map(|finding| (finding.kind, finding.count)).collect();
        assert_eq!(counts, [(Kind::PermissionMissing, 1), (Kind::StopTimeoutNotSet, 6)]);
        assert_eq!(found[1].examples, ["web:1", "web:2", "web:3", "web:4", "web:5"]);
        assert!(found[1].what.ends_with(": some"), "{}", found[1].what);
    }

    #[test]
    fn each_kind_has_a_name_and_says_what_to_do() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let (what, what_to_do) = kind.text();
            assert!(!name(&kind).is_empty() && !what.is_empty() && !what_to_do.is_empty());
            assert_eq!(kind as usize, at, "{kind:?} is listed in its place");
        }
    }
}
