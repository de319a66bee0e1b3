//! The whole way from text to specification, as an operator walks it.

mod consent;

use std::time::Duration;

use super::schema::{INTEGRATION, Key, Kind, SECTIONS};
use super::*;
use crate::base::Secret;
use crate::spec::{
    Assertion, BasicEncoding, Bearer, Body, ClientAuth, Draft, Grant, Listen, Part, Phrase,
    RequestFormat, SecretSource, TokenRequest,
};

mod files;
mod grants;
mod layers;
mod providers;
mod sinks;
mod ways;

const BILLING: &str = r#"
[integrations.billing]
grant = "client_credentials"
token_endpoint = "https://auth.example.com/oauth/token"
client_id = "abc"
client_secret = { file = "/run/secrets/billing" }
"#;
const SFMC: &str = r#"
[integrations.sfmc]
provider = "salesforce-marketing-cloud"
subdomain = "mc0123456789abcdefghijklmnop"
client_id = "abc"
client_secret = { file = "/run/secrets/sfmc" }
"#;

fn try_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = Env::from_pairs(env.iter().copied());
    load_text("test.toml", text, Format::Toml, &env, Options::default())
}

fn loaded(text: &str) -> Loaded {
    try_with(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn loaded_with(text: &str, env: &[(&str, &str)]) -> Loaded {
    try_with(text, env).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> Problems {
    try_with(text, &[]).expect_err("must be refused")
}

/// The text is refused, and one problem is at `key` and says `words`.
#[track_caller]
fn refuses(text: &str, key: &str, words: &str) {
    let problems = refused(text);
    let found = problems
        .list()
        .iter()
        .any(|one| one.key == key && one.message.contains(words));
    assert!(found, "no '{words}' at {key} in:\n{problems}");
}

/// For tests in which the name below is taken.
fn tests_request(loaded: &Loaded, index: usize) -> &TokenRequest {
    request(loaded, index)
}

fn request(loaded: &Loaded, index: usize) -> &TokenRequest {
    let request = loaded.spec.integrations[index].grant.request();
    request.expect("a grant that asks somebody")
}

#[test]
fn ten_lines_are_enough() {
    let loaded = loaded(BILLING);
    let one = &loaded.spec.integrations[0];
    assert_eq!(
        (one.id.as_str(), &*one.provider),
        ("billing", "auth.example.com")
    );
    assert!(one.required && loaded.warnings.is_empty());
    let request = request(&loaded, 0);
    assert_eq!(request.auth, ClientAuth::Basic(BasicEncoding::Form));
    assert_eq!(request.format, RequestFormat::Form);
    assert_eq!(one.api.headers[0].0, "Authorization");
    assert_eq!(loaded.spec.server, crate::spec::Server::default());
}

/// Paths of all keys below some, one sample integration in front of them.
fn all_keys(prefix: &str, keys: &[Key], out: &mut Vec<(String, String)>) {
    for key in keys {
        out.push((prefix.to_owned(), key.name.to_owned()));
        if let Kind::Table(inner) = key.kind {
            all_keys(&format!("{prefix}{}.", key.name), inner, out);
        }
    }
}

#[test]
fn a_one_letter_typo_in_any_key_is_refused_with_the_right_key_suggested() {
    let mut keys = Vec::new();
    all_keys("", SECTIONS, &mut keys);
    all_keys("integrations.billing.", INTEGRATION, &mut keys);
    assert!(keys.len() > 120);
    for (prefix, name) in keys {
        let mut typos = vec![format!("{name}x"), format!("z{name}")];
        let mut swapped: Vec<char> = name.chars().collect();
        let last = swapped.len() - 1;
        swapped.swap(last - 1, last);
        typos.push(swapped.into_iter().collect());
        typos.push(name.chars().take(last).collect());
        for typo in typos
            .into_iter()
            .filter(|typo| !is_key(&prefix, typo) && *typo != name)
        {
            let text = format!("{prefix}{typo} = \"x\"\n");
            let problems = refused(&text);
            let told = problems.list().iter().any(|one| {
                one.key == format!("{prefix}{typo}") && one.message.contains(&format!("'{name}'"))
            });
            assert!(told, "{prefix}{typo} should suggest {name}:\n{problems}");
        }
    }
}

fn is_key(prefix: &str, name: &str) -> bool {
    let mut keys = Vec::new();
    all_keys("", SECTIONS, &mut keys);
    all_keys("integrations.billing.", INTEGRATION, &mut keys);
    keys.contains(&(prefix.to_owned(), name.to_owned()))
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let mut keys = Vec::new();
    all_keys("", SECTIONS, &mut keys);
    for line in [
        "callers.x.allow = []",
        "store.kind = \"postgres\"",
        "integrations.a.grant = \"broker\"",
        "integrations.a.url = \"https://x.example\"",
        "integrations.a.dpop = true",
    ] {
        let problems = refused(line);
        assert!(
            problems.to_string().contains("not built yet"),
            "{line}: {problems}"
        );
    }
}

/// A line of its own, the key to blame, and words of the message.
const WRONG_LINES: &[(&str, &str, &str)] = &[
    (
        "server.listen = \"0.0.0.0:8656\"",
        "server.listen",
        "[callers]",
    ),
    (
        "server.listen = \"localhost\"",
        "server.listen",
        "address and port",
    ),
    (
        "server.listen = [\"unix:relative\"]",
        "server.listen",
        "absolute path",
    ),
    ("server.listen = []", "server.listen", "at least one"),
    ("server.hosts = \"a\"", "server.hosts", "list"),
    (
        "server.hosts = [\"http://a\"]",
        "server.hosts",
        "host names",
    ),
    (
        "server.socket_mode = \"0999\"",
        "server.socket_mode",
        "octal",
    ),
    (
        "server.worker_threads = 0",
        "server.worker_threads",
        "within 1",
    ),
    (
        "server.worker_threads = \"2\"",
        "server.worker_threads",
        "without quotes",
    ),
    ("log.level = \"loud\"", "log.level", "debug"),
    ("log.format = \"xml\"", "log.format", "\"json\""),
    (
        "access.require_header = \"a b\"",
        "access.require_header",
        "header",
    ),
    ("refresh.at = 0.99", "refresh.at", "within 0.05 and 0.95"),
    (
        "refresh.jitter = 0.5",
        "refresh.jitter",
        "within 0 and 0.25",
    ),
    (
        "refresh = { at = 0.1, jitter = 0.2 }",
        "refresh.jitter",
        "less than",
    ),
    ("refresh.timeout = \"0s\"", "refresh.timeout", "within"),
    (
        "refresh.backoff = { initial = \"9s\", max = \"1s\" }",
        "refresh.backoff.initial",
        "more than",
    ),
    (
        "refresh.min_interval = \"0\"",
        "refresh.min_interval",
        "within",
    ),
    (
        "refresh.rate_limit = \"0/1s\"",
        "refresh.rate_limit",
        "\"50/12h\"",
    ),
    (
        "refresh.rate_limit = \"10001/1d\"",
        "refresh.rate_limit",
        "1 to 10000",
    ),
    (
        "refresh.rate_limit = \"50/1ms\"",
        "refresh.rate_limit",
        "from a second",
    ),
    ("net.proxy = \"socks5://x\"", "net.proxy", "http://"),
    ("net.ca_only = true", "net.ca_only", "ca_file"),
    ("secrets.files = [\"\"]", "secrets.files", "pattern"),
    ("store.kind = \"redis\"", "store.kind", "\"embedded\""),
    ("store.kind = \"embedded\"", "store.path", "is missing"),
    ("store.path = \"/x\"", "store.path", "\"embedded\" only"),
    (
        "store.encryption_key = \"x\"",
        "store.encryption_key",
        "\"embedded\" only",
    ),
    (
        "store = { kind = \"embedded\", path = \"/x\", allow_losing_refresh_tokens = true }",
        "store.allow_losing_refresh_tokens",
        "\"memory\" only",
    ),
    (
        "store = { kind = \"embedded\", path = \"/x\", encryption_key = { file = 5 } }",
        "store.encryption_key.file",
        "path of a file",
    ),
    (
        "store.allow_losing_refresh_tokens = \"yes\"",
        "store.allow_losing_refresh_tokens",
        "true or false",
    ),
    ("server = 5", "server", "table"),
    ("integrations = 5", "integrations", "table"),
    ("integrations.a = 5", "integrations.a", "table"),
    (
        "integrations.a.grant = \"static\"",
        "integrations.a.token",
        "missing",
    ),
    (
        "integrations.a.required = true",
        "integrations.a.grant",
        "missing",
    ),
    (
        "integrations.a.grant = \"client_credential\"",
        "integrations.a.grant",
        "client_credentials",
    ),
    (
        "integrations.a.provider = \"360learnin\"",
        "integrations.a.provider",
        "'360learning'",
    ),
];

/// The same inside an integration that is complete without it.
const WRONG_IN_BILLING: &[(&str, &str, &str)] = &[
    ("token = \"x\"", "token", "not used by"),
    ("method = \"GET\"", "method", "query"),
    (
        "params = { client_id = \"x\" }",
        "params.client_id",
        "set by the grant",
    ),
    (
        "params = { n = { a = 5 } }",
        "params.n",
        "only request_format = \"json\"",
    ),
    ("params = { n = nan }", "params.n", "JSON can write"),
    (
        "headers = { \"Content-Type\" = \"x\" }",
        "headers.Content-Type",
        "set by the request",
    ),
    (
        "headers = { Authorization = \"x\" }",
        "headers.Authorization",
        "set by the request",
    ),
    (
        "headers = { \"X-A\" = \"a\\nb\" }",
        "headers.X-A",
        "control",
    ),
    ("response.error = [1]", "response.error", "list of strings"),
    (
        "response.access_token = \"a..b\"",
        "response.access_token",
        "path",
    ),
    (
        "api.base_url = \"http://api.example.com\"",
        "api.base_url",
        "https",
    ),
    ("api.base_url = \"{instance}\"", "api.base_url", "api.hosts"),
    (
        "api.headers = { \"X\" = \"{a\" }",
        "api.headers.X",
        "without",
    ),
    (
        "client_secret_expires_at = \"soon\"",
        "client_secret_expires_at",
        "RFC 3339",
    ),
    ("inherit = \"nobody\"", "inherit", "same file"),
    (
        "token_endpoint_auth_method = \"none\"",
        "client_secret",
        "not sent",
    ),
    (
        "token_endpoint_auth_method = \"basic\"",
        "token_endpoint_auth_method",
        "client_secret_basic",
    ),
];

#[test]
fn wrong_values_say_what_would_be_right() {
    for (line, key, words) in WRONG_LINES {
        refuses(line, key, words);
    }
    for (line, key, words) in WRONG_IN_BILLING {
        refuses(
            &format!("{BILLING}{line}"),
            &format!("integrations.billing.{key}"),
            words,
        );
    }
}

#[test]
fn variables_that_fit_nothing_are_refused() {
    for (name, value, words) in [
        ("TOKEN_BROKER__SERVR__WAIT", "3s", "'server'"),
        ("TOKEN_BROKER__SERVER__WIAT", "3s", "'wait'"),
        ("TOKEN_BROKER__SERVER", "3s", "table"),
        ("TOKEN_BROKER__SERVER__WAIT", "canary", "duration"),
        ("TOKEN_BROKER__SERVER__WAIT__X", "3s", "too deep"),
        ("TOKEN_BROKER__", "3s", "fits no key"),
        ("TOKEN_BROKER__STORE__PATH", "/x", "\"embedded\" only"),
        ("TOKEN_BROKER__CALLERS", "/x", "not built yet"),
        ("TOKEN_BROKER__INTEGRATIONS", "x", "NAME"),
        ("TOKEN_BROKER__INTEGRATIONS__SFMC", "x", "table"),
        ("TOKEN_BROKER__INTEGRATIONS__SFCM__SCOPE", "x", "'sfmc'"),
        ("TOKEN_BROKER__INTEGRATIONS__SFMC__SCOEP", "x", "'scope'"),
        (
            "TOKEN_BROKER__INTEGRATIONS__SFMC__SUBDOMIAN",
            "x",
            "'subdomain'",
        ),
        (
            "TOKEN_BROKER__INTEGRATIONS__SFMC__SUBDOMAIN",
            "canary/",
            "form",
        ),
        ("TOKEN_BROKER__INTEGRATIONS__SFMC__PARAMS__X", "x", "free"),
        (
            "TOKEN_BROKER__INTEGRATIONS__SFMC__API__HEADERS",
            "x",
            "free",
        ),
    ] {
        let problems = try_with(SFMC, &[(name, value)]).expect_err(name);
        let one = &problems.list()[0];
        assert_eq!(
            (one.file.as_str(), one.key.as_str()),
            ("environment", name),
            "{problems}"
        );
        assert!(one.message.contains(words), "{name}: {problems}");
        assert!(!problems.to_string().contains("canary"));
    }
    refuses(
        "[integrations.a-b]\n[integrations.a_b]\n",
        "integrations.a_b",
        "differs",
    );
}

#[test]
fn a_providers_assertion_takes_parameters_in_names_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let provider = |claims: &str| {
        format!(
            "grant = \"jwt_bearer\"\ntoken_endpoint = \"https://a.example/t\"\n\
             [params.org]\ndescription = \"the organisation\"\n\
             [assertion]\nissuer = \"{{org}}@Org\"\naudience = \"https://a.example/c/{{client_id}}\"\n\
             [assertion.claims]\n{claims}\n"
        )
    };
    let path = folder.path().display();
    let text = format!(
        "providers.path = \"{path}\"\n[integrations.a]\nprovider = \"acme\"\norg = \"o{{now}}\"\n\
         client_id = \"i\"\nassertion.key = {{ file = \"/k\" }}\nassertion.claims.own = [1]\n"
    );
    std::fs::write(
        &file,
        provider("\"https://{org}/s\" = true\nexp = \"{now+300}\""),
    )
    .unwrap();
    let loaded = loaded(&text);
    let assertion = loaded.spec.integrations[0].grant.assertion().unwrap();
    let said = |phrase: &Phrase| format!("{phrase:?}");
    assert!(
        said(assertion.issuer.as_ref().unwrap()).contains("o{now}"),
        "never expanded again"
    );
    let names: Vec<String> = assertion
        .claims
        .iter()
        .map(|(name, _)| said(name))
        .collect();
    assert!(
        names[0].contains("o{now}") && names[2].contains("own"),
        "{names:?}"
    );
    assert_eq!(
        assertion.claims[1].1,
        Draft::Text(Phrase::new([Part::Now(300)]))
    );
    std::fs::write(&file, provider("a = { b = [\"{typo}\"] }")).unwrap();
    refuses(
        &text,
        "assertion.claims.a.b",
        "has a hole that is no parameter",
    );
    std::fs::write(&file, provider("").replace("issuer", "key = \"k\"\nissuer")).unwrap();
    refuses(&text, "assertion.key", "is not a known key");
}

#[test]
fn where_things_are_kept() {
    use crate::spec::Store;
    let loaded = |text: &str| {
        let env = Env::from_pairs([("STORE_KEY", "canary")]);
        let loaded = load_text("f", text, Format::Toml, &env, Options::default());
        loaded.unwrap()
    };
    assert_eq!(loaded("").spec.store, Store::default());
    assert_eq!(
        loaded("[store]\nallow_losing_refresh_tokens = true")
            .spec
            .store,
        Store::Memory {
            allow_losing_refresh_tokens: true
        }
    );
    let plain = "[store]\nkind = \"embedded\"\npath = \"state.redb\"\n";
    let store = |key| Store::Embedded {
        path: "state.redb".into(),
        encryption_key: key,
    };
    assert_eq!(loaded(plain).spec.store, store(None));
    let from_file = loaded(&format!("{plain}encryption_key.file = \"/k\""));
    let file = SecretSource::File("/k".into());
    assert_eq!(from_file.spec.store, store(Some(file)));
    let from_env = loaded(&format!("{plain}encryption_key.env = \"STORE_KEY\""));
    let value = SecretSource::Value(Secret::new("canary"));
    assert_eq!(from_env.spec.store, store(Some(value)));
    assert!(!format!("{from_env:?}").contains("canary"));
}
