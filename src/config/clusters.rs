//! Which clusters may be touched.

use wildmatch::WildMatch;

use crate::identifier::ClusterName;

/// The clusters that may be touched: those that `CLUSTERS` matches and `EXCLUDE_CLUSTERS` doesn't.
#[derive(Clone, Debug)]
pub struct Clusters {
    only: Vec<WildMatch>,
    never: Vec<WildMatch>,
}

/// Whether a cluster may be touched, and if not, which setting forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Included,
    /// `CLUSTERS` doesn't match it.
    NotIncluded,
    /// `EXCLUDE_CLUSTERS` matches it.
    Excluded,
}

impl Clusters {
    /// Patterns of letters, digits, `-`, `_` and the wildcards `*` and `?`; no pattern in `only` means every cluster.
    pub(super) fn new(mut only: Vec<String>, never: Vec<String>) -> Self {
        if only.is_empty() {
            only.push("*".to_owned());
        }
        let compiled = |patterns: Vec<String>| patterns.iter().map(|pattern| WildMatch::new(pattern)).collect();
        Self { only: compiled(only), never: compiled(never) }
    }

    /// What the settings say about a cluster.
    #[must_use]
    pub fn verdict(&self, cluster: &ClusterName) -> Verdict {
        let any = |patterns: &[WildMatch]| patterns.iter().any(|pattern| pattern.matches(cluster.as_str()));
        if any(&self.never) {
            Verdict::Excluded
        } else if any(&self.only) {
            Verdict::Included
        } else {
            Verdict::NotIncluded
        }
    }

    /// Whether `CLUSTERS` has this name itself, not just a wildcard that matches it.
    #[must_use]
    pub fn name_literally(&self, cluster: &ClusterName) -> bool {
        self.only.iter().any(|pattern| *pattern == WildMatch::new(cluster.as_str()))
    }

    /// The names in `CLUSTERS`, if it has no wildcards: then no other cluster need be looked at.
    #[must_use]
    pub fn plain_names(&self) -> Option<Vec<ClusterName>> {
        self.only.iter().map(|pattern| ClusterName::try_from(pattern.to_string()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(only: &[&str], never: &[&str]) -> Clusters {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Clusters::new(owned(only), owned(never))
    }

    fn name(name: &str) -> ClusterName {
        name.to_owned().try_into().unwrap()
    }

    #[test]
    fn verdicts() {
        let set = clusters(&["web", "prod-*", "db-?"], &["prod-secret*"]);
        for (cluster, verdict) in [
            ("web", Verdict::Included),
            ("Web", Verdict::NotIncluded),
            ("web2", Verdict::NotIncluded),
            ("prod-", Verdict::Included),
            ("prod-api", Verdict::Included),
            ("my-prod-api", Verdict::NotIncluded),
            ("db-1", Verdict::Included),
            ("db-12", Verdict::NotIncluded),
            ("prod-secret-1", Verdict::Excluded),
        ] {
            assert_eq!(set.verdict(&name(cluster)), verdict, "{cluster}");
        }
    }

    #[test]
    fn exclusion_wins_over_a_literal_name() {
        assert_eq!(clusters(&["web"], &["*"]).verdict(&name("web")), Verdict::Excluded);
    }

    #[test]
    fn no_pattern_means_every_cluster() {
        let set = clusters(&[], &[]);
        assert_eq!(set.verdict(&name("web")), Verdict::Included);
        assert_eq!(set.plain_names(), None);
        assert!(!set.name_literally(&name("web")));
    }

    #[test]
    fn plain_names_only_without_any_wildcard() {
        assert_eq!(clusters(&["b", "a"], &[]).plain_names(), Some(vec![name("b"), name("a")]));
        assert_eq!(clusters(&["a", "b*"], &[]).plain_names(), None);
        assert!(clusters(&["a", "b*"], &[]).name_literally(&name("a")));
        assert!(!clusters(&["a", "b*"], &[]).name_literally(&name("b1")));
    }
}
