//! Which clusters the function may act on.

use wildmatch::WildMatch;

use crate::identifier::ClusterName;

/// The clusters that the function may act on: one list of patterns matches them, and another does not. For ECS these are
/// `CLUSTERS` and `EXCLUDE_CLUSTERS`.
#[derive(Clone, Debug)]
pub struct ClusterFilter {
    include: Vec<WildMatch>,
    exclude: Vec<WildMatch>,
}

/// Whether the function may act on a cluster, and if not, which setting forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The function may act on it.
    Included,
    /// No pattern matches it.
    NotIncluded,
    /// A pattern excludes it.
    Excluded,
}

impl ClusterFilter {
    /// Patterns of letters, digits, `-`, `_` and the wildcards `*` and `?`.
    pub(super) fn new(include: Vec<String>, exclude: Vec<String>) -> Self {
        let compiled = |patterns: Vec<String>| patterns.iter().map(|pattern| WildMatch::new(pattern)).collect();
        Self { include: compiled(include), exclude: compiled(exclude) }
    }

    /// Whether it matches no cluster.
    pub(crate) fn is_empty(&self) -> bool {
        self.include.is_empty()
    }

    /// What the settings say about a cluster.
    pub(crate) fn verdict(&self, cluster: &ClusterName) -> Verdict {
        let any = |patterns: &[WildMatch]| patterns.iter().any(|pattern| pattern.matches(cluster.as_str()));
        if any(&self.exclude) {
            Verdict::Excluded
        } else if any(&self.include) {
            Verdict::Included
        } else {
            Verdict::NotIncluded
        }
    }

    /// Whether `CLUSTERS` contains this very name, rather than a wildcard that matches it.
    pub(crate) fn names_literally(&self, cluster: &ClusterName) -> bool {
        self.include.iter().any(|pattern| *pattern == WildMatch::new(cluster.as_str()))
    }

    /// The names in `CLUSTERS`, if it has no wildcards: then no other cluster has to be searched.
    pub(crate) fn plain_names(&self) -> Option<Vec<ClusterName>> {
        self.include.iter().map(|pattern| ClusterName::try_from(pattern.to_string()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(include: &[&str], exclude: &[&str]) -> ClusterFilter {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        ClusterFilter::new(owned(include), owned(exclude))
    }

    fn name(name: &str) -> ClusterName {
        name.to_owned().try_into().unwrap()
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
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
    fn no_pattern_means_no_cluster() {
        let set = clusters(&[], &[]);
        assert!(set.is_empty());
        assert_eq!(set.verdict(&name("web")), Verdict::NotIncluded);
    }

    #[test]
    fn plain_names_need_a_list_without_wildcards() {
        assert_eq!(clusters(&["b", "a"], &[]).plain_names(), Some(vec![name("b"), name("a")]));
        assert_eq!(clusters(&["a", "b*"], &[]).plain_names(), None);
        assert!(clusters(&["a", "b*"], &[]).names_literally(&name("a")));
        assert!(!clusters(&["a", "b*"], &[]).names_literally(&name("b1")));
    }
}
