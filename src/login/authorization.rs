//! The page a person is sent to (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
//!
//! Invariant: none of the parameters of this request is in the URL twice, whatever query the
//! endpoint has of its own.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::spec::{Endpoint, TokenRequest};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What the request says besides the client and its scope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) challenge: &'a str,
}

/// The endpoint with its own query, followed by the request's parameters: where the endpoint names
/// one of these itself, as a fixed `scope`, ours takes its place, and where there is none of ours,
/// the endpoint's stays.
pub(super) fn url(
    endpoint: &Endpoint,
    request: &TokenRequest,
    parameters: Parameters<'_>,
) -> String {
    let Parameters {
        redirect_uri,
        state,
        challenge,
    } = parameters;
    // A vendor that gets no verifier must not expect one.
    let challenge = (!request.name("code_verifier").is_empty()).then_some(challenge);
    let ours = [
        ("response_type", Some("code")),
        ("client_id", request.client_id.as_deref()),
        ("redirect_uri", Some(redirect_uri)),
        ("scope", request.scope.as_deref()),
        ("state", Some(state)),
        ("code_challenge", challenge),
        ("code_challenge_method", challenge.map(|_| "S256")),
    ];
    let ours: Vec<(&str, &str)> = ours
        .into_iter()
        .filter_map(|(standard, value)| {
            // What is not wanted is not wanted of the token request: of the page it is.
            let name = Some(request.name(standard)).filter(|name| !name.is_empty());
            Some((name.unwrap_or(standard), value?))
        })
        .collect();
    let own = endpoint.url().query().unwrap_or_default();
    let kept = own.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let name: Cow<'_, str> = percent_decode_str(name).decode_utf8_lossy();
        !pair.is_empty() && !ours.iter().any(|(ours, _)| *ours == name)
    });
    let added = ours.iter().map(|(name, value)| {
        // Spaces as %20: every server reads that, and not every one reads `+`.
        format!("{name}={}", utf8_percent_encode(value, UNRESERVED))
    });
    let query: Vec<String> = kept.map(str::to_owned).chain(added).collect();
    let mut url: Url = endpoint.url().clone();
    url.set_query(Some(&query.join("&")));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Dialect, Seldom};

    const PARAMETERS: Parameters<'_> = Parameters {
        redirect_uri: "http://127.0.0.1:8656/login/callback",
        state: "st",
        challenge: "ch",
    };

    fn request() -> TokenRequest {
        TokenRequest {
            client_id: Some("a b&c".into()),
            scope: Some("read offline_access".into()),
            ..TokenRequest::to("https://v.example/token")
        }
    }

    fn made(endpoint: &str, request: &TokenRequest) -> String {
        url(&Endpoint::parse(endpoint).unwrap(), request, PARAMETERS)
    }

    #[test]
    fn every_parameter_once() {
        assert_eq!(
            made("https://v.example/authorize", &request()),
            "https://v.example/authorize?response_type=code&client_id=a%20b%26c\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8656%2Flogin%2Fcallback\
             &scope=read%20offline_access&state=st&code_challenge=ch&code_challenge_method=S256"
        );
    }

    #[test]
    fn the_endpoint_keeps_its_own_query_but_for_what_the_request_says() {
        let endpoint = "https://v.example/a?access_type=offline&stat%65=evil&&scope=fixed\
                        &response_type=token&prompt=consent&x";
        let made = made(endpoint, &request());
        assert!(
            made.starts_with(
                "https://v.example/a?access_type=offline&prompt=consent&x&response_type=code&"
            ),
            "{made}"
        );
        for name in ["scope=", "stat", "response_type="] {
            assert_eq!(made.matches(&format!("&{name}")).count(), 1, "{made}");
        }
    }

    #[test]
    fn what_the_request_does_not_say_is_left_to_the_endpoint() {
        let bare = TokenRequest::to("https://v.example/token");
        let made = made("https://v.example/a?scope=fixed&client_id=own", &bare);
        assert!(
            made.starts_with("https://v.example/a?scope=fixed&client_id=own&response_type=code&"),
            "{made}"
        );
        assert_eq!(made.matches("scope=").count(), 1);
        assert_eq!(made.matches("client_id=").count(), 1);
    }

    #[test]
    fn a_vendor_that_has_other_names_for_them() {
        let names = [
            ("client_id", "app_id"),
            ("redirect_uri", ""),
            ("code_verifier", ""),
        ];
        let owned = |(standard, name): &(&str, &str)| ((*standard).into(), (*name).into());
        let dialect = Dialect {
            names: names.iter().map(owned).collect(),
            ..Dialect::default()
        };
        let request = TokenRequest {
            seldom: Some(Box::new(Seldom {
                dialect,
                ..Seldom::default()
            })),
            ..request()
        };
        assert_eq!(
            made("https://v.example/a?app_id=own&client_id=kept", &request),
            "https://v.example/a?client_id=kept&response_type=code&app_id=a%20b%26c\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8656%2Flogin%2Fcallback\
             &scope=read%20offline_access&state=st"
        );
    }
}
