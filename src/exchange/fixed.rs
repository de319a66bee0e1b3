//! The `static` grant: a token that somebody else obtained. Asks nobody.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::lifetime::{self, Lifetime};
use super::response::is_token;
use super::{Ask, DeviceAuthorization, Outcome, TokenSource};
use crate::base::{Clock, ErrorCode, Failure, Issued, Now, Secret, Timestamp};
use crate::secrets;
use crate::spec::{Endpoint, Hint, Integration, StaticToken, Vendor};

pub(super) struct Fixed {
    integration: Arc<Integration>,
    expires_at: Option<Timestamp>,
    token: secrets::Handle,
    clock: Arc<dyn Clock>,
    changes: Arc<secrets::Changes>,
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixed({})", self.integration.id)
    }
}

impl Fixed {
    pub(super) fn new(
        integration: Arc<Integration>,
        spec: &StaticToken,
        vault: &secrets::Vault,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let changes = Arc::new(secrets::Changes::default());
        let token = vault.open(&spec.token);
        token.notify(&changes);
        Self {
            integration,
            expires_at: spec.expires_at,
            token,
            clock,
            changes,
        }
    }

    async fn look(&self) -> Outcome {
        let timeout = self.integration.refresh.timeout;
        let read = tokio::time::timeout(timeout, self.token.read_for(&self.changes)).await;
        let now = self.clock.now();
        let unavailable = |why: &str| {
            let description = format!("the token cannot be read: {why}");
            Outcome::SecretUnavailable(self.failure(ErrorCode::SecretUnavailable, description, now))
        };
        match read {
            Ok(Ok(token)) if is_token(token.expose()) => self.judge(token, now),
            Ok(Ok(_)) => unavailable(
                "it is not 1 to 65536 printable characters without spaces and line breaks",
            ),
            Ok(Err(error)) => unavailable(&error.to_string()),
            Err(_) => unavailable("its source does not answer"),
        }
    }

    /// The configured expiry counts, else a JWT's own.
    fn judge(&self, token: Secret, now: Now) -> Outcome {
        let lifetime = match self.expires_at {
            Some(at) => lifetime::until(at, now.wall),
            None => lifetime::of_jwt(token.expose(), now.wall).unwrap_or(Lifetime::Never),
        };
        let lifetime = match lifetime {
            Lifetime::For(lifetime) => Some(lifetime),
            Lifetime::Never => None,
            Lifetime::Over => {
                let description = match self.expires_at {
                    Some(at) => format!("the configured token expired at {at}: put a new one in"),
                    None => "the configured token is a JWT that has expired: put a new one in"
                        .to_owned(),
                };
                return Outcome::Expired(self.failure(ErrorCode::TokenExpired, description, now));
            }
        };
        Outcome::Issued(Box::new(Issued {
            access_token: token,
            token_type: self.integration.response.token_type.clone(),
            scope: None,
            members: serde_json::Map::new(),
            sent_at: now,
            lifetime,
            secret_in_use: None,
            refresh_token: None,
        }))
    }

    fn failure(&self, code: ErrorCode, description: String, now: Now) -> Failure {
        advised(&self.integration.vendor, code, description, now)
    }
}

/// No vendor answered, so the provider's hints go by our own word for the failure.
fn advised(vendor: &Vendor, code: ErrorCode, description: String, now: Now) -> Failure {
    let fits = |hint: &&Hint| hint.when.matches(None, Some(code.as_str()), &description);
    let hint = vendor.hints.iter().find(fits);
    Failure {
        hint: hint.map(|hint| hint.advice.clone()),
        ..failure(code, description, now)
    }
}

/// A secret that cannot be had.
pub(super) fn unavailable(vendor: &Vendor, why: &str, now: Now) -> Outcome {
    let description = format!("a secret cannot be used: {why}");
    Outcome::SecretUnavailable(advised(
        vendor,
        ErrorCode::SecretUnavailable,
        description,
        now,
    ))
}

pub(super) fn failure(code: ErrorCode, description: String, now: Now) -> Failure {
    Failure {
        code,
        description,
        hint: None,
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

/// For grants that nobody logs in to so.
pub(super) fn no_login(now: Now) -> Outcome {
    let description = "this grant has no such login".to_owned();
    Outcome::BadRequest(failure(ErrorCode::RequestRejected, description, now))
}

impl TokenSource for Fixed {
    fn ask<'a>(&'a self, _ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async { Some(self.look().await) })
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        Box::pin(async { Err(no_login(self.clock.now())) })
    }

    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<Endpoint, Outcome>> {
        Box::pin(async { Err(no_login(self.clock.now())) })
    }

    fn secret_changes(&self) -> &secrets::Changes {
        &self.changes
    }
}
