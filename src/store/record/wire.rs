//! Records as they are written: JSON with a format number.
//!
//! Members that are not known are ignored and gone after the next save: whatever must not be lost
//! so raises [`FORMAT`], and a newer format is refused. Times are milliseconds since 1970, durations
//! milliseconds, digests hex. Invariant: what `encode` writes `decode` reads, and no error repeats
//! what was read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Access, BoundTo, Chain, Quota, Record, RecordError, Wait, WaitKind};
use crate::base::{Secret, Timestamp, Zeroizing};

pub(super) const FORMAT: u64 = 1;

/// Read first and alone: all else may look different in another format.
#[derive(Deserialize)]
struct Numbered {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct RawRecord {
    format: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<RawChain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<RawAccess>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<RawWait>,
}

#[derive(Serialize, Deserialize)]
struct RawChain {
    refresh_token: Exposed,
    client_id: String,
    at: String,
    received_at: i64,
    used_at: Option<i64>,
    expires_at: Option<i64>,
    idle_lifetime: Option<u64>,
    configured: Option<Digest>,
    intent: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct RawAccess {
    access_token: Exposed,
    token_type: String,
    scope: Option<String>,
    /// JSON in a string: it came from a vendor and may be nested as deep as a parser allows, so it
    /// must not be nested any deeper here.
    members: Exposed,
    sent_at: i64,
    lifetime: Option<u64>,
    shaped_by: Digest,
    secret_in_use: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct RawWait {
    until: i64,
    kind: RawKind,
    failures: u32,
    refusals: u32,
    asked: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Trouble,
    Refused,
    DeadGrant,
}

#[derive(Serialize, Deserialize)]
struct RawQuota {
    format: u64,
    #[serde(default)]
    requests: Vec<i64>,
    #[serde(default)]
    quiet_until: Option<i64>,
}

/// A secret on its way to the disk; `Secret` itself cannot be written, so that nothing else can.
#[derive(Deserialize)]
#[serde(transparent)]
struct Exposed(Secret);

impl Serialize for Exposed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Digest([u8; 32]);

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        crate::store::hex::encode(&digest.0)
    }
}

impl Clone for Digest {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digest = crate::store::hex::decode32(&text);
        digest.map(Self).ok_or("64 hex digits")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn stamps(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::unix_millis)
}

fn times(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_unix_millis)
}

/// Grows in steps that are wiped: serde's own buffer would leave copies behind as it grows.
struct Buffer(Zeroizing<Vec<u8>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(1024) * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn encoded(value: &impl Serialize) -> Secret {
    let mut buffer = Buffer(Zeroizing::new(Vec::new()));
    // Nothing of ours can fail to be written: keys are strings, and the buffer takes everything.
    let written = serde_json::to_writer(&mut buffer, value);
    debug_assert!(written.is_ok(), "{written:?}");
    let text = String::from_utf8(std::mem::take(&mut *buffer.0));
    Secret::new(text.unwrap_or_default())
}

fn decoded<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RecordError> {
    // serde's words repeat what they found there.
    serde_json::from_str(text).map_err(|error| RecordError::Unreadable { at: error.column() })
}

fn check_format(text: &str) -> Result<(), RecordError> {
    match decoded::<Numbered>(text)?.format {
        FORMAT => Ok(()),
        0 => Err(RecordError::Unreadable { at: 0 }),
        found => Err(RecordError::Newer { found }),
    }
}

impl Record {
    pub fn encode(&self) -> Secret {
        let Self {
            chain,
            access,
            wait,
        } = self;
        encoded(&RawRecord {
            format: FORMAT,
            chain: chain.as_ref().map(RawChain::from),
            access: access.as_ref().map(RawAccess::from),
            wait: wait.map(RawWait::from),
        })
    }

    pub fn decode(value: &Secret) -> Result<Self, RecordError> {
        check_format(value.expose())?;
        let raw: RawRecord = decoded(value.expose())?;
        Ok(Self {
            chain: raw.chain.map(Chain::from),
            access: raw.access.map(Access::try_from).transpose()?,
            wait: raw.wait.map(Wait::from),
        })
    }
}

impl Quota {
    pub fn encode(&self) -> Secret {
        let Self {
            requests,
            quiet_until,
        } = self;
        encoded(&RawQuota {
            format: FORMAT,
            requests: requests.iter().map(|at| at.unix_millis()).collect(),
            quiet_until: stamps(*quiet_until),
        })
    }

    pub fn decode(value: &Secret) -> Result<Self, RecordError> {
        check_format(value.expose())?;
        let raw: RawQuota = decoded(value.expose())?;
        Ok(Self {
            requests: raw
                .requests
                .into_iter()
                .map(Timestamp::from_unix_millis)
                .collect(),
            quiet_until: times(raw.quiet_until),
        })
    }
}

impl From<&Chain> for RawChain {
    fn from(chain: &Chain) -> Self {
        let Chain {
            refresh_token,
            bound_to: BoundTo { client_id, at },
            received_at,
            used_at,
            expires_at,
            idle_lifetime,
            configured,
            intent,
        } = chain;
        Self {
            refresh_token: Exposed(refresh_token.clone()),
            client_id: client_id.clone(),
            at: at.clone(),
            received_at: received_at.unix_millis(),
            used_at: stamps(*used_at),
            expires_at: stamps(*expires_at),
            idle_lifetime: idle_lifetime.map(millis),
            configured: configured.map(Digest),
            intent: stamps(*intent),
        }
    }
}

impl From<RawChain> for Chain {
    fn from(raw: RawChain) -> Self {
        Self {
            refresh_token: raw.refresh_token.0,
            bound_to: BoundTo {
                client_id: raw.client_id,
                at: raw.at,
            },
            received_at: Timestamp::from_unix_millis(raw.received_at),
            used_at: times(raw.used_at),
            expires_at: times(raw.expires_at),
            idle_lifetime: raw.idle_lifetime.map(Duration::from_millis),
            configured: raw.configured.map(|digest| digest.0),
            intent: times(raw.intent),
        }
    }
}

impl From<&Access> for RawAccess {
    fn from(access: &Access) -> Self {
        let Access {
            access_token,
            token_type,
            scope,
            members,
            sent_at,
            lifetime,
            shaped_by,
            secret_in_use,
        } = access;
        Self {
            access_token: Exposed(access_token.clone()),
            token_type: token_type.clone(),
            scope: scope.clone(),
            members: Exposed(encoded(members)),
            sent_at: sent_at.unix_millis(),
            lifetime: lifetime.map(millis),
            shaped_by: Digest(*shaped_by),
            secret_in_use: *secret_in_use,
        }
    }
}

impl TryFrom<RawAccess> for Access {
    type Error = RecordError;

    fn try_from(raw: RawAccess) -> Result<Self, RecordError> {
        let members: Map<String, Value> = decoded(raw.members.0.expose())?;
        Ok(Self {
            access_token: raw.access_token.0,
            token_type: raw.token_type,
            scope: raw.scope,
            members,
            sent_at: Timestamp::from_unix_millis(raw.sent_at),
            lifetime: raw.lifetime.map(Duration::from_millis),
            shaped_by: raw.shaped_by.0,
            secret_in_use: raw.secret_in_use,
        })
    }
}

impl From<Wait> for RawWait {
    fn from(wait: Wait) -> Self {
        Self {
            until: wait.until.unix_millis(),
            kind: match wait.kind {
                WaitKind::Trouble => RawKind::Trouble,
                WaitKind::Refused => RawKind::Refused,
                WaitKind::DeadGrant => RawKind::DeadGrant,
            },
            failures: wait.failures,
            refusals: wait.refusals,
            asked: Digest(wait.asked),
        }
    }
}

impl From<RawWait> for Wait {
    fn from(raw: RawWait) -> Self {
        Self {
            until: Timestamp::from_unix_millis(raw.until),
            kind: match raw.kind {
                RawKind::Trouble => WaitKind::Trouble,
                RawKind::Refused => WaitKind::Refused,
                RawKind::DeadGrant => WaitKind::DeadGrant,
            },
            failures: raw.failures,
            refusals: raw.refusals,
            asked: raw.asked.0,
        }
    }
}
