//! Identifiers: texts that were checked once and are trusted from then on.

/// A text that is not the identifier it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{found:?} is not {expected}")]
pub struct NotAnId {
    found: String,
    expected: &'static str,
}

/// Makes a type for an identifier that was checked once and is trusted from then on.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as AWS writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::identifier::NotAnId;

            fn try_from(found: String) -> Result<Self, Self::Error> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(&found) {
                    Ok(Self(found))
                } else {
                    Err($crate::identifier::NotAnId::new(found, $expected))
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
impl NotAnId {
    /// Keeps the beginning of what was found: it may be of any length, and ends up in logs.
    pub(crate) fn new(found: String, expected: &'static str) -> Self {
        let found = if found.len() > 64 { found.chars().take(64).chain(['…']).collect() } else { found };
        Self { found, expected }
    }
}

pub(crate) use identifier;

#[cfg(test)]
mod tests {
    use crate::interruption::InstanceId;

    #[test]
    fn an_error_names_what_was_expected_and_stays_short() {
        let error = InstanceId::try_from("x".repeat(10_000)).unwrap_err().to_string();
        assert!(error.contains("8 or 17 hexadecimal digits"), "{error}");
        assert!(error.len() < 200, "{}", error.len());
    }
}
