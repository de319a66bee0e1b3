//! JWTs of our own: what stands in them and the signature. Pure but for random numbers.
//!
//! `key` reads keys, `jwk` and `pem` their forms. Signing takes milliseconds, unlocking a key longer:
//! callers do both off the serving thread. Invariant: no error holds anything of a key.

mod jwk;
mod key;
mod pem;

pub(super) use key::{Key, KeyError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::phrase::{Fingerprints, INTEGER_BITS, Moment, Unmade, random, uuid};
use crate::base::{Secret, Timestamp, Zeroizing};
use crate::spec::{Assertion, Draft, Jti, Phrase};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignError {
    #[error("the key {0}")]
    Key(#[from] KeyError),
    #[error("it {0}")]
    Unmade(#[from] Unmade),
    #[error("the certificate {0}")]
    Certificate(#[from] pem::CertificateError),
}

/// What an assertion is signed with.
#[derive(Debug, Clone)]
pub(super) struct Material {
    pub(super) key: Secret,
    pub(super) passphrase: Option<Secret>,
    pub(super) certificate: Option<Secret>,
}

/// A JWT signed at `now`, which is the clock of whoever will check it, as far as it is known.
/// `audience` is whom it is for where it does not say so itself; `answers` are what the steps before
/// brought.
pub(super) fn sign(
    assertion: &Assertion,
    material: &Material,
    audience: Option<&str>,
    answers: &[Value],
    now: Timestamp,
) -> Result<Secret, SignError> {
    let passphrase = material.passphrase.as_ref();
    let key = Key::read(&material.key, passphrase, assertion.algorithm)?;
    let key_fingerprint = key.fingerprint();
    let certificate = match &material.certificate {
        Some(certificate) => Some(pem::certificate_fingerprint(certificate.expose())?),
        None => pem::certificate_fingerprint(material.key.expose()).ok(),
    };
    let moment = Moment::new(now)
        .with_answers(answers)
        .with_fingerprints(Fingerprints {
            key: key_fingerprint.as_deref(),
            certificate: certificate.as_deref(),
        });
    let head = header(assertion, key.kid(), &moment)?;
    let payload = claims(assertion, audience, &moment)?;
    let mut jwt = Zeroizing::new(format!("{}.{}", encode(&head), encode(&payload)));
    let signature = key.sign(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(Secret::new(std::mem::take(&mut *jwt)))
}

fn encode(members: &Map<String, Value>) -> String {
    let json = serde_json::to_vec(members).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

fn header(
    assertion: &Assertion,
    own_kid: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Map<String, Value>, SignError> {
    let mut members = Map::new();
    members.insert("alg".to_owned(), assertion.algorithm.as_str().into());
    members.insert("typ".to_owned(), "JWT".into());
    if let Some(kid) = assertion.kid.as_deref().or(own_kid) {
        members.insert("kid".to_owned(), kid.into());
    }
    put_all(&mut members, &assertion.headers, moment)?;
    Ok(members)
}

fn claims(
    assertion: &Assertion,
    audience: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Map<String, Value>, SignError> {
    let mut members = Map::new();
    let own: Vec<Value> = assertion
        .audience
        .iter()
        .map(|one| moment.value(one))
        .collect::<Result<_, _>>()?;
    for (name, value) in [("iss", &assertion.issuer), ("sub", &assertion.subject)] {
        if let Some(value) = value {
            members.insert(name.to_owned(), moment.value(value)?);
        }
    }
    let audience = match (<[Value; 1]>::try_from(own), audience) {
        (Ok([one]), _) => Some(one),
        (Err(none), audience) if none.is_empty() => audience.map(Value::from),
        (Err(more), _) => Some(more.into()),
    };
    if let Some(audience) = audience {
        members.insert("aud".to_owned(), audience);
    }
    let issued_at = moment.now.unix_seconds() - whole_seconds(assertion.backdate);
    if assertion.issued_at {
        members.insert("iat".to_owned(), issued_at.into());
    }
    let expires = issued_at + whole_seconds(assertion.lifetime);
    members.insert("exp".to_owned(), expires.into());
    match assertion.jti {
        Jti::Uuid => {
            members.insert("jti".to_owned(), uuid()?.into());
        }
        Jti::Integer => {
            let bits = u64::from_be_bytes(random()?) & INTEGER_BITS;
            members.insert("jti".to_owned(), bits.into());
        }
        Jti::None => {}
    }
    put_all(&mut members, &assertion.claims, moment)?;
    Ok(members)
}

fn whole_seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}

/// Puts configured members over those that are there; an empty text removes one.
fn put_all(
    members: &mut Map<String, Value>,
    configured: &[(Phrase, Draft)],
    moment: &Moment<'_>,
) -> Result<(), SignError> {
    for (name, value) in configured {
        let name = moment.text(name)?;
        match moment.json(value)? {
            Value::String(text) if text.is_empty() => {
                members.shift_remove(name.as_str());
            }
            value => {
                members.insert(name.as_str().to_owned(), value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
