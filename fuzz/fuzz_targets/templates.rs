//! Strings with holes, and what is put into them: no value says where a secret goes.
//!
//! The input's first line is a template or the beginning of a URL, the second a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use token_broker::config::{Env, Format, Options, fuzz, load_text};
use token_broker::spec::{Endpoint, Grant, Piece, Template};

fn fill(text: &str, value: &str) {
    let Ok(template) = Template::parse(text) else {
        return;
    };
    let pieces = template.pieces().iter();
    let plain: Option<usize> = pieces
        .map(|piece| match piece {
            Piece::Text(text) => Some(text.len()),
            Piece::Member(_) => Some(value.len()),
            Piece::Apply(..) => None,
        })
        .sum();
    // Put in once, never read again: braces in a value stay what they are.
    let filled = template.clone().fill(|_| Some(value.to_owned()));
    let rendered = template.render(|_| Some(value.to_owned()));
    assert_eq!(filled.render(|_| None), rendered);
    if let Some(length) = plain {
        assert_eq!(rendered.map(|text| text.len()), Ok(length));
    }
    if !template.holes().is_empty() {
        assert!(template.render(|_| None).is_err());
    }
}

/// A value in a URL behind `before`: the host keeps its literal end, the path its shape.
fn land(before: &str, value: &str) {
    let Ok(landed) = fuzz::land(before, value) else {
        return;
    };
    let whole = Endpoint::parse(&landed).is_ok();
    assert!(!before.is_empty() || whole, "{landed}");
    let in_host = fuzz::land("https://", value);
    if let Ok(label) = in_host {
        let url = format!("https://{label}.vendor.example/token");
        if let Ok(endpoint) = Endpoint::parse(&url) {
            assert!(endpoint.host().ends_with(".vendor.example"), "{url}");
            assert_eq!(endpoint.url().path(), "/token", "{url}");
            assert_eq!(endpoint.url().port(), None, "{url}");
        }
    }
    if let Ok(segment) = fuzz::land("https://vendor.example/", value) {
        let url = format!("https://vendor.example/{segment}/token?a={segment}");
        let endpoint = Endpoint::parse(&url).expect("an encoded segment");
        assert_eq!(endpoint.host(), "vendor.example", "{url}");
        assert_eq!(endpoint.url().path().split('/').count(), 3, "{url}");
        let query: Vec<_> = endpoint.url().query_pairs().collect();
        assert_eq!(query.len(), 1, "{url}");
        assert_eq!(
            query.first().map(|(_, found)| found.as_ref()),
            Some(value),
            "{url}"
        );
    }
}

/// A shipped provider's parameter, as an operator would write it.
fn parameter(value: &str) {
    let value = serde_json::to_string(value).unwrap();
    let text = format!(
        r#"{{"integrations": {{
            "a": {{"provider": "salesforce-marketing-cloud", "subdomain": {value},
                "client_id": {value}, "client_secret": {value}, "account_id": {value}}},
            "b": {{"provider": "360learning", "region": {value}, "client_id": "i", "client_secret": "s"}},
            "c": {{"grant": "client_credentials", "token_endpoint": {value}, "client_id": "i",
                "client_secret": "s"}}}}}}"#
    );
    let env = Env::from_pairs(std::iter::empty::<(String, String)>());
    let Ok(loaded) = load_text("fuzz", &text, Format::Json, &env, Options::default()) else {
        return;
    };
    for integration in &loaded.spec.integrations {
        if let (Grant::ClientCredentials(request), "a") =
            (&integration.grant, integration.id.as_str())
        {
            let endpoint = request.endpoint.nearest();
            assert!(endpoint.host().ends_with(".auth.marketingcloudapis.com"));
            assert_eq!(endpoint.url().path(), "/v2/token");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(data) = std::str::from_utf8(data) else {
        return;
    };
    let (before, value) = data.split_once('\n').unwrap_or(("", data));
    fill(before, value);
    land(before, value);
    parameter(value);
});
