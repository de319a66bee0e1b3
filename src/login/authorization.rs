//! The page a person is sent to (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
//!
//! Invariant: none of the parameters of this request is in the URL twice, whatever query the
//! endpoint has of its own.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::spec::Endpoint;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What the request says, without what never differs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) client_id: Option<&'a str>,
    pub(super) redirect_uri: &'a str,
    pub(super) scope: Option<&'a str>,
    pub(super) state: &'a str,
    pub(super) challenge: &'a str,
}

/// The endpoint with its own query, followed by the request's parameters: where the endpoint names
/// one of these itself, as a fixed `scope`, ours takes its place, and where there is none of ours,
/// the endpoint's stays.
pub(super) fn url(endpoint: &Endpoint, parameters: Parameters<'_>) -> String {
    let Parameters {
        client_id,
        redirect_uri,
        scope,
        state,
        challenge,
    } = parameters;
    let ours = [
        ("response_type", Some("code")),
        ("client_id", client_id),
        ("redirect_uri", Some(redirect_uri)),
        ("scope", scope),
        ("state", Some(state)),
        ("code_challenge", Some(challenge)),
        ("code_challenge_method", Some("S256")),
    ];
    let ours: Vec<(&str, &str)> = ours
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
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

    const PARAMETERS: Parameters<'_> = Parameters {
        client_id: Some("a b&c"),
        redirect_uri: "http://127.0.0.1:8656/login/callback",
        scope: Some("read offline_access"),
        state: "st",
        challenge: "ch",
    };

    fn made(endpoint: &str, parameters: Parameters<'_>) -> String {
        url(&Endpoint::parse(endpoint).unwrap(), parameters)
    }

    #[test]
    fn every_parameter_once() {
        assert_eq!(
            made("https://v.example/authorize", PARAMETERS),
            "https://v.example/authorize?response_type=code&client_id=a%20b%26c\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8656%2Flogin%2Fcallback\
             &scope=read%20offline_access&state=st&code_challenge=ch&code_challenge_method=S256"
        );
    }

    #[test]
    fn the_endpoint_keeps_its_own_query_but_for_what_the_request_says() {
        let endpoint = "https://v.example/a?access_type=offline&stat%65=evil&&scope=fixed\
                        &response_type=token&prompt=consent&x";
        let made = made(endpoint, PARAMETERS);
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
        let bare = Parameters {
            client_id: None,
            scope: None,
            ..PARAMETERS
        };
        let made = made("https://v.example/a?scope=fixed&client_id=own", bare);
        assert!(
            made.starts_with("https://v.example/a?scope=fixed&client_id=own&response_type=code&"),
            "{made}"
        );
        assert_eq!(made.matches("scope=").count(), 1);
        assert_eq!(made.matches("client_id=").count(), 1);
    }
}
