//! Configuration and provider files: a valid specification, or problems that are fit to print.
//!
//! The input's first line is the kind (`toml`, `yaml`, `json`, or `provider` for a provider file in
//! TOML) and `NAME=value` overrides from the environment; the rest is the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use token_broker::config::{Env, Format, Options, Problems, fuzz, load_text};
use token_broker::spec::Spec;

fn check_problems(problems: &Problems) {
    assert!(!problems.list().is_empty());
    for problem in problems.list().iter().chain(problems.warnings()) {
        let line = problem.to_string();
        assert!(
            !line.chars().any(char::is_control),
            "not fit to print: {line:?}"
        );
        assert!(!problem.message.is_empty());
    }
}

fn check_spec(spec: &Spec) {
    assert!(spec.integrations.len() <= 100_000);
    assert!(spec.integrations.is_sorted_by(|a, b| a.id < b.id));
    for integration in &spec.integrations {
        let refresh = &integration.refresh;
        assert!(!refresh.timeout.is_zero() && !refresh.connect_timeout.is_zero());
        if let Some(endpoint) = integration.grant.endpoint() {
            let url = endpoint.url();
            assert!(url.scheme() == "https" || endpoint.is_loopback(), "{url}");
            assert!(
                url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(data) = std::str::from_utf8(data) else {
        return;
    };
    let (first, text) = data.split_once('\n').unwrap_or((data, ""));
    let mut words = first.split(' ');
    let format = match words.next() {
        Some("toml") => Format::Toml,
        Some("yaml") => Format::Yaml,
        Some("json") => Format::Json,
        Some("provider") => {
            if let Err(problems) = fuzz::provider_file(text, Format::Toml) {
                check_problems(&problems);
            }
            return;
        }
        _ => return,
    };
    let pairs = words.filter_map(|word| word.split_once('='));
    let env = Env::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let options = Options {
        without_secrets: first.ends_with(' '),
    };
    match load_text("fuzz", text, format, &env, options) {
        Ok(loaded) => check_spec(&loaded.spec),
        Err(problems) => check_problems(&problems),
    }
});
