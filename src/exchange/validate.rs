//! Whether the keys and certificates that can be read now fit what is asked of them; asks no vendor.

use super::assertion::{self, Material, SignError};
use crate::base::{Secret, Timestamp};
use crate::net::{Identity, IdentityError};
use crate::secrets;
use crate::spec::{Assertion, ClientCertificate, Integration, Part};

/// What is wrong with a key: its place in the configuration, and words that go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    pub key: String,
    pub message: String,
}

/// Every key that cannot be used. Those that are not there yet, or come from commands, are passed
/// over. Blocking: reads files.
pub fn validate(integration: &Integration) -> Vec<KeyProblem> {
    let place = |key: &str| format!("integrations.{}.{key}", integration.id);
    let mut problems = Vec::new();
    for (at, assertion) in integration.grant.assertions() {
        // The client secret may be what signs.
        let of_secret = integration.grant.client_secret() == assertion.key.as_slice();
        let at = if of_secret {
            place("client_secret")
        } else {
            format!("{}.key", place(at))
        };
        problems.extend(of_assertion(assertion, &at));
    }
    if let Some(certificate) = integration.grant.client_certificate()
        && let Some(error) = of_certificate(certificate)
    {
        problems.push(KeyProblem {
            key: place(match error {
                IdentityError::NoCertificate => "client_certificate",
                IdentityError::NoKey | IdentityError::OtherKey | IdentityError::OtherKind => {
                    "client_key"
                }
            }),
            message: error.to_string(),
        });
    }
    problems
}

fn of_certificate(pair: &ClientCertificate) -> Option<IdentityError> {
    let certificate = secrets::peek(&pair.certificate)?;
    let key = secrets::peek(&pair.key)?;
    Identity::new(certificate, key).err()
}

/// Signs with each key of an assertion, and throws away what comes of it. `at`: where they are.
fn of_assertion(assertion: &Assertion, at: &str) -> Vec<KeyProblem> {
    let beside = |source| match source {
        None => Some(None),
        // Whether the key fits cannot be known without it.
        Some(source) => secrets::peek(source).map(Some),
    };
    let (Some(passphrase), Some(certificate)) = (
        beside(assertion.passphrase.as_ref()),
        beside(assertion.certificate.as_ref()),
    ) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for (index, candidate) in assertion.key.iter().enumerate() {
        let Some(key) = secrets::peek(&candidate.source) else {
            continue;
        };
        let Err(error) = signs(assertion, key, passphrase.as_ref(), certificate.as_ref()) else {
            continue;
        };
        let table = at.strip_suffix(".key").unwrap_or(at);
        let key = match (&error, &passphrase) {
            (SignError::Key(error), Some(_)) if error.is_passphrase() => {
                format!("{table}.passphrase")
            }
            (SignError::Certificate(_), _) => format!("{table}.certificate"),
            _ if assertion.key.len() > 1 => format!("{at}.{index}"),
            _ => at.to_owned(),
        };
        let message = match error {
            SignError::Key(error) => error.to_string(),
            SignError::Certificate(error) => error.to_string(),
            SignError::Unmade(error) => format!("signs nothing: what is signed {error}"),
        };
        problems.push(KeyProblem { key, message });
    }
    problems
}

fn signs(
    assertion: &Assertion,
    key: Secret,
    passphrase: Option<&Secret>,
    certificate: Option<&Secret>,
) -> Result<(), SignError> {
    let material = Material {
        key,
        passphrase: passphrase.cloned(),
        certificate: certificate.cloned(),
    };
    let mut needs_answers = false;
    assertion.walk(&mut |part| needs_answers |= matches!(part, Part::Answer { .. }));
    if needs_answers {
        let read = assertion::Key::read(&material.key, passphrase, assertion.algorithm);
        return read.map(drop).map_err(SignError::from);
    }
    let some_time = Timestamp::from_unix_seconds(0);
    assertion::sign(assertion, &material, None, &[], some_time).map(drop)
}
