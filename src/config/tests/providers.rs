//! Provider files: their knowledge, parameters and limits.

use super::*;

#[test]
fn providers_bring_their_knowledge() {
    let loaded = loaded(SFMC);
    let one = &loaded.spec.integrations[0];
    assert_eq!(&*one.provider, "salesforce-marketing-cloud");
    let request = request(&loaded, 0);
    assert_eq!(
        request.endpoint.nearest().url().as_str(),
        "https://mc0123456789abcdefghijklmnop.auth.marketingcloudapis.com/v2/token"
    );
    assert_eq!(
        (request.auth.clone(), request.format),
        (ClientAuth::Post, RequestFormat::Json)
    );
    assert!(request.params.is_empty() && request.scope.is_none());
    assert!(one.api.hosts[0].matches("x.rest.marketingcloudapis.com"));
    assert!(one.vendor.hints.len() > 5);

    let us = loaded_360("region = \"us\"\nuser_id = \"5f1e0c2a9b3d4e5f6a7b8c9d\"");
    let one = &us.spec.integrations[0];
    assert_eq!(
        tests_request(&us, 0).endpoint.nearest().url().as_str(),
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
        request.endpoint.nearest().url().as_str(),
        "https://x.example/base/a%2Fb%3Fc/token?for=a%2Fb%3Fc"
    );
    assert_eq!(
        request.params,
        [
            ("fixed".to_owned(), "a/b?c-x".into()),
            (
                "PIN".to_owned(),
                Draft::Text(Phrase::new([Part::Secret(SecretSource::File(
                    "/pin".into()
                ))]))
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
        Draft::Text(Phrase::new([Part::Secret(SecretSource::File("/c".into()))]))
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
        for param in provider
            .params
            .iter()
            .filter(|param| param.required && !param.secret)
        {
            let example = param
                .example
                .as_deref()
                .expect("required parameters have an example");
            text = text.replace(
                &format!("{} = \"\"", param.name),
                &format!("{} = \"{example}\"", param.name),
            );
        }
        for key in ["client_id", "username"] {
            text = text.replace(&format!("{key} = \"\""), &format!("{key} = \"abc\""));
        }
        let loaded = loaded(&text);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(&*loaded.spec.integrations[0].provider, provider.id);
    }
}
