//! The value of one setting, and what is wrong with it.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive};

use crate::identifier::{AccountId, ParseError};

/// An environment variable whose value is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}: expected {expected}")]
pub struct InvalidSetting {
    name: &'static str,
    value: String,
    expected: String,
}

/// The value of an environment variable, if it has one.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
}

impl Setting {
    /// One of a few words, the first of which is the default.
    pub(super) fn one_of<T: Copy, const N: usize>(self, options: &[(&str, T); N]) -> Result<T, InvalidSetting> {
        let Some(value) = &self.value else { return Ok(options[0].1) };
        let option = options.iter().find(|(word, _)| word == value).map(|(_, option)| *option);
        option.ok_or_else(|| self.invalid(options.each_ref().map(|(word, _)| *word).join(" or ")))
    }

    /// A comma-separated list of cluster names with wildcards.
    pub(super) fn patterns(self) -> Result<Vec<String>, InvalidSetting> {
        self.list(
            350,
            "-_*?",
            "comma-separated cluster names of letters, digits, - and _, with * and ? as wildcards, at most 350 characters",
        )
    }

    /// A comma-separated list of lifecycle hooks' names with wildcards.
    pub(super) fn hook_names(self) -> Result<Vec<String>, InvalidSetting> {
        self.list(
            150,
            "-_/*?",
            "comma-separated names of lifecycle hooks of letters, digits, -, _ and /, with * and ? as wildcards, at most 150 characters",
        )
    }

    /// A comma-separated list of names of letters, digits and some other characters.
    fn list(self, length: usize, others: &str, expected: &str) -> Result<Vec<String>, InvalidSetting> {
        let value = self.value.as_deref().unwrap_or_default();
        let names: Vec<_> = value.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
        // Commas alone name nothing. They must not mean everything.
        let names_something = self.value.is_none() || !names.is_empty();
        let is_name =
            |name: &String| name.len() <= 255 && name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
        if names_something && value.len() <= length && names.iter().all(is_name) {
            Ok(names)
        } else {
            Err(self.invalid(expected))
        }
    }

    /// The key of an EC2 tag.
    pub(super) fn tag_key(self) -> Result<Option<String>, InvalidSetting> {
        // 128 characters: "Tag restrictions" in the Amazon EC2 User Guide.
        if self.value.as_ref().is_none_or(|key| key.chars().count() <= 128) {
            Ok(self.value)
        } else {
            Err(self.invalid("the key of an EC2 tag, at most 128 characters"))
        }
    }

    /// A value of letters, digits and some other characters.
    pub(super) fn matching(
        self,
        length: RangeInclusive<usize>,
        others: &str,
        expected: &str,
    ) -> Result<Option<String>, InvalidSetting> {
        let fits = |value: &String| {
            length.contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        if self.value.as_ref().is_none_or(fits) { Ok(self.value) } else { Err(self.invalid(expected)) }
    }

    /// A comma-separated list of account ids.
    pub(super) fn accounts(self) -> Result<BTreeSet<AccountId>, InvalidSetting> {
        let Some(value) = &self.value else { return Ok(BTreeSet::new()) };
        let accounts = value.split(',').map(|id| id.trim().to_owned().try_into()).collect::<Result<Vec<_>, _>>();
        let accounts = accounts.ok().filter(|accounts| accounts.len() <= 100);
        let expected = "comma-separated AWS account ids of 12 digits each, at most 100";
        accounts.map(|accounts| accounts.into_iter().collect()).ok_or_else(|| self.invalid(expected))
    }

    /// An identifier.
    pub(super) fn identifier<T: TryFrom<String, Error = ParseError>>(self) -> Result<Option<T>, InvalidSetting> {
        let identifier = self.value.clone().map(T::try_from).transpose();
        identifier.map_err(|error| self.invalid(error.expected))
    }

    pub(super) fn invalid(self, expected: impl fmt::Display) -> InvalidSetting {
        InvalidSetting { name: self.name, value: self.value.unwrap_or_default(), expected: expected.to_string() }
    }
}
