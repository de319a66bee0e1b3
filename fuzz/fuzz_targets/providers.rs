//! Provider files, and the requests that come of them: whatever an operator types for a parameter, and
//! whatever a vendor answers to a step, leads to no host that the file does not name.
//!
//! The input's first line is what every parameter is set to, the second what every step is answered with
//! (JSON), and the rest is the provider file.
#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use token_broker::base::{Clock, Secret, SystemClock};
use token_broker::config::{Env, Format, Options, fuzz, load_text, provider};
use token_broker::exchange::fuzz::requests;
use token_broker::spec::Integration;

const SECRET: &str = "s3cret-of-the-attempt";
/// Part of a host that no provider file names.
const EVIL: &str = "evil";

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
        keys.insert(param.name.clone(), value.into());
    }
    // What the file makes of no secret is refused: tried without, key by key.
    for left_out in [
        &[][..],
        &["client_secret"],
        &["username", "password"],
        &["client_secret", "username", "password"],
    ] {
        let mut keys = keys.clone();
        keys.retain(|name, _| !left_out.contains(&name.as_str()));
        let document = serde_json::json!({
            "providers": {"path": FOLDER.to_string_lossy()},
            "store": {"allow_losing_refresh_tokens": true},
            "integrations": {"a": keys},
        });
        let env = Env::from_pairs(std::iter::empty::<(String, String)>());
        let text = document.to_string();
        if let Ok(loaded) = load_text("fuzz", &text, Format::Json, &env, Options::default()) {
            return loaded.spec.integrations.first().cloned();
        }
    }
    None
}

/// Whether the file itself lets the operator name a whole URL, as for servers that people run themselves.
fn takes_whole_urls(text: &str) -> bool {
    let open = text.replace([' ', '\t'], "");
    ["\"{", "'{", "\"\\"]
        .iter()
        .any(|begin| open.contains(begin))
        || open.contains("\"\"\"")
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
    let is_fixed = !text.to_lowercase().contains(EVIL) && !takes_whole_urls(text);
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
        if is_fixed {
            assert!(!host.contains(EVIL), "{} from {text}", request.url);
        }
    }
});
