//! Names of integrations, valid by type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name such as `sfmc` or `sfmc-emea`: `[a-z0-9]+([_-][a-z0-9]+)*`, at most 64 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegrationId(Arc<str>);

const MAX_LENGTH: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is lower-case letters and digits, single '-' or '_' between them, at most 64 characters"
)]
pub struct IdError;

impl IntegrationId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IntegrationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let well_formed = text.len() <= MAX_LENGTH
            && text.split(['-', '_']).all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            });
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(IdError)
        }
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for IntegrationId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in [
            "a",
            "sfmc",
            "sfmc-emea",
            "a_b-c1",
            "360learning",
            &"x".repeat(64),
        ] {
            assert!(good.parse::<IntegrationId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "a_-b",
            "A",
            "a.b",
            "a/b",
            "é",
            "a b",
            &"x".repeat(65),
        ] {
            assert_eq!(bad.parse::<IntegrationId>(), Err(IdError), "{bad}");
        }
    }
}
