//! A rehearsal in one account and Region.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::{
    task::unconstrained,
    time::{Instant, timeout_at},
};

use super::{
    finding::Kind,
    notes::Notes,
    reads,
    request::Request,
    subject::{Fate, Subject, notice},
    timeline::{NOTICE_S, PROCESSES, scan_seconds},
};
use crate::{
    aws::{
        calls::{CallCounts, Calls},
        deadline::Deadline,
    },
    config::{Config, Verdict},
    ecs::locate::way::Way,
    eks::{
        api_server::{UNAUTHORIZED, UNREACHABLE},
        locate as eks_locate,
    },
    error::Error,
    function::Function,
    identifier::{AccountId, ClusterName, InstanceId, Region},
    scope::{Scope, Scopes},
};

/// The number of instances that are looked up at the same time, 1,000: as many as a batch of the queue has messages.
const TOGETHER: usize = 1_000;

/// An account and Region.
pub(crate) struct Place<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) function: &'a Function,
    pub(crate) config: &'a Config,
    /// Whether the function makes changes, but for rehearsals.
    pub(crate) makes_changes: bool,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
}

/// How long a rehearsal may take, and how many instances it may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) locate_until: Instant,
    pub(crate) until: Instant,
    pub(crate) most: usize,
}

/// What was found in an account and Region.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) subjects: Vec<Subject>,
    /// The number of calls that looking the instances up took.
    pub(crate) calls_to_locate: u32,
    /// The number of calls of a scan of all clusters for all these instances.
    pub(crate) scan_calls: usize,
    pub(crate) pods: HashMap<InstanceId, usize>,
    pub(crate) notes: Notes,
    /// Whether all instances are known.
    pub(crate) is_complete: bool,
    /// Why nothing could be read.
    pub(crate) error: Option<Error>,
}

impl Place<'_> {
    /// Looks up the instances, and reads what the findings take.
    pub(crate) async fn survey(self, request: &Request, counts: &Arc<CallCounts>, limits: Limits) -> Survey {
        let mut survey = Survey {
            account: self.account.clone(),
            region: self.region.clone(),
            subjects: Vec::new(),
            calls_to_locate: 0,
            scan_calls: 0,
            pods: HashMap::new(),
            notes: Notes::default(),
            is_complete: false,
            error: None,
        };
        if Instant::now() >= limits.locate_until {
            survey.notes.incomplete.insert("there was no time left for it".to_owned());
            return survey;
        }
        // Of its own, so that denied calls are those of this account and Region.
        let own = Arc::<CallCounts>::default();
        if let Err(error) = self.fill(&mut survey, request, &own, limits).await {
            survey.notes.failed(&error);
            survey.error = Some(error);
        }
        survey.notes.denied(own.denied());
        counts.add(&own);
        survey
    }

    async fn fill(
        &self,
        survey: &mut Survey,
        request: &Request,
        counts: &Arc<CallCounts>,
        limits: Limits,
    ) -> Result<(), Error> {
        let Self { scopes, function, config, account, region, .. } = self;
        let scope = &scopes.rehearsal(function, config.member_role.as_ref(), account, region).await?;
        let left = limits.until.saturating_duration_since(Instant::now());
        let calls = &scope.calls(Deadline::after(left), counts).patiently();
        scope.assume_role(calls).await?;
        let (fleet, is_complete) = fleet(scope, calls, request, limits.most).await?;
        if !is_complete {
            let most = limits.most;
            survey.notes.incomplete.insert(format!("only the first {most} Spot Instances were looked up"));
        }
        survey.is_complete = is_complete;
        survey.subjects = self.locate(scope, &calls.until(limits.locate_until), fleet, limits.locate_until).await;
        survey.calls_to_locate = counts.made();
        if !request.clusters.is_empty() {
            let is_in =
                |cluster: &Option<ClusterName>| cluster.as_ref().is_some_and(|of| request.clusters.contains(of));
            survey.subjects.retain(|subject| is_in(&subject.cluster) || subject.fate == Fate::NotReached);
        }
        for error in survey.subjects.iter().filter_map(|subject| subject.error.as_ref()) {
            survey.notes.failed(error);
        }
        let clusters = scope.ecs.cache.clusters();
        let scan_calls = |instances: usize| clusters.as_ref().map_or(0, |clusters| clusters.scan_lists(instances));
        survey.scan_calls = scan_calls(survey.subjects.len());
        // The list that shows the instance is followed by a description.
        find_slow_scans(survey, scan_calls(1) + 1);
        if self.makes_changes {
            reads::check_permissions(scope, config, calls, &survey.subjects, &mut survey.notes).await;
        }
        survey.pods = reads::read(scope, config, calls, &survey.subjects, &mut survey.notes).await;
        Ok(())
    }

    /// Asks the API servers of all EKS clusters that instances may be in, once each. Those that can't be reached would
    /// otherwise take the time of each node.
    async fn closed_clusters(&self, scope: &Scope, calls: &Calls, fleet: &[Subject]) -> HashMap<ClusterName, Error> {
        let named: BTreeSet<_> = fleet.iter().flat_map(|subject| &subject.eks_clusters).collect();
        let eks_clusters = &self.config.eks_clusters;
        let included = named.into_iter().filter(|cluster| eks_clusters.verdict(cluster) == Verdict::Included);
        let probe =
            async |cluster: &ClusterName| (cluster.clone(), eks_locate::probe(&scope.eks, calls, cluster).await);
        let probed = join_all(included.map(probe)).await;
        let is_closed = |error: &Error| matches!(error.code(), Some(UNAUTHORIZED | UNREACHABLE));
        probed.into_iter().filter_map(|(name, probed)| Some((name, probed.err().filter(is_closed)?))).collect()
    }

    async fn locate(&self, scope: &Scope, calls: &Calls, fleet: Vec<Subject>, until: Instant) -> Vec<Subject> {
        let mut subjects = Vec::with_capacity(fleet.len());
        let closed = &self.closed_clusters(scope, calls, &fleet).await;
        let mut fleet = fleet.into_iter().peekable();
        while fleet.peek().is_some() {
            let assess = |subject: Subject| async move {
                let interruption = notice(subject.id.clone(), &self.account, &self.region);
                let assessed = Box::pin(subject.clone().assess(scope, self.config, calls, &interruption, closed));
                match timeout_at(until, assessed).await {
                    Ok(assessed) if !was_not_reached(&assessed, until) => assessed,
                    _ => subject,
                }
            };
            let together = fleet.by_ref().take(TOGETHER).map(assess);
            // Unconstrained: tokio's cooperative budget would have calls made before every instance has joined them.
            subjects.extend(unconstrained(join_all(together)).await);
        }
        subjects
    }
}

/// The instances that are rehearsed, and whether these are all.
async fn fleet(scope: &Scope, calls: &Calls, request: &Request, most: usize) -> Result<(Vec<Subject>, bool), Error> {
    if request.instances.is_empty() {
        let (instances, is_complete) = scope.ec2.running_spot_instances(calls, most).await?;
        // Instances of one group are looked up together.
        let mut subjects: Vec<_> =
            instances.into_iter().map(|(id, instance)| Subject::new(id, Some(&instance))).collect();
        subjects.sort_by(|a, b| a.auto_scaling_group.cmp(&b.auto_scaling_group).then_with(|| a.id.cmp(&b.id)));
        return Ok((subjects, is_complete));
    }
    let ids: Vec<_> = request.instances.iter().take(most).cloned().collect();
    let described = unconstrained(join_all(ids.iter().map(|id| scope.ec2.instance(calls, id)))).await;
    let mut subjects = Vec::with_capacity(ids.len());
    for (id, instance) in ids.into_iter().zip(described) {
        subjects.push(Subject::new(id, instance?.as_deref()));
    }
    Ok((subjects, request.instances.len() <= most))
}

/// Whether an instance was given up because there was no time for it: a call was not sent, since its quota was used up, or
/// the end cut it off.
fn was_not_reached(subject: &Subject, until: Instant) -> bool {
    let error = subject.error.as_ref();
    error.is_some_and(|error| error.is_unsent() || error.is_transient() && Instant::now() >= until)
}

/// Finds the instances that only a scan finds, if a wave has to wait for it or loses notices.
fn find_slow_scans(survey: &mut Survey, calls_for_one: usize) {
    let scanned: BTreeSet<_> =
        survey.subjects.iter().filter(|of| of.way == Some(Way::Scan)).map(|of| of.id.to_string()).collect();
    let (calls, instances) = (survey.scan_calls, survey.subjects.len());
    let seconds = scan_seconds(calls, PROCESSES.min(instances));
    // Each notice scans by itself.
    let direct_s = scan_seconds(calls_for_one, scanned.len());
    if scanned.is_empty() || seconds < 1.0 && direct_s < NOTICE_S {
        return;
    }
    let detail = format!(
        "a wave of these {instances} instances takes {seconds:.0} s until the last one is found ({calls} calls in each of two processes); with Delivery=direct, {direct_s:.0} s for those found by a scan"
    );
    for id in scanned {
        survey.notes.add(Kind::ScanOutOfQuota, &id);
    }
    survey.notes.findings.explain(Kind::ScanOutOfQuota, detail);
}

/// Counts texts.
pub(crate) fn counted<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}
