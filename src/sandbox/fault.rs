//! Faults of a token endpoint: how they are asked for, and what they do to an answer.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::reply::{Body, Reply};
use super::vendor::Vendor;

/// The longest wait of a fault; a hanging answer ends with a reset after it.
const MAX_SECONDS: f64 = 3600.0;
const MAX_BYTES: u64 = 4 << 30;
const CHUNK: usize = 64 * 1024;
/// Lets the first half of an answer leave before its connection is reset.
const HALF_WAY_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Fault {
    /// This status; `body` is a string (sent as it is) or JSON.
    Status {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The ordinary answer, late.
    Delay { seconds: f64 },
    /// The request is read, and never answered.
    Hang {},
    /// The connection is reset; `half_way`: after half of the ordinary answer.
    Reset {
        #[serde(default)]
        half_way: bool,
    },
    /// The request is carried out, and the answer is lost: the connection is reset.
    Lose {},
    /// The ordinary answer without its access token.
    NoToken {},
    /// 200 and JSON by its header, noise by its content.
    Garbage {},
    /// The vendor's own 429.
    Throttle {
        #[serde(default = "five")]
        retry_after: u64,
    },
    /// The vendor's own answer to wrong credentials, whatever they are.
    Refuse {},
    /// The ordinary answer, a byte at a time.
    Drip {
        #[serde(default = "one")]
        seconds: f64,
    },
    Redirect {
        #[serde(default)]
        location: Option<String>,
    },
    /// A page for people, as proxies and firewalls send it.
    Html {
        #[serde(default = "ok")]
        status: u16,
    },
    /// A JSON answer that does not end for a long time.
    Huge {
        #[serde(default = "huge")]
        bytes: u64,
    },
}

/// What the control path can ask for.
#[derive(Debug, PartialEq)]
pub(super) enum Order {
    Arm(Armed),
    /// Not a fault that stays: the tokens issued so far are refused by the API side.
    Revoke,
}

/// A fault that is switched on, for ever or for a number of requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Armed {
    fault: Fault,
    left: Option<u64>,
}

fn five() -> u64 {
    5
}
fn one() -> f64 {
    1.0
}
fn ok() -> u16 {
    200
}
fn huge() -> u64 {
    256 << 20
}

impl Order {
    /// Strict: an unknown kind or member, or a value out of range, is refused with the reason.
    pub(super) fn parse(mut body: Value) -> Result<Self, String> {
        let members = body
            .as_object_mut()
            .ok_or("the body must be a JSON object such as {\"kind\": \"hang\", \"times\": 1}")?;
        let left = match members.remove("times") {
            None | Some(Value::Null) => None,
            Some(times) => Some(
                times
                    .as_u64()
                    .filter(|times| *times > 0)
                    .ok_or("times must be a whole number above 0, or null for ever")?,
            ),
        };
        if members.get("kind").and_then(Value::as_str) == Some("revoke") {
            return if members.len() == 1 && left.is_none() {
                Ok(Self::Revoke)
            } else {
                Err("revoke happens at once and takes no parameters".to_owned())
            };
        }
        let fault: Fault = serde_json::from_value(body).map_err(|error| error.to_string())?;
        fault.check()?;
        Ok(Self::Arm(Armed { fault, left }))
    }
}

impl Armed {
    /// The fault for one request; the last of its times switches it off.
    pub(super) fn take(slot: &mut Option<Self>) -> Option<Fault> {
        let armed = slot.as_mut()?;
        let fault = armed.fault.clone();
        if let Some(left) = &mut armed.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                *slot = None;
            }
        }
        Some(fault)
    }

    pub(super) fn report(&self) -> Value {
        let mut report = serde_json::to_value(&self.fault).unwrap_or_default();
        if let Some(members) = report.as_object_mut() {
            members.insert("times".to_owned(), json!(self.left));
        }
        report
    }
}

impl Fault {
    fn check(&self) -> Result<(), String> {
        let (in_range, rule) = match self {
            Self::Status { status, .. } | Self::Html { status } => (
                (200..=599).contains(status),
                "status must be within 200 to 599",
            ),
            Self::Delay { seconds } | Self::Drip { seconds } => (
                (0.0..=MAX_SECONDS).contains(seconds),
                "seconds must be within 0 to 3600",
            ),
            Self::Huge { bytes } => (*bytes <= MAX_BYTES, "bytes must be at most 4294967296"),
            Self::Redirect { location } => (
                location
                    .as_deref()
                    .is_none_or(|text| HeaderValue::from_str(text).is_ok()),
                "location must be fit for a header",
            ),
            Self::Hang {}
            | Self::Reset { .. }
            | Self::Lose {}
            | Self::NoToken {}
            | Self::Garbage {}
            | Self::Throttle { .. }
            | Self::Refuse {} => (true, ""),
        };
        if in_range {
            Ok(())
        } else {
            Err(rule.to_owned())
        }
    }

    /// What the caller gets. `answer` makes the ordinary answer, which may issue a token.
    pub(super) async fn apply(
        self,
        vendor: &Vendor,
        reset: &CancellationToken,
        answer: impl FnOnce() -> Reply + Send,
    ) -> Response<Body> {
        match self {
            Self::Status {
                status,
                body,
                retry_after,
            } => with_retry_after(plain(status, &body), retry_after).into_response(),
            Self::Delay { seconds } => {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                answer().into_response()
            }
            Self::Hang {} => {
                tokio::time::sleep(Duration::from_secs_f64(MAX_SECONDS)).await;
                break_off(reset).await
            }
            Self::Reset { half_way: false } => break_off(reset).await,
            Self::Reset { half_way: true } => half_way(answer(), reset.clone()),
            Self::Lose {} => {
                drop(answer());
                break_off(reset).await
            }
            Self::NoToken {} => without_token(answer()).into_response(),
            Self::Garbage {} => {
                let noise = std::iter::repeat_with(|| fastrand::u8(128..)).take(200);
                let mut reply = Reply::json(StatusCode::OK, &Value::Null);
                reply.body = noise.collect();
                reply.into_response()
            }
            Self::Throttle { retry_after } => {
                with_retry_after((vendor.throttled)(retry_after), Some(retry_after)).into_response()
            }
            Self::Refuse {} => (vendor.refused)().into_response(),
            Self::Drip { seconds } => drip(answer(), Duration::from_secs_f64(seconds)),
            Self::Redirect { location } => {
                // By default to a place that would answer, so that a client which follows is seen.
                let location = location
                    .unwrap_or_else(|| format!("/{}{}?moved", vendor.name, vendor.token_path));
                let location =
                    HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"));
                Reply::text(StatusCode::TEMPORARY_REDIRECT, "text/plain", String::new())
                    .with(LOCATION, location)
                    .into_response()
            }
            Self::Html { status } => Reply::text(
                StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
                "text/html; charset=utf-8",
                "<!doctype html><html><head><title>Access denied</title></head>\
                 <body><h1>Access denied</h1><p>Your request was blocked.</p></body></html>"
                    .to_owned(),
            )
            .into_response(),
            Self::Huge { bytes } => huge_answer(bytes),
        }
    }
}

fn plain(status: u16, body: &Value) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match body {
        Value::Null => Reply::text(status, "text/plain", String::new()),
        Value::String(text) => Reply::text(status, "text/plain; charset=utf-8", text.clone()),
        other => Reply::json(status, other),
    }
}

fn with_retry_after(reply: Reply, seconds: Option<u64>) -> Reply {
    match seconds {
        Some(seconds) => reply.with(RETRY_AFTER, HeaderValue::from(seconds)),
        None => reply,
    }
}

/// Asks for the reset and waits for it: the connection takes this future down with it.
async fn break_off(reset: &CancellationToken) -> Response<Body> {
    reset.cancel();
    std::future::pending().await
}

fn without_token(mut reply: Reply) -> Reply {
    if let Ok(Value::Object(mut members)) = serde_json::from_slice(&reply.body) {
        members.remove("access_token");
        reply.body = Value::Object(members).to_string().into();
    }
    reply
}

fn half_way(mut reply: Reply, reset: CancellationToken) -> Response<Body> {
    let length = HeaderValue::from(reply.body.len());
    let half = reply.body.split_to(reply.body.len() / 2);
    let body = stream::unfold(Some(half), move |half| {
        let reset = reset.clone();
        async move {
            if let Some(half) = half {
                return Some((frame(half), None));
            }
            tokio::time::sleep(HALF_WAY_PAUSE).await;
            reset.cancel();
            std::future::pending().await
        }
    });
    reply
        .with(CONTENT_LENGTH, length)
        .with_body(StreamBody::new(body).boxed_unsync())
}

fn drip(mut reply: Reply, pause: Duration) -> Response<Body> {
    let length = HeaderValue::from(reply.body.len());
    let body = stream::unfold(reply.body.split_off(0), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((frame(byte), rest))
    });
    reply
        .with(CONTENT_LENGTH, length)
        .with_body(StreamBody::new(body).boxed_unsync())
}

fn huge_answer(bytes: u64) -> Response<Body> {
    let body = stream::unfold((false, bytes), |(begun, left)| async move {
        if !begun {
            let start = Bytes::from_static(b"{\"access_token\":\"");
            return Some((frame(start), (true, left)));
        }
        if left == 0 {
            return None;
        }
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = Bytes::from(vec![b'x'; size]);
        Some((frame(chunk), (true, left.saturating_sub(size as u64))))
    });
    Reply::json(StatusCode::OK, &Value::Null).with_body(StreamBody::new(body).boxed_unsync())
}

#[expect(clippy::unnecessary_wraps, reason = "a body stream yields results")]
fn frame(bytes: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(bytes))
}
