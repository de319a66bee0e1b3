//! Provider files, and the requests that come of them: whatever a vendor answers to a step leads to no
//! host that nobody named, and no secret is where URLs are logged.
//!
//! The input's first line is what every parameter is set to that may be, the second what every step is answered with
//! (JSON), and the rest is the provider file.
#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use token_broker::base::{Clock, Secret, SystemClock};
use token_broker::config::{Env, Format, Options, fuzz, load_text, provider};
use token_broker::exchange::fuzz::requests;
use token_broker::spec::Integration;

const SECRET: &str = "s3cret-of-the-attempt";
/// A host that nobody names but an answer.
const EVIL: &str = "evil.example";

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("providers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

fn integration(text: &str, value: &str) -> Option<Arc<Integration>> {
    std::fs::write(FOLDER.join("acme.toml"), text).unwrap();
    let provider = provider("acme", Some(&FOLDER)).ok()?;
    let mut keys = Map::new();
    keys.insert("provider".to_owned(), "acme".into());
    for key in ["client_id", "client_secret", "username", "password"] {
        keys.insert(key.to_owned(), value.into());
    }
    for param in &provider.params {
        let fits = param.pattern.as_ref().is_none_or(|it| it.is_match(value));
        let chosen = param.choices.first().map(|(name, _)| name.as_str());
        let text = chosen
            .or(fits.then_some(value))
            .or(param.example.as_deref())
            .unwrap_or(value);
        keys.insert(param.name.clone(), text.into());
    }
    keys.insert("assertion".to_owned(), json!({"key": {"file": "/nowhere"}}));
    let assertion = json!({"key": {"file": "/nowhere"}});
    keys.insert("client_assertion".to_owned(), assertion);
    // What a grant does not use is refused: left out as often as the loader says so.
    loop {
        let document = json!({
            "providers": {"path": FOLDER.to_string_lossy()},
            "store": {"allow_losing_refresh_tokens": true},
            "integrations": {"a": keys},
        });
        let env = Env::from_pairs(std::iter::empty::<(String, String)>());
        let text = document.to_string();
        let problems = match load_text("fuzz", &text, Format::Json, &env, Options::default()) {
            Ok(loaded) => return loaded.spec.integrations.first().cloned(),
            Err(problems) => problems,
        };
        let before = keys.len();
        for problem in problems.list() {
            let key = problem
                .key
                .strip_prefix("integrations.a.")
                .unwrap_or_default();
            keys.remove(key.split('.').next().unwrap_or_default());
        }
        if keys.len() == before {
            return None;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(data) = std::str::from_utf8(data) else {
        return;
    };
    let (value, rest) = data.split_once('\n').unwrap_or((data, ""));
    let (answer, text) = rest.split_once('\n').unwrap_or((rest, ""));
    if fuzz::provider_file(text, Format::Toml).is_err() {
        return;
    }
    let Some(integration) = integration(text, value) else {
        return;
    };
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let secret = Secret::new(SECRET);
    let now = SystemClock.now();
    // Whoever writes the file and the configuration may name any host; an answer may not.
    let said = format!("{value}{text}").to_lowercase();
    let is_named = said.contains(EVIL) || said.contains('\\');
    for request in requests(&integration, &answer, &secret, now) {
        let host = request.url.host_str().unwrap_or_default();
        let plain = request.url.scheme() == "http" && host != "localhost";
        assert!(
            !plain || host.starts_with("127.") || host == "[::1]",
            "{}",
            request.url
        );
        assert!(request.url.username().is_empty() && request.url.password().is_none());
        assert!(!host.contains(SECRET) && !request.url.path().contains(SECRET));
        assert!(
            is_named || !host.ends_with(EVIL),
            "{} from {text}",
            request.url
        );
    }
});
