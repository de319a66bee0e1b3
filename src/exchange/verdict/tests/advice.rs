//! What is said of a failure, and what is advised.

use super::*;
use crate::spec::Proof;

#[test]
fn sentences_for_the_night() {
    for (status, body, said) in [
        (
            302,
            "",
            "auth.example.com answered 302: a token endpoint does not redirect, so the URL is \
             probably wrong",
        ),
        (
            404,
            "<html>",
            "auth.example.com answered 404: the token endpoint's URL is probably wrong",
        ),
        (
            429,
            r#"{"error":"slow"}"#,
            "auth.example.com asks for fewer requests: 429 slow",
        ),
        (
            200,
            "<html>",
            "auth.example.com answered 200, but with an HTML page instead of a token",
        ),
        (
            200,
            r#"{"token":"x"}"#,
            "auth.example.com answered 200, but there is no token at 'access_token'",
        ),
        (
            204,
            "",
            "auth.example.com answered 204, but the answer is empty",
        ),
        (400, "{}", "the vendor refused the request: 400"),
        (500, "", "auth.example.com answered 500"),
    ] {
        assert_eq!(failure(&Case::new().judge(status, body)).description, said);
    }
}

/// What is wrong in the configuration is not waited for.
#[test]
fn an_answer_of_another_shape_says_which_key_to_look_at() {
    let raw = || Case {
        shape: ResponseShape {
            is_raw: true,
            ..ResponseShape::default()
        },
        ..Case::new()
    };
    let over = r#"{"access_token":"t","expires_in":0}"#;
    for (case, body, key) in [
        (Case::new(), r#"{"token":"t"}"#, "access_token"),
        (Case::new(), "t0ken", "format = \"raw\""),
        (Case::new(), over, "zero_means_never"),
        (raw(), r#"{"token":"t"}"#, "response] format"),
    ] {
        let outcome = case.judge(200, body);
        let hint = failure(&outcome).hint.as_deref().unwrap();
        assert!(hint.contains(key), "{body}: {hint}");
        assert!(!hint.contains("status page"), "{body}: {hint}");
    }
}

/// The secret that is in the body is not to be put there; and a token that is exchanged is no client.
#[test]
fn a_refusal_is_about_what_was_sent_as_proof() {
    for (proof, word, part, other) in [
        (
            Proof::Secret,
            "invalid_client",
            "client_secret_post",
            "username",
        ),
        (
            Proof::SecretInBody,
            "invalid_client",
            "client_secret_basic",
            "raw",
        ),
        (
            Proof::SharedKey,
            "invalid_client",
            "client_secret, which signs",
            "public half",
        ),
        (
            Proof::Subject,
            "invalid_grant",
            "subject_token",
            "refresh token",
        ),
        (
            Proof::Password,
            "invalid_grant",
            "username and password",
            "refresh token",
        ),
        (
            Proof::Password,
            "invalid_client",
            "client_secret",
            "username",
        ),
    ] {
        let case = Case {
            proof,
            ..Case::new()
        };
        let outcome = case.judge(401, error(word));
        let hint = failure(&outcome).hint.as_deref().unwrap();
        assert!(hint.contains(part), "{proof:?} {word}: {hint}");
        assert!(!hint.contains(other), "{proof:?} {word}: {hint}");
    }
    let refused = |proof, word: &str| {
        let case = Case {
            proof,
            ..Case::new()
        };
        failure(&case.judge(400, error(word))).description.clone()
    };
    let exchanged = refused(Proof::Subject, "invalid_grant");
    assert!(
        exchanged.contains("refused the token that is exchanged"),
        "{exchanged}"
    );
    let client = refused(Proof::Subject, "invalid_client");
    assert!(
        client.contains("refused the client credentials"),
        "{client}"
    );
}

#[test]
fn every_refused_assertion_is_told_of_clock_audience_and_key() {
    let hint = |case: &Case, status, body: &str| {
        let outcome = case.judge(status, body);
        failure(&outcome).hint.clone().unwrap()
    };
    let signed = || Case {
        proof: Proof::Assertion,
        ..Case::new()
    };
    for (status, word) in [
        (400, "invalid_grant"),
        (401, "invalid_client"),
        (400, "invalid_token"),
        (400, "invalid_request"),
        (403, ""),
        (400, ""),
        (422, "bad_assertion"),
        (200, "invalid_grant"),
    ] {
        let advice = hint(&signed(), status, &error(word));
        for part in ["clock", "audience", "assertion.key"] {
            assert!(advice.contains(part), "{status} {word}: {advice}");
        }
        assert!(!advice.contains("the vendor's clock is"), "{advice}");
        let without = hint(&Case::new(), status, &error(word));
        assert!(!without.contains("audience"), "{status} {word}: {without}");
    }
    // What is about something else stays so.
    let elsewhere = |status, word| hint(&signed(), status, &error(word));
    assert!(elsewhere(400, "invalid_scope").contains("'scope'"));
    assert!(elsewhere(404, "").contains("token_endpoint"));
    assert!(elsewhere(503, "").contains("nothing to do"));
}

#[test]
fn a_refused_assertion_is_told_how_far_the_clocks_are_apart() {
    // Here it is 2027-01-15T08:00:00Z.
    let advice = |date: &'static str, status, proof| {
        let case = Case {
            proof,
            vendor: Vendor {
                hints: vec![Hint {
                    when: Match {
                        status: Some(401),
                        ..Match::default()
                    },
                    advice: "see the console".to_owned(),
                }],
                ..Vendor::default()
            },
            headers: vec![("date", date)],
            ..Case::new()
        };
        failure(&case.judge(status, "{}")).hint.clone().unwrap()
    };
    for (date, said) in [
        (
            "Fri, 15 Jan 2027 08:07:00 GMT",
            "the vendor's clock is 7m ahead of this machine's: set this machine's clock; the next",
        ),
        (
            "Fri, 15 Jan 2027 07:57:29 GMT",
            "the vendor's clock is 2m30s behind this machine's: set this machine's clock; the next",
        ),
        (
            "Tue, 12 Jan 2027 08:00:00 GMT",
            "behind this machine's: set the clock that is wrong; so much is not corrected",
        ),
    ] {
        for (status, then) in [(400, "; the vendor took"), (401, "; see the console")] {
            let advice = advice(date, status, Proof::Assertion);
            assert!(advice.contains(said) && advice.contains(then), "{advice}");
        }
        assert!(!advice(date, 503, Proof::Assertion).contains("clock"));
        assert!(!advice(date, 401, Proof::Secret).contains("clock"));
    }
    for near in [
        "Fri, 15 Jan 2027 08:00:30 GMT",
        "Fri, 15 Jan 2027 07:59:29 GMT",
        "no date",
    ] {
        let advice = advice(near, 401, Proof::Assertion);
        assert_eq!(advice, "see the console", "{near}");
    }
}

#[test]
fn no_answer_in_words_with_hints() {
    use net::{Error, ErrorKind};
    let case = Case {
        vendor: Vendor {
            hints: vec![Hint {
                when: Match {
                    error: Some("dns".to_owned()),
                    ..Match::default()
                },
                advice: "check the subdomain".to_owned(),
            }],
            ..Vendor::default()
        },
        ..Case::new()
    };
    let slow = Error {
        while_connecting: true,
        ..Error::timeout()
    };
    for (error, said, hint) in [
        (
            Error::timeout(),
            "no answer from auth.example.com within 15s",
            "check",
        ),
        (
            slow,
            "could not connect to auth.example.com within 5s",
            "check",
        ),
        (
            Error::new(ErrorKind::Connect, "connection refused"),
            "could not connect to auth.example.com: connection refused",
            "check",
        ),
        (
            Error::new(ErrorKind::Dns, "no such host"),
            "could not connect to auth.example.com: no such host",
            "check the subdomain",
        ),
        (
            Error::new(ErrorKind::Reset, "connection reset"),
            "no complete answer from auth.example.com: connection reset",
            "check",
        ),
    ] {
        let outcome = no_answer(&error, &case.context());
        assert_eq!(outcome.label(), "transient");
        let failure = failure(&outcome);
        assert_eq!(failure.description, said);
        let advice = failure.hint.as_deref().unwrap();
        assert!(advice.contains(hint), "{advice}");
        assert_eq!(failure.vendor, None);
    }
}

/// Only a vendor that speaks of our certificate is a reason to look at it.
#[test]
fn a_handshake_that_the_vendor_ended_for_our_certificate_says_so() {
    let hint = |is_about_ours| {
        let error = net::Error {
            is_about_ours,
            ..net::Error::new(net::ErrorKind::Tls, "received fatal alert")
        };
        let outcome = no_answer(&error, &Case::new().context());
        failure(&outcome).hint.clone().unwrap()
    };
    assert!(hint(true).contains("client_certificate"));
    assert!(!hint(false).contains("client_certificate"));
    assert!(hint(false).contains("ca_file"));
}
