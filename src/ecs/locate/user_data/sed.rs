//! The effect of `sed` on the line that sets the cluster.

use super::{tokens::VARIABLE, values::UNKNOWN};

/// Whether `sed` or `perl` edits its files in place, as with `-i`, `-Ei.bak` or `--in-place`.
pub(super) fn is_in_place(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| match argument.strip_prefix("--") {
        Some(option) => option.starts_with("in-place"),
        None => argument.strip_prefix('-').is_some_and(|options| options.contains('i')),
    })
}

/// Reads a script that edits `ecs.config` or another file, given the cluster that the line names so far. Returns the
/// value that it assigns, which may contain variables; `UNKNOWN` if it changes the line in another way.
pub(super) fn edit(script: &str, is_ecs_config: bool, cluster: Option<&str>) -> Option<String> {
    let names_setting = names_setting(script);
    let otherwise = names_setting.then(|| UNKNOWN.to_owned());
    let Some((pattern, replacement)) = substitution(script) else { return otherwise };
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let is_literal = !pattern.is_empty() && !pattern.contains(|c| "\\*[]+?{}()|^$".contains(c));
    let line = match cluster {
        Some(cluster) if is_literal && (is_ecs_config || names_setting) => {
            let line = format!("{VARIABLE}={cluster}");
            if !line.contains(pattern) {
                return None;
            }
            line.replacen(pattern, replacement, 1)
        }
        _ => replacement.to_owned(),
    };
    let value = line.strip_prefix(VARIABLE).and_then(|line| line.strip_prefix('='));
    value.map(|value| value.trim_matches(['"', '\'']).to_owned()).or(otherwise)
}

/// Splits `s/pattern/replacement/flags`.
fn substitution(script: &str) -> Option<(&str, &str)> {
    let script = script.strip_prefix('s')?;
    let delimiter = script.chars().next().filter(char::is_ascii_punctuation)?;
    let mut parts = script.split(delimiter).skip(1);
    let found = (parts.next()?, parts.next()?);
    let flags = parts.next()?;
    (parts.next().is_none() && flags.chars().all(char::is_alphanumeric)).then_some(found)
}

/// Whether a script contains the setting itself, rather than `$ECS_CLUSTER` or `ECS_CLUSTER_NAME`.
fn names_setting(script: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_${".contains(c);
    let mut pieces = script.split(VARIABLE);
    let mut before = pieces.next().unwrap_or_default();
    pieces.any(|after| !std::mem::replace(&mut before, after).ends_with(is_part) && !after.starts_with(is_part))
}
