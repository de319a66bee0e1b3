use super::*;
use crate::base::Zeroizing;
use crate::base::{Mono, Timestamp};
use crate::spec::{ErrorRule, Hint, Match, Path, Scalar};
use http::{HeaderMap, HeaderName};

fn now() -> Now {
    Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000),
        mono: Mono::START,
    }
}

mod advice;

struct Case {
    id: IntegrationId,
    shape: ResponseShape,
    vendor: Vendor,
    proof: Proof,
    held: Vec<Secret>,
    hidden: Hidden,
    presented: Presented,
    html_refusals: u32,
    headers: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn new() -> Self {
        Self {
            id: "billing".parse().unwrap(),
            shape: ResponseShape::default(),
            vendor: Vendor::default(),
            proof: Proof::default(),
            held: vec![],
            hidden: Hidden::default(),
            presented: Presented::Nothing,
            html_refusals: 0,
            headers: vec![],
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            id: &self.id,
            shape: &self.shape,
            vendor: &self.vendor,
            proof: self.proof,
            host: "auth.example.com",
            place: Place::default(),
            sent_at: now(),
            now: now(),
            held: &self.held,
            hidden: &self.hidden,
            secret_in_use: Some(0),
            presented: self.presented,
            prolongs: None,
            takes_logins: false,
            html_refusals: self.html_refusals,
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
        }
    }

    fn judge(&self, status: u16, body: impl AsRef<[u8]>) -> Outcome {
        let headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let response = net::Response {
            status,
            headers,
            body: Zeroizing::new(body.as_ref().to_vec()),
        };
        let answer = Answer::read(&response, &self.shape, now());
        let judged = judge(&answer, &self.context(), &[]);
        judged.map_or_else(|outcome| *outcome, |(issued, _)| Outcome::Issued(issued))
    }
}

fn failure(outcome: &Outcome) -> &Failure {
    outcome.failure().expect("a failure")
}

fn error(word: &str) -> String {
    serde_json::json!({ "error": word }).to_string()
}

#[test]
fn the_table_of_outcomes() {
    let html = "<!DOCTYPE html><title>no</title>";
    let token = r#"{"access_token":"t","expires_in":60}"#;
    let no_error = r#"{"message":"Unauthorized"}"#;
    let rows: &[(u16, &str, &str)] = &[
        (200, token, "issued"),
        (201, token, "issued"),
        // Transient
        (408, "", "transient"),
        (425, "", "transient"),
        (429, "", "transient"),
        (429, r#"{"error":"invalid_client"}"#, "transient"),
        (500, "", "transient"),
        (503, r#"{"error":"invalid_request"}"#, "transient"),
        (599, html, "transient"),
        (407, "", "transient"),
        (200, "", "transient"),
        (204, "", "transient"),
        (200, html, "transient"),
        (200, "[]", "transient"),
        (200, "{}", "transient"),
        (200, r#"{"access_token":null}"#, "transient"),
        (200, r#"{"access_token":""}"#, "transient"),
        (200, r#"{"access_token":"a b"}"#, "transient"),
        (200, r#"{"access_token":"t","expires_in":0}"#, "transient"),
        (
            200,
            r#"{"access_token":"t","expires_in":-1,"error":"x"}"#,
            "transient",
        ),
        (400, r#"{"error":"temporarily_unavailable"}"#, "transient"),
        (401, r#"{"error":"server_error"}"#, "transient"),
        (200, r#"{"error":"slow_down"}"#, "transient"),
        (401, html, "transient"),
        (403, html, "transient"),
        // BadCredential
        (400, r#"{"error":"invalid_client"}"#, "bad_credential"),
        (404, r#"{"error":"invalid_client"}"#, "bad_credential"),
        (200, r#"{"error":"invalid_client"}"#, "bad_credential"),
        (401, "", "bad_credential"),
        (403, no_error, "bad_credential"),
        (401, r#"{"error":"unauthorized_client"}"#, "bad_credential"),
        (400, r#"{"error":"invalid_grant"}"#, "bad_credential"),
        // BadRequest
        (400, r#"{"error":"invalid_request"}"#, "bad_request"),
        (401, r#"{"error":"invalid_scope"}"#, "bad_request"),
        (400, r#"{"error":"unsupported_grant_type"}"#, "bad_request"),
        (400, r#"{"error":"unauthorized_client"}"#, "bad_request"),
        (301, "", "bad_request"),
        (302, r#"{"error":"invalid_client"}"#, "bad_request"),
        (404, html, "bad_request"),
        (405, "", "bad_request"),
        (410, "", "bad_request"),
        (415, "", "bad_request"),
        (400, no_error, "bad_request"),
        (422, "", "bad_request"),
        (200, r#"{"error":"made_up"}"#, "bad_request"),
    ];
    for (status, body, label) in rows {
        let outcome = Case::new().judge(*status, body);
        assert_eq!(outcome.label(), *label, "{status} {body}");
    }
}

#[test]
fn invalid_grant_is_the_refresh_tokens_fault_where_one_was_sent() {
    let case = Case {
        presented: Presented::RefreshToken { rotates: true },
        ..Case::new()
    };
    let outcome = case.judge(400, error("invalid_grant"));
    assert!(matches!(&outcome, Outcome::DeadGrant(_)));
    assert_eq!(failure(&outcome).code, ErrorCode::LoginRequired);
    let outcome = Case::new().judge(400, error("invalid_grant"));
    assert!(failure(&outcome).hint.as_ref().unwrap().contains("clock"));
}

#[test]
fn a_gateways_page_is_believed_after_three_tries() {
    for (before, label) in [
        (0, "transient"),
        (2, "transient"),
        (3, "bad_credential"),
        (9, "bad_credential"),
    ] {
        let case = Case {
            html_refusals: before,
            ..Case::new()
        };
        assert_eq!(case.judge(403, "<html>").label(), label, "{before}");
    }
    let typed = Case {
        headers: vec![("content-type", "text/html; charset=utf-8")],
        ..Case::new()
    };
    assert_eq!(typed.judge(401, "denied").label(), "transient");
    assert_eq!(
        typed.judge(401, error("invalid_client")).label(),
        "bad_credential",
        "JSON is JSON whatever it is called"
    );
}

#[test]
fn a_success_member_that_does_not_hold_is_a_failure() {
    let case = Case {
        shape: ResponseShape {
            success: [(Path::parse("ok").unwrap(), Scalar::Bool(true))].into(),
            ..ResponseShape::default()
        },
        ..Case::new()
    };
    let token = |ok: &str| format!(r#"{{"ok":{ok},"access_token":"t"}}"#);
    assert_eq!(case.judge(200, token("true")).label(), "issued");
    let outcome = case.judge(200, token("false"));
    assert_eq!(outcome.label(), "bad_request");
    assert!(failure(&outcome).description.contains("request failed"));
    let refused = r#"{"ok":false,"error":"invalid_client"}"#;
    assert_eq!(case.judge(200, refused).label(), "bad_credential");
    assert_eq!(case.judge(200, "<html>").label(), "transient");
}

#[test]
fn the_providers_rules_come_first_but_take_no_token_away() {
    let rule = |when, outcome| ErrorRule { when, outcome };
    let text = |text: &str| Match {
        text: Some(text.to_owned()),
        ..Match::default()
    };
    let case = Case {
        vendor: Vendor {
            errors: vec![
                rule(text("too many requests"), OutcomeClass::Transient),
                rule(
                    Match {
                        status: Some(429),
                        error: Some("quota".to_owned()),
                        text: None,
                    },
                    OutcomeClass::BadRequest,
                ),
            ],
            ..Vendor::default()
        },
        ..Case::new()
    };
    let many = r#"{"error":"Access Denied","error_description":"You have made Too Many Requests"}"#;
    assert_eq!(case.judge(400, many).label(), "transient");
    assert_eq!(case.judge(429, error("quota")).label(), "bad_request");
    assert_eq!(case.judge(429, error("other")).label(), "transient");
    let issued = r#"{"access_token":"t","note":"too many requests"}"#;
    assert_eq!(case.judge(200, issued).label(), "issued");
}

#[test]
fn codes_and_waits() {
    let mut case = Case::new();
    case.headers = vec![("retry-after", "7")];
    for (status, code) in [
        (429, ErrorCode::RateLimited),
        (503, ErrorCode::TemporarilyUnavailable),
    ] {
        let Outcome::Transient {
            retry_after,
            failure,
        } = case.judge(status, "")
        else {
            panic!("not transient");
        };
        assert_eq!(failure.code, code);
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        assert_eq!(failure.retry_after, retry_after);
    }
    let asked = failure(&case.judge(401, "")).retry_after;
    assert_eq!(
        asked,
        Some(Duration::from_secs(7)),
        "a refusal's wait heeds it too"
    );
    case.headers.clear();
    case.shape.retry_after = Path::parse("retryAfter");
    for (body, seconds) in [
        (r#"{"retryAfter":5}"#, Some(5)),
        (r#"{"retryAfter":"5"}"#, Some(5)),
        (r#"{"retryAfter":-5}"#, None),
        (r#"{"retryAfter":{}}"#, None),
    ] {
        let outcome = case.judge(429, body);
        let wait = seconds.map(Duration::from_secs);
        assert_eq!(failure(&outcome).retry_after, wait, "{body}");
    }
}

#[test]
fn error_paths_of_real_vendors() {
    let path = |text| Path::parse(text).unwrap();
    let case = Case {
        shape: ResponseShape {
            error: vec![path("error"), path("errors.0.type"), path("errorcode")],
            error_description: vec![path("error_description"), path("errors.0.message")],
            ..ResponseShape::default()
        },
        ..Case::new()
    };
    let mautic = r#"{"errors":[{"message":"The client credentials are invalid","code":400,
        "type":"invalid_client"}]}"#;
    let outcome = case.judge(400, mautic);
    assert_eq!(
        failure(&outcome).description,
        "the vendor refused the client credentials: 400 invalid_client (The client credentials are \
         invalid)"
    );
    let numbered = case.judge(401, r#"{"message":"Unauthorized","errorcode":1}"#);
    assert_eq!(
        failure(&numbered).vendor.as_ref().unwrap().error.as_deref(),
        Some("1")
    );
    // An object where a word is due, an empty word, and null are no error codes.
    for body in [
        r#"{"error":{"code":"x"}}"#,
        r#"{"error":""}"#,
        r#"{"error":null}"#,
    ] {
        let outcome = case.judge(400, body);
        assert_eq!(failure(&outcome).vendor.as_ref().unwrap().error, None);
    }
}

#[test]
fn what_a_vendor_repeats_is_not_shown() {
    let case = Case {
        held: vec![Secret::new("s3cret+/é"), Secret::new("dGhlYmFzaWM=")],
        ..Case::new()
    };
    let body = r#"{"error":"invalid_client","error_description":
        "bad secret s3cret+/\u00e9 or s3cret%2B%2F%C3%A9 in Basic dGhlYmFzaWM=, token tok-12345",
        "access_token":"tok-12345"}"#;
    let outcome = case.judge(401, body);
    let shown = format!("{outcome:?}");
    for part in ["s3cret", "dGhl", "12345"] {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(shown.contains("invalid_client"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(
        status in 0_u16..1000,
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        let _outcome = Case::new().judge(status, body);
    }

    #[test]
    fn no_json_panics_and_no_secret_shows(
        status in 100_u16..600,
        secret in "[a-zA-Z0-9+/=%&é\"]{8,40}",
        before in ".{0,20}",
        number in proptest::num::f64::ANY,
        name in "(access_token|error|expires_in|scope|x)",
    ) {
        // A text that repeats part of itself could hide behind its own redaction.
        proptest::prop_assume!(!before.contains(&secret));
        let case = Case {
            held: vec![Secret::new(secret.as_str())],
            ..Case::new()
        };
        let body = serde_json::json!({
            name: number,
            "error_description": format!("{before} {secret} end"),
            "errors": [secret.as_str()],
            "expires_at": number,
        });
        let outcome = case.judge(status, body.to_string());
        if !matches!(outcome, Outcome::Issued(_)) {
            let shown = format!("{outcome:?}");
            proptest::prop_assert!(!shown.contains(&secret), "{shown}");
        }
        let refused = case.judge(401, serde_json::json!({"error": secret}).to_string());
        let shown = format!("{refused:?}");
        proptest::prop_assert!(!shown.contains(&secret), "{shown}");
    }
}
