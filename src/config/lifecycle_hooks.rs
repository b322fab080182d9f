//! Which lifecycle hooks the function handles.

use wildmatch::WildMatch;

/// The lifecycle hooks whose actions the function handles: `LIFECYCLE_HOOKS`.
#[derive(Clone, Debug)]
pub struct LifecycleHooks(Vec<WildMatch>);

impl LifecycleHooks {
    /// Patterns of letters, digits, `-`, `_`, `/` and the wildcards `*` and `?`.
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| WildMatch::new(pattern)).collect())
    }

    /// Whether no lifecycle action is handled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pattern matches the name of a hook.
    #[must_use]
    pub fn contains(&self, hook: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(hook))
    }
}
