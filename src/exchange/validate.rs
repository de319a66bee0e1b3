//! Whether the keys that can be read now fit what is asked of them; asks no vendor.

use super::assertion::Key;
use crate::secrets;
use crate::spec::Integration;

/// What is wrong with a key: its place in the configuration, and words that go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    pub key: String,
    pub message: String,
}

/// Every key that cannot be used. Those that are not there yet, or come from commands, are passed
/// over. Blocking: reads files.
pub fn validate(integration: &Integration) -> Vec<KeyProblem> {
    let Some(assertion) = integration.grant.assertion() else {
        return Vec::new();
    };
    let place = format!("integrations.{}.assertion", integration.id);
    let passphrase = match &assertion.passphrase {
        None => None,
        Some(source) => match secrets::peek(source) {
            Some(secret) => Some(secret),
            // Whether it fits cannot be known.
            None => return Vec::new(),
        },
    };
    let mut problems = Vec::new();
    for (index, candidate) in assertion.key.iter().enumerate() {
        let Some(secret) = secrets::peek(&candidate.source) else {
            continue;
        };
        let read = Key::read(&secret, passphrase.as_ref(), assertion.algorithm);
        let Err(error) = read.map(drop) else { continue };
        let key = match (error.is_passphrase(), &passphrase) {
            (true, Some(_)) => format!("{place}.passphrase"),
            _ if assertion.key.len() > 1 => format!("{place}.key.{index}"),
            _ => format!("{place}.key"),
        };
        problems.push(KeyProblem {
            key,
            message: error.to_string(),
        });
    }
    problems
}
