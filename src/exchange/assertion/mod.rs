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
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

use crate::base::{Secret, Timestamp, Zeroizing};
use crate::spec::{Assertion, Claim, Jti, Part, Phrase};

/// Numbers up to 2^53 survive every JSON parser.
const INTEGER_BITS: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("this machine gives no random numbers")]
    Random,
}

/// A JWT signed at `now`, which is the clock of whoever will check it, as far as it is known.
pub(super) fn sign(
    assertion: &Assertion,
    key: &Secret,
    passphrase: Option<&Secret>,
    now: Timestamp,
) -> Result<Secret, SignError> {
    let key = Key::read(key, passphrase, assertion.algorithm)?;
    let head = header(assertion, key.kid(), now)?;
    let payload = claims(assertion, now)?;
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
    now: Timestamp,
) -> Result<Map<String, Value>, SignError> {
    let mut members = Map::new();
    members.insert("alg".to_owned(), assertion.algorithm.as_str().into());
    members.insert("typ".to_owned(), "JWT".into());
    if let Some(kid) = assertion.kid.as_deref().or(own_kid) {
        members.insert("kid".to_owned(), kid.into());
    }
    put_all(&mut members, &assertion.headers, now)?;
    Ok(members)
}

fn claims(assertion: &Assertion, now: Timestamp) -> Result<Map<String, Value>, SignError> {
    let mut members = Map::new();
    let audience: Vec<Value> = assertion
        .audience
        .iter()
        .map(|one| phrase(one, now))
        .collect::<Result<_, _>>()?;
    for (name, value) in [("iss", &assertion.issuer), ("sub", &assertion.subject)] {
        if let Some(value) = value {
            members.insert(name.to_owned(), phrase(value, now)?);
        }
    }
    match <[Value; 1]>::try_from(audience) {
        Ok([one]) => {
            members.insert("aud".to_owned(), one);
        }
        Err(none) if none.is_empty() => {}
        Err(more) => {
            members.insert("aud".to_owned(), more.into());
        }
    }
    let issued_at = now.unix_seconds() - whole_seconds(assertion.backdate);
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
    put_all(&mut members, &assertion.claims, now)?;
    Ok(members)
}

fn whole_seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}

/// Puts configured members over those that are there; an empty text removes one.
fn put_all(
    members: &mut Map<String, Value>,
    configured: &[(Phrase, Claim)],
    now: Timestamp,
) -> Result<(), SignError> {
    for (name, value) in configured {
        let name = text(name, now)?;
        match json(value, now)? {
            Value::String(text) if text.is_empty() => {
                members.shift_remove(&name);
            }
            value => {
                members.insert(name, value);
            }
        }
    }
    Ok(())
}

fn json(claim: &Claim, now: Timestamp) -> Result<Value, SignError> {
    Ok(match claim {
        Claim::Bool(value) => (*value).into(),
        Claim::Integer(value) => (*value).into(),
        Claim::Float(value) => (*value).into(),
        Claim::Text(value) => phrase(value, now)?,
        Claim::List(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| json(item, now)).collect();
            items?.into()
        }
        Claim::Table(entries) => {
            let mut members = Map::new();
            for (name, value) in entries {
                members.insert(text(name, now)?, json(value, now)?);
            }
            members.into()
        }
    })
}

/// Text, or a number if it is nothing but a time.
fn phrase(phrase: &Phrase, now: Timestamp) -> Result<Value, SignError> {
    match phrase.0.as_slice() {
        [Part::Now(offset)] => Ok(moment(now, *offset).into()),
        _ => Ok(text(phrase, now)?.into()),
    }
}

fn text(phrase: &Phrase, now: Timestamp) -> Result<String, SignError> {
    let mut text = String::new();
    for part in &phrase.0 {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Now(offset) => text.push_str(&moment(now, *offset).to_string()),
            Part::Uuid => text.push_str(&uuid()?),
        }
    }
    Ok(text)
}

fn moment(now: Timestamp, offset: i64) -> i64 {
    now.unix_seconds().saturating_add(offset)
}

fn random<const N: usize>() -> Result<[u8; N], SignError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.is_ok().then_some(bytes).ok_or(SignError::Random)
}

/// RFC 9562, version 4.
fn uuid() -> Result<String, SignError> {
    let mut bits = u128::from_be_bytes(random()?);
    bits = bits & !(0xf << 76) | 0x4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    Ok(uuid)
}

#[cfg(test)]
mod tests;
