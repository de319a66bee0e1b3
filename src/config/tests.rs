//! The whole way from text to specification, as an operator walks it.

mod consent;

use std::time::Duration;

use super::schema::{INTEGRATION, Key, Kind, SECTIONS};
use super::*;
use crate::base::Secret;
use crate::spec::{
    Assertion, BasicEncoding, Bearer, Claim, ClientAuth, Grant, Listen, Part, Phrase,
    RequestFormat, RequestValue, SecretSource, TokenRequest,
};

mod files;

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

#[test]
fn every_format_says_the_same() {
    let yaml = "integrations:\n  billing:\n    grant: client_credentials\n    token_endpoint: https://auth.example.com/oauth/token\n    client_id: abc\n    client_secret: {file: /run/secrets/billing}\n";
    let json = r#"{"integrations":{"billing":{"grant":"client_credentials","token_endpoint":"https://auth.example.com/oauth/token","client_id":"abc","client_secret":{"file":"/run/secrets/billing"}}}}"#;
    let env = Env::default();
    let options = Options::default();
    let want = loaded(BILLING).spec;
    assert_eq!(
        load_text("a.yaml", yaml, Format::Yaml, &env, options)
            .unwrap()
            .spec,
        want
    );
    assert_eq!(
        load_text("a.json", json, Format::Json, &env, options)
            .unwrap()
            .spec,
        want
    );
    assert!(load_text("a.yaml", "# nothing\n", Format::Yaml, &env, options).is_ok());
    assert!(load_text("a.yaml", &"[".repeat(100_000), Format::Yaml, &env, options).is_err());
    assert!(load_text("a.yaml", &"- ".repeat(100_000), Format::Yaml, &env, options).is_err());
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let problems = refused(
        r#"
[server]
wait = "soon"
socket_mode = 600
[integrations.a]
grant = "client_credentials"
client_id = 5
[integrations.B]
grant = "static"
"#,
    );
    let keys: Vec<_> = problems.list().iter().map(|one| one.key.as_str()).collect();
    for key in [
        "server.wait",
        "server.socket_mode",
        "integrations.a.token_endpoint",
        "integrations.a.client_id",
        "integrations.B",
    ] {
        assert!(keys.contains(&key), "{key} in {problems}");
    }
    assert!(
        problems.list().iter().all(|one| one.file == "test.toml"),
        "{problems}"
    );
}

#[test]
fn a_global_mistake_is_told_once_however_many_integrations_there_are() {
    let problems = refused(
        "[refresh]\nat = 2.0\n[integrations.a]\ngrant = \"static\"\ntoken = \"t\"\n\
         [integrations.b]\ngrant = \"static\"\ntoken = \"t\"\n",
    );
    let keys: Vec<_> = problems.list().iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["refresh.at"]);
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
        "integrations.a.grant = \"token_exchange\"",
        "integrations.a.client_assertion.key = \"x\"",
        "integrations.a.issuer = \"https://x.example\"",
    ] {
        let problems = refused(line);
        assert!(
            problems.to_string().contains("not built yet"),
            "{line}: {problems}"
        );
    }
    refuses(
        &format!("{BILLING}token_endpoint_auth_method = \"private_key_jwt\""),
        "integrations.billing.token_endpoint_auth_method",
        "not built yet",
    );
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
        "params = { grant_type = \"x\" }",
        "params.grant_type",
        "set by the grant",
    ),
    ("params = { n = 5 }", "params.n", "in quotes"),
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
fn secrets_have_one_source_each() {
    let with = |secret: &str| BILLING.replace("{ file = \"/run/secrets/billing\" }", secret);
    let at = "integrations.billing.client_secret";
    refuses(&with("{}"), at, "exactly one source");
    refuses(
        &with("{ env = \"A\", file = \"/a\" }"),
        at,
        "exactly one source",
    );
    refuses(&with("{ fiel = \"/a\" }"), &format!("{at}.fiel"), "'file'");
    refuses(
        &with("{ env = \"UNSET\" }"),
        &format!("{at}.env"),
        "not set",
    );
    refuses(
        &with("{ command = [\"/bin/x\"] }"),
        &format!("{at}.command"),
        "commands = true",
    );
    refuses(&with("5"), at, "in quotes");
    refuses(&with("[]"), at, "at least one");
    let allowed = |secret: &str| {
        format!(
            "secrets = {{ commands = true, files = [\"/run/secrets/*\"] }}\n{}",
            with(secret)
        )
    };
    refuses(
        &allowed("{ command = [\"pass\"] }"),
        &format!("{at}.command"),
        "absolute",
    );
    refuses(
        &allowed("{ file = \"/etc/shadow\" }"),
        &format!("{at}.file"),
        "[secrets] files",
    );
    refuses(
        &allowed("{ file = \"/run/secrets/../x\" }"),
        &format!("{at}.file"),
        "[secrets] files",
    );
    let command = loaded(&allowed("{ command = [\"/bin/pass\", \"x\"] }"));
    assert_eq!(
        request(&command, 0).client_secret[0].source,
        SecretSource::Command(vec!["/bin/pass".into(), "x".into()])
    );
    let env = loaded_with(&with("{ env = \"SET\" }"), &[("SET", "s")]);
    assert_eq!(
        request(&env, 0).client_secret[0].source,
        SecretSource::Value(Secret::new("s"))
    );
    let inline = loaded(&with("\"s3cret\""));
    assert!(inline.warnings[0].message.contains("in the file itself"));
    let list = loaded(&with(
        "[{ file = \"/a\", expires_at = \"2027-01-08T00:00:00Z\" }, { file = \"/b\", not_before = \"2027-01-01T00:00:00Z\" }]",
    ));
    let secrets = &request(&list, 0).client_secret;
    assert!(secrets[0].expires_at.is_some() && secrets[1].not_before.is_some());
    let without = Options {
        without_secrets: true,
    };
    let text = with("{ env = \"UNSET\" }");
    assert!(load_text("x", &text, Format::Toml, &Env::default(), without).is_ok());
}

#[test]
fn a_static_token() {
    let text = "[integrations.a]\ngrant = \"static\"\ntoken = { file = \"/t\" }\ntoken_type = \"SFMC\"\nexpires_at = \"2030-01-01T00:00:00Z\"\n";
    let loaded = loaded(text);
    let one = &loaded.spec.integrations[0];
    assert!(matches!(&one.grant, Grant::Static(token) if token.expires_at.is_some()));
    assert_eq!(
        (&*one.provider, one.response.token_type.as_str()),
        ("static", "SFMC")
    );
    refuses(
        &format!("{text}scope = \"a\""),
        "integrations.a.scope",
        "not used by",
    );
}

#[test]
fn integrations_win_over_global_tables_key_by_key() {
    let loaded = loaded(&format!(
        "refresh = {{ at = 0.5, backoff = {{ initial = \"2s\", max = \"30s\" }} }}\nnet = {{ proxy = \"http://p.example:1\" }}\n{BILLING}refresh = {{ jitter = 0.1, backoff = {{ max = \"10s\" }} }}\nnet.ca_file = \"/ca.pem\"\nscope = [\"a\", \"b\"]\nscope_separator = \",\"\n"
    ));
    let one = &loaded.spec.integrations[0];
    assert_eq!((one.refresh.at, one.refresh.jitter), (0.5, 0.1));
    assert_eq!(one.refresh.backoff.initial(), Duration::from_secs(2));
    assert_eq!(one.refresh.backoff.max(), Duration::from_secs(10));
    assert!(one.net.proxy.is_some() && one.net.ca_file.is_some());
    assert_eq!(request(&loaded, 0).scope.as_deref(), Some("a,b"));
}

#[test]
fn proxies_of_the_environment() {
    let env = [
        ("HTTPS_PROXY", "proxy.example:3128"),
        ("no_proxy", ".example.com"),
    ];
    let net = loaded_with(BILLING, &env).spec;
    let net = &net.integrations[0].net;
    let proxy = net.proxy.as_ref().unwrap();
    assert_eq!(proxy.url.expose(), "http://proxy.example:3128");
    assert_eq!(proxy.no_proxy.as_deref(), Some(".example.com"));
    let off = loaded_with(&format!("net.proxy = \"\"\n{BILLING}"), &env);
    assert_eq!(off.spec.integrations[0].net.proxy, None);
    let problems = try_with(BILLING, &[("https_proxy", "socks5://u:canary@x")]).unwrap_err();
    assert_eq!(problems.list()[0].key, "https_proxy");
    assert!(!problems.to_string().contains("canary"));
}

#[test]
fn inheriting() {
    let loaded = loaded(&format!(
        "{SFMC}account_id = \"1\"\nparams = {{ extra = \"x\" }}\n[integrations.sfmc-emea]\ninherit = \"sfmc\"\naccount_id = \"2\"\nparams = {{ extra = \"\", more = \"y\" }}\n"
    ));
    let text = |value: &str| RequestValue::Text(value.to_owned());
    assert_eq!(
        request(&loaded, 0).params,
        [
            ("account_id".to_owned(), text("1")),
            ("extra".to_owned(), text("x"))
        ]
    );
    assert_eq!(
        request(&loaded, 1).params,
        [
            ("account_id".to_owned(), text("2")),
            ("more".to_owned(), text("y"))
        ]
    );
    assert_eq!(request(&loaded, 1).endpoint, request(&loaded, 0).endpoint);
    refuses(
        &format!("{SFMC}[integrations.b]\ninherit = \"sfmc\"\n[integrations.c]\ninherit = \"b\"\n"),
        "integrations.c.inherit",
        "one level",
    );
}

#[test]
fn providers_bring_their_knowledge() {
    let loaded = loaded(SFMC);
    let one = &loaded.spec.integrations[0];
    assert_eq!(&*one.provider, "salesforce-marketing-cloud");
    let request = request(&loaded, 0);
    assert_eq!(
        request.endpoint.url().as_str(),
        "https://mc0123456789abcdefghijklmnop.auth.marketingcloudapis.com/v2/token"
    );
    assert_eq!(
        (request.auth, request.format),
        (ClientAuth::Post, RequestFormat::Json)
    );
    assert!(request.params.is_empty() && request.scope.is_none());
    assert!(one.api.hosts[0].matches("x.rest.marketingcloudapis.com"));
    assert!(one.vendor.hints.len() > 5);

    let us = loaded_360("region = \"us\"\nuser_id = \"5f1e0c2a9b3d4e5f6a7b8c9d\"");
    let one = &us.spec.integrations[0];
    assert_eq!(
        tests_request(&us, 0).endpoint.url().as_str(),
        "https://app.us.360learning.com/api/v2/oauth2/token"
    );
    assert_eq!(
        one.api.base_url.as_ref().and_then(|url| url.literal()),
        Some("https://app.us.360learning.com")
    );
    assert!(
        one.api
            .headers
            .iter()
            .any(|(name, value)| { name == "360-api-version" && value.literal() == Some("v2.0") })
    );
    let sandbox = loaded_360(
        "token_endpoint = \"http://127.0.0.1:8658/t\"\napi = { base_url = \"http://127.0.0.1:8658\" }",
    );
    assert!(sandbox.warnings[0].message.contains("http"));
}

fn loaded_360(lines: &str) -> Loaded {
    loaded(&format!(
        "[integrations.lms]\nprovider = \"360learning\"\nclient_id = \"a\"\nclient_secret = {{ file = \"/s\" }}\n{lines}\n"
    ))
}

#[test]
fn parameters_cannot_move_the_secret_elsewhere() {
    let subdomain = |value: &str| SFMC.replace("mc0123456789abcdefghijklmnop", value);
    for bad in [
        "evil.example/",
        "x.evil.example#",
        "x@evil.example",
        "evil.example?",
        "a b",
        "a:1",
        "-a",
        "é",
        "evil.example\\\\",
        "{client_id}",
        "%2e",
        "..",
        "a\\n",
    ] {
        refuses(&subdomain(bad), "integrations.sfmc.subdomain", "form");
    }
    refuses(&subdomain(""), "integrations.sfmc.subdomain", "missing");
    refuses(
        &SFMC.replace("\"mc0123456789abcdefghijklmnop\"", "5"),
        "integrations.sfmc.subdomain",
        "in quotes",
    );
    refuses(
        &SFMC.replace("subdomain", "subdomian"),
        "integrations.sfmc.subdomian",
        "'subdomain'",
    );
    // With an endpoint of the operator's own nobody asks for the subdomain.
    loaded(&SFMC.replace(
        "subdomain = \"mc0123456789abcdefghijklmnop\"",
        "token_endpoint = \"https://a.example/t\"",
    ));
}

const ACME: &str = r#"
name = "Acme"
grant = "client_credentials"
token_endpoint = "{instance}/{tenant}/token?for={tenant}"
[params]
fixed = "{tenant}-x"
[params.instance]
description = "the instance"
[params.tenant]
description = "the tenant"
[params.pin]
description = "a pin"
secret = true
required = false
sent_as = "PIN"
"#;

#[test]
fn an_operators_own_provider() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.toml"), ACME).unwrap();
    std::fs::write(folder.path().join("360learning.toml"), ACME).unwrap();
    let path = folder.path().display();
    let with = |instance: &str, tenant: &str, more: &str| {
        format!(
            "providers.path = \"{path}\"\n[integrations.a]\nprovider = \"acme\"\ninstance = \"{instance}\"\ntenant = \"{tenant}\"\nclient_id = \"i\"\nclient_secret = {{ file = \"/s\" }}\n{more}"
        )
    };
    let loaded = loaded(&with(
        "https://x.example/base/",
        "a/b?c",
        "pin = { file = \"/pin\" }",
    ));
    assert!(loaded.warnings[0].message.contains("replaces"));
    let request = request(&loaded, 0);
    assert_eq!(
        request.endpoint.url().as_str(),
        "https://x.example/base/a%2Fb%3Fc/token?for=a%2Fb%3Fc"
    );
    assert_eq!(
        request.params,
        [
            ("fixed".to_owned(), RequestValue::Text("a/b?c-x".into())),
            (
                "PIN".to_owned(),
                RequestValue::Secret(SecretSource::File("/pin".into()))
            ),
        ]
    );
    for bad in [
        "http://x.example",
        "https://u:p@x.example",
        "https://x.example/#a",
        "https://x.example?a",
        "x",
    ] {
        refuses(&with(bad, "t", ""), "integrations.a.instance", "whole URL");
    }
    refuses(
        &with("https://x.example", "..", ""),
        "integrations.a.tenant",
        "path",
    );
    let heir = with(
        "https://x.example",
        "t",
        "pin = { file = \"/pin\" }\n[integrations.b]\ninherit = \"a\"\npin = \"p\"\n[integrations.c]\ninherit = \"a\"\npin = { file = \"/c\" }",
    );
    let heirs = try_with(&heir, &[]).unwrap();
    assert_eq!(
        tests_request(&heirs, 2).params[1].1,
        RequestValue::Secret(SecretSource::File("/c".into()))
    );
    assert!(provider("acme", Some(folder.path())).is_ok());
    assert!(
        provider("acme", None)
            .unwrap_err()
            .to_string()
            .contains("not in the catalogue")
    );
}

#[test]
fn provider_files_keep_their_own_rules() {
    for (line, words) in [
        ("token_endpoint = \"https://{x}.example/\"", "no parameter"),
        ("grant = \"{\"", "without"),
        (
            "params.scope = { description = \"x\" }",
            "key of every integration",
        ),
        ("params.x = { pattern = \"(\" }", "regular expression"),
        (
            "params.x = { secret = true }\ntoken_endpoint = \"https://a.example/{x}\"",
            "secret parameter",
        ),
        ("client_secret = \"x\"", "not a known key"),
        ("hints = [{ advice = \"x\" }]", "condition"),
        ("errors = [{ status = 400 }]", "outcome"),
        (
            "errors = [{ status = 4000, outcome = \"transient\" }]",
            "HTTP status",
        ),
        ("nmae = \"x\"", "'name'"),
    ] {
        let mut report = Report::default();
        let read = provider::read_provider("x", line, Format::Toml, "x.toml", &mut report);
        let said = report.refuse().to_string();
        assert!(read.is_none() && said.contains(words), "{line}: {said}");
    }
}

#[test]
fn starters_are_accepted_once_the_blanks_are_filled() {
    for provider in catalogue() {
        let mut text = starter_config(provider);
        for param in provider.params.iter().filter(|param| param.required) {
            let example = param
                .example
                .as_deref()
                .expect("required parameters have an example");
            text = text.replace(
                &format!("{} = \"\"", param.name),
                &format!("{} = \"{example}\"", param.name),
            );
        }
        text = text.replace("client_id = \"\"", "client_id = \"abc\"");
        text = text.replace("\nscope = \"\"", "\nscope = \"read\"");
        let loaded = loaded(&text);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(&*loaded.spec.integrations[0].provider, provider.id);
    }
}

#[test]
fn variables_override_whole_keys() {
    let env = [
        ("TOKEN_BROKER__SERVER__WAIT", "3s"),
        ("TOKEN_BROKER__SERVER__HOSTS", "a.example, b.example"),
        ("TOKEN_BROKER__SERVER__LISTEN", "127.0.0.1:0"),
        ("TOKEN_BROKER__SERVER__WORKER_THREADS", "2"),
        ("TOKEN_BROKER__REFRESH__AT", "0.5"),
        ("TOKEN_BROKER__SECRETS__COMMANDS", "true"),
        ("TOKEN_BROKER__INTEGRATIONS__MY_SFMC__SUBDOMAIN", "other"),
        ("TOKEN_BROKER__INTEGRATIONS__MY_SFMC__CLIENT_SECRET", "a,b"),
        (
            "TOKEN_BROKER__INTEGRATIONS__MY_SFMC__REFRESH__BACKOFF__MAX",
            "9s",
        ),
        ("TOKEN_BROKER_PORT_8656_TCP", "ignored"),
        ("PATH", "/bin"),
    ];
    let loaded = loaded_with(
        &SFMC.replace("integrations.sfmc", "integrations.my-sfmc"),
        &env,
    );
    let server = &loaded.spec.server;
    assert_eq!(
        (server.wait, server.worker_threads),
        (Duration::from_secs(3), 2)
    );
    assert_eq!(server.hosts, ["a.example", "b.example"]);
    assert_eq!(server.listen, [Listen::Tcp("127.0.0.1:0".parse().unwrap())]);
    assert!(loaded.spec.secrets.commands && loaded.warnings.is_empty());
    let request = request(&loaded, 0);
    assert!(request.endpoint.host().starts_with("other."));
    assert_eq!(
        request.client_secret[0].source,
        SecretSource::Value(Secret::new("a,b"))
    );
    assert_eq!(
        loaded.spec.integrations[0].refresh.backoff.max(),
        Duration::from_secs(9)
    );
    let file = loaded_with(
        SFMC,
        &[(
            "TOKEN_BROKER__INTEGRATIONS__SFMC__CLIENT_SECRET__FILE",
            "/f",
        )],
    );
    assert_eq!(
        tests_request(&file, 0).client_secret[0].source,
        SecretSource::File("/f".into())
    );
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
fn directories_define_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let load_all = || load(folder.path(), &Env::default(), Options::default());
    write("a.toml", BILLING);
    write("b.yaml", "server: {wait: 3s}\n");
    write("c.json", "{\"log\": {\"level\": \"debug\"}}");
    write(".hidden.toml", "nonsense");
    write("notes.txt", "nonsense");
    std::fs::create_dir(folder.path().join("d.toml")).unwrap();
    let loaded = load_all().unwrap();
    assert_eq!(loaded.spec.server.wait, Duration::from_secs(3));
    assert_eq!(loaded.spec.log.level, "debug");
    write("e.toml", &format!("log.level = \"info\"\n{BILLING}"));
    let problems = load_all().unwrap_err();
    assert_eq!(problems.list().len(), 2, "{problems}");
    for (one, first) in problems.list().iter().zip(["c.json", "a.toml"]) {
        assert!(
            one.file.ends_with("e.toml") && one.message.contains(first),
            "{problems}"
        );
    }
    // A base in another file would let one team lend another's secret.
    write("e.toml", "[integrations.x]\ninherit = \"billing\"\n");
    assert!(load_all().unwrap_err().to_string().contains("same file"));
}

#[test]
fn depth_is_bounded() {
    let deep = 50_000;
    for (format, text) in [
        (Format::Toml, format!("a = {}", "[".repeat(deep))),
        (Format::Toml, format!("{}a = 1", "a.".repeat(deep))),
        (Format::Toml, format!("[{}a]", "a.".repeat(deep))),
        (Format::Toml, format!("a = {}", "{a=".repeat(deep))),
        (
            Format::Toml,
            format!("a = {{ {}a = 1 }}", "a.".repeat(deep)),
        ),
        (Format::Json, "[".repeat(deep)),
        (Format::Json, "{\"a\":".repeat(deep)),
        (Format::Yaml, "[".repeat(deep)),
        (Format::Yaml, "{a: ".repeat(deep)),
        (Format::Yaml, "- ".repeat(deep)),
        (Format::Yaml, "? ".repeat(deep)),
    ] {
        let result = load_text("f", &text, format, &Env::default(), Options::default());
        assert!(result.is_err());
    }
}

#[test]
fn missing_and_huge_files() {
    let env = Env::from_pairs([("TOKEN_BROKER_CONFIG", "/nowhere/x.toml")]);
    let path = config_path(None, &env);
    let problems = load(&path, &env, Options::default()).unwrap_err();
    assert!(problems.to_string().contains("is not there"), "{problems}");
    assert_eq!(
        config_path(None, &Env::default()),
        Path::new("/etc/token-broker/config.toml")
    );
    assert_eq!(config_path(Some(Path::new("x")), &env), Path::new("x"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.toml");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(17 << 20)
        .unwrap();
    let problems = load(&file, &env, Options::default()).unwrap_err();
    assert!(problems.to_string().contains("16 MiB"));
    let wrong = load(Path::new("x.ini"), &env, Options::default()).unwrap_err();
    assert!(wrong.to_string().contains(".toml"));
}

#[test]
fn syntax_errors_tell_the_place_and_nothing_else() {
    let env = Env::default();
    for (format, text, place) in [
        (Format::Toml, "a = 1\nclient_secret = \"canary\n", "line 2"),
        (Format::Yaml, "a: 1\nb: \"canary\n", "YAML"),
        (Format::Yaml, "a: [canary\n", "YAML"),
        (Format::Yaml, "canary", "one table"),
        (Format::Json, "{\"a\": \"canary\",\n x", "line 2, column 2"),
        (Format::Json, "[\"canary\"]", "one table"),
        (
            Format::Json,
            "{\"a\": 1,\n\"a\": \"canary\"}",
            "twice in one table, at line 2",
        ),
        (Format::Yaml, "a: 1\na: canary\n", "YAML"),
        (Format::Toml, "canary = 99999999999999999999", "TOML"),
    ] {
        let problems = load_text("f", text, format, &env, Options::default()).unwrap_err();
        let said = format!("{problems} {}", problems.to_json());
        assert!(said.contains(place) && !said.contains("canary"), "{said}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_text_never_panics(text in "[ -~\n]{0,200}") {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _result = load_text("f", &text, format, &Env::default(), Options::default());
        }
    }

    /// Whatever is put wherever: no problem and no warning repeats a value.
    #[test]
    fn values_are_never_told(index in 0_usize..200, shape in 0_u8..6) {
        let mut keys = Vec::new();
        all_keys("", SECTIONS, &mut keys);
        all_keys("integrations.billing.", INTEGRATION, &mut keys);
        let (prefix, name) = &keys[index % keys.len()];
        let value = match shape {
            0 => "\"CanarY{9}\\u0007\"",
            1 => "[\"CanarY{9}\"]",
            2 => "{ env = \"CanarY{9}\" }",
            3 => "{ x = \"CanarY{9}\" }",
            4 => "{ file = \"CanarY{9}\", expires_at = \"CanarY{9}\" }",
            _ => "[{ command = [\"CanarY{9}\"] }]",
        };
        let text = format!("{prefix}{name} = {value}\nintegrations.other.provider = \"360learning\"\n");
        let said = match try_with(&text, &[]) {
            Ok(loaded) => format!("{:?}", loaded.warnings),
            Err(problems) => format!("{problems} {}", problems.to_json()),
        };
        proptest::prop_assert!(!said.to_lowercase().contains("canary"), "{}", said);
    }
}

#[test]
fn every_key_of_the_sections_is_documented() {
    let text = include_str!("../../config/default.toml");
    for section in SECTIONS {
        let Kind::Table(keys) = section.kind else {
            continue;
        };
        assert!(
            text.contains(&format!("[{}]", section.name)),
            "{}",
            section.name
        );
        for key in keys.iter().filter(|key| !matches!(key.kind, Kind::Later)) {
            assert!(
                text.contains(&format!("{} = ", key.name)),
                "{}.{}",
                section.name,
                key.name
            );
        }
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    use std::fmt::Write as _;
    let mut text = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        writeln!(text, "a{level}: &a{level} [*a{before}, *a{before}]").unwrap();
    }
    let result = load_text(
        "f",
        &text,
        Format::Yaml,
        &Env::default(),
        Options::default(),
    );
    assert!(result.unwrap_err().to_string().contains("aliases"));
}

#[test]
fn what_an_api_call_needs() {
    let loaded = loaded(&format!(
        "{BILLING}[integrations.billing.api]\nbase_url = \"https://api.example.com/{{client_id}}/{{tenant.id}}\"\nheaders = {{ Authorization = \"\", X-Api-Key = \"{{client_id}}\", X-Brace = \"{{{{a}}}}\" }}\nquery = {{ t = \"{{access_token}}\" }}\n"
    ));
    let api = &loaded.spec.integrations[0].api;
    let tenant = |name: &str| (name == "tenant.id").then(|| "7".to_owned());
    let base_url = api.base_url.as_ref().unwrap();
    assert_eq!(
        base_url.render(tenant).unwrap(),
        "https://api.example.com/abc/7"
    );
    let headers: Vec<_> = api
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.literal()))
        .collect();
    assert_eq!(
        headers,
        [("X-Api-Key", Some("abc")), ("X-Brace", Some("{a}"))]
    );
    assert_eq!(
        api.query[0]
            .1
            .render(|name| Some(name.to_uppercase()))
            .unwrap(),
        "ACCESS_TOKEN"
    );
}

#[test]
fn thousands_of_integrations() {
    use std::fmt::Write as _;
    let mut text = SFMC.to_owned();
    for index in 0..3000 {
        writeln!(
            text,
            "[integrations.unit-{index}]\ninherit = \"sfmc\"\naccount_id = \"{index}\""
        )
        .unwrap();
    }
    let spec = loaded(&text).spec;
    assert_eq!(spec.integrations.len(), 3001);
    assert!(spec.integrations.is_sorted_by_key(|one| one.id.clone()));
    assert!(Arc::ptr_eq(
        &spec.integrations[1].response,
        &spec.integrations[2000].response
    ));
}

#[test]
fn an_assertion_is_read_with_its_claims() {
    let text = |more: &str| {
        format!(
            "[integrations.a]\ngrant = \"jwt_bearer\"\ntoken_endpoint = \"https://a.example/t\"\n\
             [integrations.a.assertion]\nkey = {{ file = \"/k\" }}\n{more}\n"
        )
    };
    let plain = loaded(&text("issuer = \"me\"\naudience = [\"a\", \"b\"]"));
    assert!(plain.warnings.is_empty(), "{:?}", plain.warnings);
    let Grant::JwtBearer(request, bearer) = &plain.spec.integrations[0].grant else {
        panic!("another grant")
    };
    assert_eq!(request.auth, ClientAuth::None);
    assert_eq!(
        (bearer.parameter.as_str(), bearer.grant_type.as_deref()),
        (Bearer::PARAMETER, Some(Bearer::GRANT_TYPE))
    );
    assert_eq!(bearer.assertion.lifetime, Assertion::LIFETIME);
    assert_eq!(bearer.assertion.audience.len(), 2);
    assert_eq!(loaded(&text("")).warnings.len(), 2, "issuer and audience");
    for (more, key, words) in [
        (
            "algorithm = \"ES512\"",
            "algorithm",
            "ES512 is not supported",
        ),
        ("algorithm = \"RS257\"", "algorithm", "is not an algorithm"),
        (
            "lifetime = \"20s\"",
            "lifetime",
            "longer than the back-dating",
        ),
        ("jti = \"random\"", "jti", "must be"),
        ("claims = { a = \"{tenant}\" }", "claims.a", "hole"),
        (
            "claims = { a = \"{client_id}\" }",
            "claims.a",
            "needs a client_id",
        ),
        (
            "claims = { a = inf }",
            "claims.a",
            "a number that JSON can write",
        ),
        (
            "headers = { alg = \"none\" }",
            "headers.alg",
            "cannot be set",
        ),
        ("parameter = \"scope\"", "parameter", "another parameter"),
    ] {
        refuses(
            &text(more),
            &format!("integrations.a.assertion.{key}"),
            words,
        );
    }
    refuses(
        "[integrations.a]\ngrant = \"signed_jwt\"\n[integrations.a.assertion]\nissuer = \"me\"\n",
        "integrations.a.assertion.key",
        "is missing",
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
        Claim::Text(Phrase(vec![Part::Now(300)]))
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
