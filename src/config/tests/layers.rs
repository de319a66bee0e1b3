//! What wins over what: sections, inheritance, variables.

use super::*;

#[test]
fn a_global_mistake_is_told_once_however_many_integrations_there_are() {
    let problems = refused(
        "[refresh]\nat = 2.0\n[integrations.a]\ngrant = \"static\"\ntoken = \"t\"\n\
         [integrations.b]\ngrant = \"static\"\ntoken = \"t\"\n",
    );
    let keys: Vec<_> = problems.list().iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["refresh.at"]);
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
    let text = |value: &str| Draft::from(value);
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
    assert!(request.endpoint.nearest().host().starts_with("other."));
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
