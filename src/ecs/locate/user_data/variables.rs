//! The variables of a script, and the conditional blocks that they are assigned in.

use std::collections::HashMap;

use super::unpack::after_prefix;

/// The longest value that is stored, 1 KiB: a cluster's ARN has some 330 bytes, and `A=$A$A` doubles with each line.
const VALUE_BYTES: usize = 1024;

/// The variables that are assigned up to a line.
#[derive(Default)]
pub(super) struct Variables {
    values: HashMap<String, Variable>,
    /// PowerShell ignores the case of names.
    pub(super) is_powershell: bool,
    /// The conditional blocks around the line. A block has a higher number than those before it.
    pub(super) blocks: Vec<usize>,
    /// The rest of a line after `&&` or `||` is a conditional block, too.
    pub(super) rest_of_line: Option<usize>,
    count: usize,
    /// The variables that were replaced since the outermost scope began.
    replaced: Vec<(String, Option<Variable>)>,
    scopes: usize,
}

pub(super) struct Variable {
    /// `None` if only the instance can know it.
    pub(super) text: Option<String>,
    block: usize,
}

/// The start of a scope.
pub(super) struct ScriptScope {
    replaced: usize,
    blocks: usize,
}

impl Variables {
    pub(super) fn new(is_powershell: bool) -> Self {
        Self { is_powershell, ..Self::default() }
    }

    /// A number that is higher than all before it.
    pub(super) fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    /// The innermost conditional block; block 0 is always run.
    pub(super) fn block(&self) -> usize {
        self.rest_of_line.or(self.blocks.last().copied()).unwrap_or_default()
    }

    pub(super) fn enter_block(&mut self) {
        let block = self.next();
        self.blocks.push(block);
    }

    pub(super) fn leave_block(&mut self) {
        self.blocks.pop();
    }

    /// Begins the other branch of an `if`, or the next one of a `case`.
    pub(super) fn next_branch(&mut self) {
        if self.blocks.pop().is_some() {
            self.enter_block();
        }
    }

    /// Begins a nested script, whose variables are its own.
    pub(super) fn enter_scope(&mut self) -> ScriptScope {
        self.scopes += 1;
        ScriptScope { replaced: self.replaced.len(), blocks: self.blocks.len() }
    }

    pub(super) fn leave_scope(&mut self, scope: &ScriptScope) {
        self.scopes -= 1;
        self.blocks.truncate(scope.blocks);
        for (name, value) in self.replaced.drain(scope.replaced..).rev() {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.values.get(&self.key(name))
    }

    /// Assigns a value. A conditional assignment makes a different value unknown.
    pub(super) fn assign(&mut self, name: &str, text: Option<String>) {
        let (key, block) = (self.key(name), self.block());
        let value = match self.values.get(&key) {
            Some(old) if old.block < block && old.text.as_deref() != Some("") => {
                Variable { text: text.filter(|text| old.text.as_ref() == Some(text)), block: old.block }
            }
            _ => Variable { text, block },
        };
        if self.scopes == 0 {
            self.values.insert(key, value);
        } else {
            let old = self.values.insert(key.clone(), value);
            self.replaced.push((key, old));
        }
    }

    /// Replaces the variables in a value: `$A`, `${A}`, `${A:-default}`, `$env:A`.
    pub(super) fn resolve(&self, value: &str) -> Option<String> {
        let mut pieces = value.split('$');
        let mut resolved = pieces.next().filter(|piece| piece.len() <= VALUE_BYTES)?.to_owned();
        for piece in pieces {
            let (inside, tail) = match piece.strip_prefix('{') {
                Some(piece) => piece.split_once('}').map(|(inside, tail)| (inside, Some(tail)))?,
                None => (piece, None),
            };
            let inside = after_prefix(inside, "env:").unwrap_or(inside);
            let rest = inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let name = inside.strip_suffix(rest)?;
            let operator = if tail.is_some() { rest.trim_start_matches(':') } else { "" };
            let default = operator.strip_prefix(['-', '=']);
            if default.is_none() && !operator.is_empty() && !operator.starts_with('?') {
                return None;
            }
            let value = self.get(name).map_or(default, |value| value.text.as_deref())?;
            let value = if value.is_empty() { default.unwrap_or_default() } else { value };
            let tail = tail.unwrap_or(rest);
            if resolved.len() + value.len() + tail.len() > VALUE_BYTES {
                return None;
            }
            resolved += value;
            resolved += tail;
        }
        Some(resolved)
    }

    pub(super) fn key(&self, name: &str) -> String {
        if self.is_powershell { name.to_ascii_uppercase() } else { name.to_owned() }
    }
}
