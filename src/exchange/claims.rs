//! What a token says of itself, if it is a JWT: unverified, so good for hints and for times that only
//! shorten what is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims.
pub(super) fn of(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Whether calls need a key besides (RFC 9449, RFC 8705 section 3): then the token alone is refused.
pub(super) fn is_bound(token: &str, token_type: &str) -> bool {
    let confirms = |claims: Value| claims.get("cnf").is_some_and(Value::is_object);
    matches!(token_type, "DPoP" | "PoP") || of(token).is_some_and(confirms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_that_is_bound_to_a_key_says_so() {
        let jwt = |claims: Value| format!("e30.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let bound = jwt(json!({"exp": 1, "cnf": {"x5t#S256": "abc"}}));
        assert!(is_bound(&bound, "Bearer"));
        assert!(is_bound("opaque", "DPoP"));
        for free in [
            jwt(json!({"exp": 1})),
            jwt(json!({"cnf": null})),
            format!("{bound}.x"),
            "e30..".to_owned(),
            "opaque".to_owned(),
        ] {
            assert!(!is_bound(&free, "Bearer"), "{free}");
        }
    }
}
