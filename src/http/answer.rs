//! Answers as bytes, with the headers they share.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PRAGMA, VARY,
};

use crate::base::Now;
use crate::snapshot::Held;

/// Every answer is complete before it is sent.
pub(super) type Answer = Response<Full<Bytes>>;

pub(super) const JSON: &str = "application/json";

const TOKEN_EXPIRES_IN: HeaderName = HeaderName::from_static("token-expires-in");

/// Text for anyone to see.
pub(super) fn text(content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Text with a token in it. The bytes are on their way to the caller, through buffers of the kernel
/// that nobody wipes, while the token itself stays held: wiping them would cost every answer time
/// and keep nothing from anybody.
pub(super) fn secret(content_type: &'static str, text: String, held: &Held, now: Now) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    let mut headers = WITH_TOKEN.clone();
    if content_type != JSON {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    match held.left(now) {
        Some(left) => {
            // Not `insert`, which would make room for one more first.
            if let Some(value) = headers.get_mut(TOKEN_EXPIRES_IN) {
                *value = left.as_secs().into();
            }
        }
        None => drop(headers.remove(TOKEN_EXPIRES_IN)),
    }
    *answer.headers_mut() = headers;
    answer
}

/// The headers of an answer with a token, sealed: copying a map costs a third of filling one.
static WITH_TOKEN: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(TOKEN_EXPIRES_IN, HeaderValue::from_static("0"));
    seal(&mut headers);
    headers
});

/// On every answer: browsers must not guess what it is.
pub(super) fn seal(headers: &mut HeaderMap) {
    const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
}

/// Whole seconds, rounded up, at least one: a caller that obeys must not come too early.
pub(super) fn retry_seconds(wait: Duration) -> u64 {
    let rounded = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    rounded.max(1)
}
