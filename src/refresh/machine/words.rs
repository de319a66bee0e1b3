//! What a machine says when the vendor has said nothing: failures in plain words. Pure.
//!
//! Invariant: names and times only, never a token.

use std::time::Duration;

use super::At;
use crate::base::{ErrorCode, Failure, Now, Timestamp};
use crate::spec::{FirstRefreshToken, Integration, RateLimit, SecretSource};
use crate::store::{BoundTo, Chain, WaitKind};

fn failure(code: ErrorCode, description: String, hint: String, now: Now) -> Failure {
    Failure {
        code,
        description,
        hint: Some(hint),
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

/// What a person does to give the broker a new refresh token.
pub(in crate::refresh) fn remedy(spec: &Integration) -> String {
    let id = &spec.id;
    match spec.grant.refreshing().map(|refreshing| &refreshing.first) {
        Some(FirstRefreshToken::Configured(source)) => {
            let place = match source {
                SecretSource::Value(_) => "its value or environment variable".to_owned(),
                SecretSource::File(path) => format!("the file {}", path.display()),
                SecretSource::Command(_) => "what its command prints".to_owned(),
            };
            format!(
                "get a new refresh token from the vendor and put it where \
                 integrations.{id}.refresh_token comes from ({place})"
            )
        }
        Some(
            FirstRefreshToken::AuthorizationCode { .. } | FirstRefreshToken::DeviceCode { .. },
        )
        | None => format!("run 'token-broker login {id}'"),
    }
}

/// There is no refresh token to begin with.
pub(super) fn no_refresh_token(spec: &Integration, now: Now) -> Failure {
    let id = &spec.id;
    let description = if spec.grant.takes_logins() {
        format!("nobody has given '{id}' consent yet, or the vendor gave no refresh token with it")
    } else {
        format!("'{id}' has no refresh token: the configured one is empty")
    };
    failure(ErrorCode::LoginRequired, description, remedy(spec), now)
}

/// The stored refresh token is another client's, or another vendor's.
pub(super) fn foreign(spec: &Integration, chain: &Chain, now: Now) -> Failure {
    let id = &spec.id;
    let BoundTo { client_id, at } = &chain.bound_to;
    let ours = BoundTo::of(spec);
    let (our_client, our_place) = ours
        .as_ref()
        .map_or(("", ""), |ours| (&ours.client_id, &ours.at));
    failure(
        ErrorCode::LoginRequired,
        format!(
            "the stored refresh token of '{id}' belongs to client '{client_id}' at '{at}', but \
             the configuration now says client '{our_client}' at '{our_place}': it is kept, and \
             not sent there"
        ),
        format!(
            "if both are the same client at the same vendor, stop the broker and run 'token-broker \
             store adopt {id}'; else undo the change, or {}",
            remedy(spec)
        ),
        now,
    )
}

/// The stored entry is there, but cannot be understood.
pub(super) fn unreadable(spec: &Integration, why: &str, now: Now) -> Failure {
    let id = &spec.id;
    failure(
        ErrorCode::LoginRequired,
        format!("what the store holds of '{id}' cannot be used, and is left as it is: {why}"),
        format!(
            "if a newer broker wrote it, run that one; to begin anew, stop the broker and run \
             'token-broker store forget {id}', then {}",
            remedy(spec)
        ),
        now,
    )
}

/// The store cannot say whether there is a refresh token.
pub(super) fn unloaded(spec: &Integration, why: &str, now: Now) -> Failure {
    let id = &spec.id;
    failure(
        ErrorCode::TemporarilyUnavailable,
        format!("the refresh token of '{id}' could not be loaded: {why}"),
        "nothing is sent before the store can be read: an older refresh token could end the \
         consent; check the store's disk"
            .to_owned(),
        now,
    )
}

/// A wait that was imposed before the broker was started.
pub(super) fn restored(spec: &Integration, kind: WaitKind, until: Timestamp, now: Now) -> Failure {
    let id = &spec.id;
    let (code, what) = match kind {
        WaitKind::Trouble => (
            ErrorCode::TemporarilyUnavailable,
            "the last token request failed",
        ),
        WaitKind::Refused => (
            ErrorCode::CredentialsRejected,
            "the vendor refused the last token request",
        ),
        WaitKind::DeadGrant => (
            ErrorCode::LoginRequired,
            "the vendor refused the refresh token",
        ),
    };
    let hint = match kind {
        WaitKind::Trouble => {
            "nothing to do: a restart is no reason to ask the vendor sooner".to_owned()
        }
        WaitKind::Refused => format!(
            "correct the credentials: a secret that changes while the broker runs is tried at \
             once, and 'token-broker doctor {id}' says what the vendor answers"
        ),
        WaitKind::DeadGrant => remedy(spec),
    };
    failure(
        code,
        format!("{what} of '{id}' before this start of the broker; it asks again at {until}"),
        hint,
        now,
    )
}

/// The vendor refused a refresh token: what that means here.
pub(super) fn dead(spec: &Integration, chain: &Chain, mut refusal: Failure, now: Now) -> Failure {
    let id = &spec.id;
    let remedy = remedy(spec);
    if let Some(begun) = chain.intent {
        refusal.description = format!(
            "{}; an exchange of '{id}' that began at {begun} was interrupted before its answer \
             was saved",
            refusal.description
        );
        refusal.hint = Some(format!(
            "the vendor had probably taken the refresh token then, and the new one in its answer \
             was lost, so that only a new consent helps: {remedy}"
        ));
    } else if let Some(ended) = chain.expires_at.filter(|ended| *ended <= now.wall) {
        refusal.hint = Some(format!("the refresh token expired at {ended}: {remedy}"));
    } else {
        refusal.hint = Some(match refusal.hint {
            Some(hint) if hint.contains(&format!("token-broker login {id}")) => hint,
            Some(hint) => format!("{hint}; {remedy}"),
            None => remedy,
        });
    }
    refusal.code = ErrorCode::LoginRequired;
    refusal
}

/// Nobody came back in time.
/// So many requests as the vendor allows were sent.
pub(super) fn limit_spent(spec: &Integration, limit: RateLimit, at: At) -> Failure {
    let id = &spec.id;
    let mut failure = failure(
        ErrorCode::RateLimited,
        format!("the limit on token requests that '{id}' keeps to, {limit}, is spent"),
        "refresh.rate_limit is the vendor's limit on all token requests of this client: ask less \
         often, or correct it if the vendor allows more"
            .to_owned(),
        at.now,
    );
    failure.retry_after = Some(at.room.from.since(at.now.mono));
    failure
}

pub(super) fn login_expired(spec: &Integration, now: Now) -> Failure {
    let id = &spec.id;
    failure(
        ErrorCode::LoginRequired,
        format!("the login of '{id}' was not completed in time"),
        format!("begin again: 'token-broker login {id}'"),
        now,
    )
}

/// The broker stopped, or the definition that the login was begun for is not the one any more.
pub(super) fn login_cut_short(spec: &Integration, now: Now) -> Failure {
    let id = &spec.id;
    failure(
        ErrorCode::LoginRequired,
        format!(
            "the login of '{id}' was cut short: its configuration changed, or the broker stopped"
        ),
        format!("begin again: 'token-broker login {id}'"),
        now,
    )
}

/// A login whose one request failed in passing: nobody sends a code twice.
pub(super) fn to_repeat(spec: &Integration, mut failure: Failure, wait: Duration) -> Failure {
    let id = &spec.id;
    let mut way = String::new();
    if !wait.is_zero() {
        way = format!(" in {} s", wait.as_secs_f64().ceil());
        failure.retry_after = Some(wait);
    }
    failure.hint = Some(match failure.hint.take() {
        Some(hint) => format!("{hint}; then begin again{way}: 'token-broker login {id}'"),
        None => format!("begin again{way}: 'token-broker login {id}'"),
    });
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;
    use crate::refresh::machine::tests::now;
    use crate::refresh::tests::{failure, rotating};
    use crate::spec::{Endpoint, Grant};
    use std::sync::Arc;

    #[test]
    fn a_dead_grant_names_the_way_out_once() {
        let mut spec = rotating();
        if let Grant::RefreshToken(_, refreshing) = &mut spec.grant {
            let endpoint = Endpoint::parse("https://auth.example.com/device").unwrap();
            Arc::make_mut(refreshing).first = FirstRefreshToken::DeviceCode {
                device_authorization_endpoint: endpoint.into(),
            };
        }
        let chain = Chain {
            refresh_token: Secret::new("refresh"),
            bound_to: BoundTo {
                client_id: String::new(),
                at: "acme".into(),
            },
            received_at: now(0).wall,
            used_at: None,
            expires_at: None,
            idle_lifetime: None,
            configured: None,
            intent: None,
        };
        let way = "token-broker login acme";
        for hint in ["the vendor says why", "it is dead: token-broker login acme"] {
            let refusal = Failure {
                hint: Some(hint.to_owned()),
                ..failure(ErrorCode::LoginRequired)
            };
            let said = dead(&spec, &chain, refusal, now(0)).hint.unwrap();
            assert!(said.starts_with(hint), "{said}");
            assert_eq!(said.matches(way).count(), 1, "{said}");
        }
    }
}
