//! Pod disruption budgets, as the eviction API reads and changes them.

use std::time::{Duration, Instant};

use super::{PlacedBudget, PlacedPod, World};
use crate::model::{Budget, Pdb};

/// How long the controller waits for an evicted pod to terminate.
const DISRUPTION: Duration = Duration::from_mins(2);

/// The most evicted pods that a budget keeps.
const MAX_DISRUPTED: usize = 2_000;

/// The budgets that cover a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) enum Budgets {
    None,
    One(usize),
    Many,
}

/// What a budget says to an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) enum Verdict {
    Allowed,
    /// The pod is not ready and may go without counting.
    NotCounted,
    Conflicting(String),
    NotObserved(String),
    Negative(String),
    TooMany(String),
    NoRoom {
        budget: String,
        desired: usize,
        healthy: usize,
    },
}

/// A budget with its controller's counts.
pub(in crate::kubernetes) struct CountedBudget<'a> {
    pub(in crate::kubernetes) model: &'a Pdb,
    pub(in crate::kubernetes) disruptions_allowed: i64,
    pub(in crate::kubernetes) healthy: usize,
    pub(in crate::kubernetes) desired: usize,
    pub(in crate::kubernetes) expected: usize,
}

impl World {
    /// All budgets, with what their status shows.
    pub(in crate::kubernetes) fn counted_budgets(&self, now: Instant) -> impl Iterator<Item = CountedBudget<'_>> {
        self.budgets.iter().map(move |placed| {
            let model = &placed.model;
            let (healthy, desired) = (self.healthy(placed, now), self.desired(placed));
            let since = now.saturating_duration_since(placed.added);
            let is_closed = model.opens_after.is_some_and(|time| since < time)
                || model.closes_after.is_some_and(|time| since >= time);
            let computed = i64::try_from(healthy.saturating_sub(desired)).unwrap_or(i64::MAX);
            let allowed = model.disruptions_allowed.unwrap_or(if is_closed { 0 } else { computed });
            CountedBudget { model, disruptions_allowed: allowed, healthy, desired, expected: self.expected(placed) }
        })
    }

    /// The budgets that cover a pod.
    pub(in crate::kubernetes) fn budgets_of(&self, pod: &PlacedPod) -> Budgets {
        let covers = |budget: &PlacedBudget| {
            budget.model.namespace == pod.pod.namespace && pod.pod.labels.get("app") == Some(&budget.model.app)
        };
        let mut found = self.budgets.iter().enumerate().filter(|(_, budget)| covers(budget)).map(|(index, _)| index);
        match (found.next(), found.next()) {
            (None, _) => Budgets::None,
            (Some(index), None) => Budgets::One(index),
            (Some(_), Some(_)) => Budgets::Many,
        }
    }

    /// Asks a budget about the eviction of a pod and, unless it is a dry run, counts it.
    pub(in crate::kubernetes) fn disrupt(
        &mut self,
        budget: usize,
        pod: &PlacedPod,
        dry_run: bool,
        now: Instant,
    ) -> Verdict {
        let placed = &self.budgets[budget];
        let model = &placed.model;
        let (healthy, desired) = (self.healthy(placed, now), self.desired(placed));
        if !pod.pod.ready && (model.always_allows_unready || healthy >= desired && desired > 0) {
            return Verdict::NotCounted;
        }
        let name = model.name.clone();
        if model.conflicting {
            return Verdict::Conflicting(name);
        }
        if !model.observed {
            return Verdict::NotObserved(name);
        }
        let computed = i64::try_from(healthy.saturating_sub(desired)).unwrap_or(i64::MAX);
        let allowed = model.disruptions_allowed.unwrap_or(computed);
        if allowed < 0 {
            return Verdict::Negative(name);
        }
        if placed.disrupted.len() > MAX_DISRUPTED {
            return Verdict::TooMany(name);
        }
        let since = now.saturating_duration_since(placed.added);
        let is_closed =
            model.opens_after.is_some_and(|time| since < time) || model.closes_after.is_some_and(|time| since >= time);
        if allowed == 0 || is_closed {
            return Verdict::NoRoom { budget: name, desired, healthy };
        }
        if !dry_run {
            let placed = &mut self.budgets[budget];
            if let Some(left) = &mut placed.model.disruptions_allowed {
                *left -= 1;
            }
            placed.disrupted.retain(|_, at| now.saturating_duration_since(*at) < DISRUPTION);
            placed.disrupted.insert(pod.pod.name.clone(), now);
        }
        Verdict::Allowed
    }

    /// How many of a budget's pods are healthy and not being disrupted.
    fn healthy(&self, budget: &PlacedBudget, now: Instant) -> usize {
        let is_disrupted = |pod: &PlacedPod| {
            let at = budget.disrupted.get(&pod.pod.name);
            // A pod that was created since is another one.
            at.is_some_and(|at| pod.created <= *at && now.saturating_duration_since(*at) < DISRUPTION)
        };
        let pods = self.pods_of(budget).filter(|pod| pod.is_healthy() && !is_disrupted(pod));
        pods.count() + self.elsewhere(budget)
    }

    /// How many of a budget's pods have to be healthy.
    fn desired(&self, budget: &PlacedBudget) -> usize {
        match budget.model.budget {
            Budget::MinAvailable(pods) => pods,
            Budget::MaxUnavailable(pods) => self.expected(budget).saturating_sub(pods),
        }
    }

    /// How many pods a budget is to have.
    fn expected(&self, budget: &PlacedBudget) -> usize {
        match self.deployments.get(&key(budget)) {
            Some(deployment) => deployment.replicas,
            None => self.pods_of(budget).filter(|pod| pod.is_active()).count(),
        }
    }

    /// How many replicas of its deployment are on no node here.
    fn elsewhere(&self, budget: &PlacedBudget) -> usize {
        let replicas = self.deployments.get(&key(budget)).map_or(0, |deployment| deployment.replicas);
        replicas.saturating_sub(self.pods_of(budget).filter(|pod| !pod.is_replacement).count())
    }

    fn pods_of(&self, budget: &PlacedBudget) -> impl Iterator<Item = &PlacedPod> {
        self.by_app.get(&key(budget)).into_iter().flatten().map(|index| &self.pods[*index])
    }
}

fn key(budget: &PlacedBudget) -> String {
    format!("{}/{}", budget.model.namespace, budget.model.app)
}
