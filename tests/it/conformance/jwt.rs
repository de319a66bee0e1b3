//! A signed JWT, verified by a library that did not sign it.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use token_broker::base::Timestamp;

use super::differ::same;
use super::fixture::Jwt;

/// The key pair of `tests/conformance/adobe-jwt.key`, which protects nothing.
const PUBLIC_KEY: &str = include_str!("../../../src/sandbox/adobe_jwt.pub");

/// `made`: when, as far as that is known.
pub(super) fn same_jwt(
    expected: &Jwt,
    token: &str,
    made: RangeInclusive<Timestamp>,
) -> Result<(), String> {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|e| e.to_string())?;
    let mut header: Map<String, Value> =
        serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    let algorithm = header.remove("alg").unwrap_or_default();
    same(
        "alg",
        expected.algorithm.as_str(),
        algorithm.as_str().unwrap(),
    )?;
    same("typ", Some("JWT".into()), header.remove("typ"))?;
    same("header", &expected.header, &header)?;

    let algorithm: Algorithm = expected.algorithm.parse().unwrap();
    let mut validation = Validation::new(algorithm);
    // The fixture says what the claims are, by the test's own clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = public_key(expected, algorithm);
    let verified = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
    let mut claims = verified.map_err(|error| error.to_string())?.claims;

    let made = made.start().unix_seconds()..=made.end().unix_seconds();
    let exp = claims.remove("exp");
    let exp = exp.and_then(|exp| exp.as_i64()).ok_or("no exp")?;
    let fits = match expected.lifetime {
        Some(lifetime) => made.contains(&(exp - lifetime)),
        None => (made.start() + 1..=made.end() + 300).contains(&exp),
    };
    same("exp", true, fits)?;
    for (name, wanted) in expected.claims.as_object().unwrap() {
        let Some(found) = claims.get_mut(name) else {
            continue;
        };
        if fits_placeholder(wanted, found, &made) {
            *found = wanted.clone();
        }
    }
    same("claims", &expected.claims, &Value::Object(claims))
}

fn fits_placeholder(wanted: &Value, found: &Value, made: &RangeInclusive<i64>) -> bool {
    let Some(name) = wanted
        .as_str()
        .and_then(|wanted| wanted.strip_prefix('{')?.strip_suffix('}'))
    else {
        return false;
    };
    if name == "unique" {
        return found.as_str().is_some_and(|found| found.len() >= 16);
    }
    let Some(before) = name.strip_prefix("now") else {
        return false;
    };
    let before: i64 = if before.is_empty() {
        0
    } else {
        before.parse().unwrap()
    };
    let at = found.as_i64();
    at.is_some_and(|at| made.contains(&(at - before)))
}

fn public_key(expected: &Jwt, algorithm: Algorithm) -> DecodingKey {
    let Some(file) = &expected.public_key else {
        let public: String = PUBLIC_KEY.split_whitespace().collect();
        return DecodingKey::from_rsa_der(&STANDARD.decode(public).unwrap());
    };
    let pem = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(&pem).unwrap(),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(&pem).unwrap(),
        _ => DecodingKey::from_rsa_pem(&pem).unwrap(),
    }
}
