//! Which lifecycle hooks the function handles.

use wildmatch::WildMatch;

/// Hooks that Amazon ECS and Amazon EKS create for managed draining and for managed node groups, and complete
/// themselves. No wildcard matches them.
const OWNED: [&str; 2] = ["ecs-managed-draining-termination-hook", "Terminate-LC-Hook"];

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
        let is_owned = OWNED.contains(&hook);
        self.0.iter().any(|pattern| if is_owned { pattern.pattern() == hook } else { pattern.matches(hook) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_does_not_match_a_hook_that_aws_completes() {
        let contains = |pattern: &str, hook| LifecycleHooks::new(&[pattern.to_owned()]).contains(hook);
        for hook in OWNED {
            assert!(!contains("*", hook) && contains(hook, hook));
        }
        assert!(contains("drain-*", "drain-web") && !contains("drain-?", "drain-web"));
    }
}
