//! What came back, as far as it can be read without knowing what it means. Pure.

use serde_json::Value;

use super::lifetime;
use crate::base::{Now, Secret, Timestamp};
use crate::net;
use crate::spec::{Path, ResponseShape};

use std::time::Duration;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Option<Value>,
    pub(super) is_html: bool,
    /// The body as text: for matching rules and hints, never for showing.
    pub(super) text: Secret,
    pub(super) retry_after: Option<Duration>,
    /// The vendor's clock if it can be believed, else ours when the request was sent.
    pub(super) answered_at: Timestamp,
    /// The vendor's clock as it says, believable or not: for telling a person.
    pub(super) stated_at: Option<Timestamp>,
}

impl Answer {
    pub(super) fn read(response: &net::Response, shape: &ResponseShape, sent_at: Now) -> Self {
        let body = response.body.as_slice();
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        // Whatever the content type says: vendors label JSON as text and errors as JSON.
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let says_html = response
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value
                    .trim_start()
                    .to_ascii_lowercase()
                    .starts_with("text/html")
            });
        let in_body = || {
            let found = shape.retry_after.as_ref()?.find(json.as_ref()?)?;
            let seconds = lifetime::number(found).filter(|seconds| *seconds >= 0.0)?;
            Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        let retry_after = net::retry_after(&response.headers, sent_at.wall).or_else(in_body);
        Self {
            status: response.status,
            is_html: json.is_none() && (says_html || body.trim_ascii_start().starts_with(b"<")),
            text: Secret::new(String::from_utf8_lossy(body)),
            retry_after,
            answered_at: net::answer_date(&response.headers, sent_at.wall).unwrap_or(sent_at.wall),
            stated_at: net::stated_date(&response.headers),
            json,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first readable error code at these paths: a word, or a number that is not zero.
    pub(super) fn error(&self, paths: &[Path]) -> Option<String> {
        let json = self.json.as_ref()?;
        paths.iter().find_map(|path| match path.find(json)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
            _ => None,
        })
    }

    pub(super) fn description(&self, paths: &[Path]) -> Option<String> {
        let json = self.json.as_ref()?;
        paths.iter().find_map(|path| {
            let text = path.find(json)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        })
    }
}
