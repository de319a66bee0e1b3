//! The refresh token in an answer. Pure.
//!
//! Invariant: no other member of the answer decides whether it is found: by the time it is read,
//! the one before may be spent.

use std::time::Duration;

use serde_json::Value;

use super::lifetime::{self, Lifetime};
use crate::base::{IntegrationId, RefreshToken, Secret, Timestamp};
use crate::spec::{ResponseShape, find_any};

/// The longest refresh token.
const MAX: usize = 65_536;
/// Thirty years. More is no lifetime.
const ABSURD: Duration = Duration::from_hours(30 * 365 * 24);

/// Where the specification says it is. It goes into a form or JSON only, so unlike an access token
/// it may hold any character.
pub(super) fn refresh_token(
    answer: &Value,
    id: &IntegrationId,
    shape: &ResponseShape,
    answered_at: Timestamp,
) -> Option<RefreshToken> {
    let Value::String(text) = find_any(&shape.refresh_token, answer)? else {
        return None;
    };
    if text.trim().is_empty() {
        return None;
    }
    if text.len() > MAX {
        tracing::warn!(
            integration.id = %id,
            "the refresh token in the vendor's answer for {id} is longer than 64 KiB: it is not \
             taken"
        );
        return None;
    }
    Some(RefreshToken {
        token: Secret::new(text.as_str()),
        lifetime: lifetime(answer, shape, answered_at),
    })
}

/// In the unit of the access token's lifetime: a vendor that counts in milliseconds does so in both
/// places. Zero, less and far too much mean that the vendor did not say.
fn lifetime(answer: &Value, shape: &ResponseShape, answered_at: Timestamp) -> Option<Duration> {
    let said = find_any(&shape.refresh_token_expires_in, answer)?;
    match lifetime::relative(said, shape, answered_at)?.0 {
        Lifetime::For(lifetime) => Some(lifetime).filter(|lifetime| *lifetime <= ABSURD),
        Lifetime::Never | Lifetime::Over => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Path, Unit};
    use serde_json::json;

    fn found(answer: &Value, shape: &ResponseShape) -> Option<RefreshToken> {
        let at = Timestamp::from_unix_seconds(1_800_000_000);
        refresh_token(answer, &"billing".parse().unwrap(), shape, at)
    }

    #[test]
    fn its_lifetime_however_it_is_written() {
        for (said, seconds) in [
            (json!(8_726_400), Some(8_726_400)),
            (json!("8726400"), Some(8_726_400)),
            (json!(0), None),
            (json!(-1), None),
            (json!("-1"), None),
            (json!(null), None),
            (json!("soon"), None),
            (json!({}), None),
            (json!(1_800_000_000), None),
            (json!(1_800_086_400), Some(86_400)),
            (json!(2_800_000_000_u64), None),
            (json!(u64::MAX), None),
            (json!(1e300), None),
        ] {
            let answer = json!({"refresh_token": "r", "refresh_token_expires_in": said});
            let found = found(&answer, &ResponseShape::default()).unwrap();
            assert_eq!(found.token.expose(), "r");
            assert_eq!(found.lifetime, seconds.map(Duration::from_secs), "{answer}");
        }
    }

    #[test]
    fn its_place_and_its_unit_are_the_specifications() {
        let shape = ResponseShape {
            refresh_token: vec![Path::parse("authed_user.refresh_token").unwrap()],
            refresh_token_expires_in: vec![Path::parse("authed_user.ttl").unwrap()],
            expires_in_unit: Unit::Milliseconds,
            ..ResponseShape::default()
        };
        let answer = json!({"authed_user": {"refresh_token": "r", "ttl": 2500}});
        let lifetime = found(&answer, &shape).unwrap().lifetime;
        assert_eq!(lifetime, Some(Duration::from_millis(2500)));
        assert_eq!(found(&json!({"refresh_token": "r"}), &shape), None);
    }

    #[test]
    fn what_is_no_refresh_token() {
        for said in [json!(null), json!(""), json!("  "), json!(5), json!(["r"])] {
            let answer = json!({ "refresh_token": said });
            assert_eq!(found(&answer, &ResponseShape::default()), None, "{answer}");
        }
        let long = json!({"refresh_token": "r".repeat(MAX + 1)});
        assert_eq!(found(&long, &ResponseShape::default()), None);
        let odd = json!({"refresh_token": "r é\n\u{1}"});
        assert!(found(&odd, &ResponseShape::default()).is_some());
    }
}
