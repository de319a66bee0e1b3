//! The page a browser ends at after the vendor's: small, calm, and with nothing in it but words.
//!
//! Invariant: no script, nothing loaded from anywhere, and no part of the address it was reached by.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use sha2::{Digest, Sha256};

use super::answer::{self, Answer};

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1.5rem;\
color:#222;background:#fff}h1{font-size:1.5rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";

/// Only this very style is allowed, and nothing else at all.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    policy.parse().ok()
});

/// A page of one heading and some paragraphs.
pub(super) fn page(status: StatusCode, heading: &str, paragraphs: &[&str]) -> Answer {
    let heading = escaped(heading);
    let paragraphs: Vec<String> = paragraphs
        .iter()
        .map(|text| format!("<p>{}</p>", escaped(text)))
        .collect();
    let paragraphs = paragraphs.concat();
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{heading}</title>\
         <style>{STYLE}</style></head><body><h1>{heading}</h1>{paragraphs}</body></html>\n"
    );
    let mut answer = answer::text("text/html; charset=utf-8", text);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    // The address holds the code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(
            escaped("<script>alert(\"x\")</script> & 'y'"),
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39;"
        );
        let answer = page(StatusCode::OK, "a", &["b"]);
        let policy = answer.headers().get(CONTENT_SECURITY_POLICY).unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
