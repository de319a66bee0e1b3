//! What an exchange presented besides the client, and what a refusal of it means. Pure.
//!
//! Invariant: whatever may have been spent by being sent is told apart from what cannot be.

use super::Present;
use crate::base::IntegrationId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Presented {
    #[default]
    Nothing,
    RefreshToken {
        /// Using it may spend it.
        rotates: bool,
    },
    Code,
    DeviceCode,
}

impl Presented {
    pub(super) fn of(present: &Present, rotates: bool) -> Self {
        match present {
            Present::Nothing => Self::Nothing,
            Present::RefreshToken(_) => Self::RefreshToken { rotates },
            Present::Code { .. } => Self::Code,
            Present::DeviceCode(_) => Self::DeviceCode,
        }
    }

    /// Whether an exchange without a readable answer leaves in doubt if it can be used again.
    pub(super) fn is_left_in_doubt(self) -> bool {
        self == Self::RefreshToken { rotates: true }
    }

    /// Whether the answer may bring a refresh token that exists nowhere else.
    pub(super) fn earns_a_refresh_token(self) -> bool {
        match self {
            Self::Nothing | Self::RefreshToken { rotates: false } => false,
            Self::RefreshToken { rotates: true } | Self::Code | Self::DeviceCode => true,
        }
    }

    /// Whether this error word refuses what was presented, not the client or the request.
    pub(super) fn is_refused_by(self, error: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::RefreshToken { .. } => error == "invalid_grant",
            Self::Code | Self::DeviceCode => {
                matches!(error, "invalid_grant" | "expired_token" | "access_denied")
            }
        }
    }

    /// RFC 8628 section 3.5: the person has not decided yet. The status is 400 there; others send
    /// 403, 428 or even 200 with the same words.
    pub(super) fn is_pending(self, status: u16, error: Option<&str>) -> Option<Pending> {
        if self != Self::DeviceCode || status == 429 || !(200..500).contains(&status) {
            return None;
        }
        match error? {
            "authorization_pending" => Some(Pending { slower: false }),
            "slow_down" => Some(Pending { slower: true }),
            _ => None,
        }
    }

    /// What was refused, for a sentence that ends with what the vendor said.
    pub(super) fn refusal(self, error: Option<&str>) -> &'static str {
        match (self, error) {
            (Self::Code | Self::DeviceCode, Some("access_denied")) => "the consent was refused",
            (Self::DeviceCode, Some("expired_token")) => "nobody gave consent in time",
            (Self::DeviceCode, _) => "the vendor refused the device code",
            (Self::Code, _) => "the vendor refused the code of its consent page",
            (Self::Nothing | Self::RefreshToken { .. }, _) => {
                "the vendor refused the refresh token"
            }
        }
    }

    /// What a person must do after a refusal.
    pub(super) fn way_out(self, id: &IntegrationId, takes_logins: bool) -> String {
        match self {
            Self::Code | Self::DeviceCode => {
                format!("begin again: token-broker login {id}")
            }
            Self::Nothing | Self::RefreshToken { .. } if takes_logins => format!(
                "the refresh token is dead; a person must give consent again: token-broker login \
                 {id}"
            ),
            Self::Nothing | Self::RefreshToken { .. } => {
                "the refresh token is dead; a person must give consent again, and the new one \
                 goes into the configuration as refresh_token"
                    .to_owned()
            }
        }
    }
}

/// Not an error: to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) slower: bool,
}

#[cfg(test)]
mod tests;
