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

/// The file is refused, and one problem is at `key` of it and says `words`.
#[track_caller]
fn refuses_file(text: &str, key: &str, words: &str) {
    let mut report = Report::default();
    let read = provider::read_provider("x", text, Format::Toml, "x.toml", &mut report);
    let problems = report.refuse();
    let found = problems
        .list()
        .iter()
        .any(|one| one.file == "x.toml" && one.key == key && one.message.contains(words));
    assert!(
        read.is_none() && found,
        "no '{words}' at {key} in:\n{problems}"
    );
}

#[test]
fn provider_files_keep_their_own_rules() {
    let many: Vec<String> = (0..65)
        .map(|number| format!("params.p{number} = {{ description = \"x\" }}"))
        .collect();
    let many = many.join("\n");
    for (line, key, words) in [
        ("grant = \"{\"", "grant", "without"),
        (
            "params.scope = { description = \"x\" }",
            "params.scope",
            "key of every integration",
        ),
        (
            "params.x = { pattern = \"(\" }",
            "params.x.pattern",
            "regular expression",
        ),
        ("client_secret = \"x\"", "client_secret", "not a known key"),
        ("hints = [{ advice = \"x\" }]", "hints.0", "condition"),
        ("errors = [{ status = 400 }]", "errors.0", "outcome"),
        (
            "errors = [{ status = 4000, outcome = \"transient\" }]",
            "errors.0.status",
            "HTTP status",
        ),
        ("nmae = \"x\"", "nmae", "'name'"),
        (
            "params.now = { description = \"x\" }",
            "params.now",
            "stands for already",
        ),
        (&many, "params", "more than 64"),
        (
            "params.x = { choices = { a = \"b\" }, default = \"c\" }",
            "params.x.default",
            "one of the choices",
        ),
        (
            "params.x.choices = { a = { u = \"1\" }, b = { v = \"2\" } }",
            "params.x.choices",
            "same names",
        ),
    ] {
        refuses_file(line, key, words);
    }
}

/// An integration that nothing can be made of is told about, whatever it is that is not there.
#[test]
fn a_parameter_that_is_not_given_is_missed_where_a_request_needs_it() {
    for (lines, whole) in [
        (
            "grant = \"request\"\nrequest.url = \"https://a.example/{x}/t\"\n",
            false,
        ),
        (
            "grant = \"steps\"\n[[steps]]\nrequest.url = \"{x}/t\"\n",
            true,
        ),
        (
            "grant = \"client_credentials\"\ntoken_endpoint = \"https://a.example/{upper({x})}\"\n",
            false,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = format!(
            "name = \"v\"\nparams.x = {{ description = \"an x\", required = false }}\n{lines}"
        );
        std::fs::write(folder.path().join("v.toml"), file).unwrap();
        let with = |more: &str| {
            format!(
                "providers.path = \"{}\"\n[integrations.a]\nprovider = \"v\"\n{more}\n",
                folder.path().display()
            )
        };
        refuses(&with(""), "integrations.a.x", "is missing");
        let given = if whole { "https://a.example" } else { "b" };
        let there = try_with(&with(&format!("x = \"{given}\"")), &[]).unwrap();
        assert_eq!(there.spec.integrations.len(), 1);
    }
}

/// A mistake in a provider file is told once, there.
#[test]
fn what_rests_on_a_refused_provider_file_is_not_to_blame() {
    let folder = tempfile::tempdir().unwrap();
    let file = "grant = \"client_credentials\"\ntoken_endpoint = \"{\"\nparams.sub = {}\n";
    std::fs::write(folder.path().join("mine.toml"), file).unwrap();
    let config = format!(
        "providers.path = \"{}\"\n[integrations.a]\nprovider = \"mine\"\nsub = \"x\"\n\
         [integrations.b]\ninherit = \"a\"\n",
        folder.path().display()
    );
    let problems = try_with(&config, &[]).unwrap_err();
    let [one] = problems.list() else {
        panic!("{problems}")
    };
    assert!(one.file.ends_with("mine.toml"), "{one}");
}

/// Whoever installs somebody's provider file does not have to read it for where secrets go.
#[test]
fn a_hole_of_a_provider_file_is_held_to_where_it_stands() {
    let parameter = "params.x = { description = \"x\" }\n";
    let secret = "params.x = { description = \"x\", secret = true }\n";
    let choices = "params.x.choices = { a = { u = \"1\" }, b = { u = \"2\" } }\n";
    for (text, key, words) in [
        (
            "token_endpoint = \"https://{x}.example/\"".to_owned(),
            "token_endpoint",
            "no parameter",
        ),
        (
            format!("{parameter}scope = \"{{shout({{x}})}}\""),
            "scope",
            "function",
        ),
        (
            format!("{parameter}token_endpoint = \"https://{{x}}-a.example/t\""),
            "token_endpoint",
            "another domain",
        ),
        (
            format!("{parameter}token_endpoint = \"https://a.{{upper({{x}})}}example/t\""),
            "token_endpoint",
            "another domain",
        ),
        (
            format!("{parameter}request.url = \"{{x}}.example/t\""),
            "request.url",
            "another host",
        ),
        (
            format!("{parameter}api.base_url = \"https://{{x}}a.example/\""),
            "api.base_url",
            "another domain",
        ),
        (
            format!("{parameter}token_endpoint = \"https://a.example{{x}}/t\""),
            "token_endpoint",
            "end of its host",
        ),
        (
            format!("{secret}token_endpoint = \"https://a.example/{{x}}\""),
            "token_endpoint",
            "a secret parameter",
        ),
        (
            format!("{secret}request.url = \"https://a.example/{{sha256({{x}})}}\""),
            "request.url",
            "has a secret in it",
        ),
        (
            "request.url = \"https://a.example/{client_secret}\"".to_owned(),
            "request.url",
            "has a secret in it",
        ),
        (
            format!("{secret}api.headers.X-Key = \"{{x}}\""),
            "api.headers.X-Key",
            "a secret parameter",
        ),
        (
            format!("{secret}assertion.claims.pin = \"{{x}}\""),
            "assertion.claims.pin",
            "a secret parameter",
        ),
        (
            format!("{choices}scope = \"{{x}}\""),
            "scope",
            "not every choice",
        ),
        (
            format!("{choices}scope = \"{{x.v}}\""),
            "scope",
            "not every choice",
        ),
    ] {
        refuses_file(&text, key, words);
    }
}

#[test]
fn a_step_of_a_provider_file_refers_to_what_is_before_it() {
    let step = |url: &str, more: &str| {
        format!(
            "[[steps]]\nrequest.url = \"https://a.example/t\"\n[[steps]]\n\
             [steps.request]\nurl = \"{url}\"\n{more}\n"
        )
    };
    for (text, key, words) in [
        (
            "client_assertion.kid = \"{steps.0.kid}\"".to_owned(),
            "client_assertion.kid",
            "not before it",
        ),
        (
            step("https://a.example/u", "form = { a = \"{steps.1.b}\" }"),
            "steps.1.request.form.a",
            "refers to step 1",
        ),
        (
            step("https://a.example/u", "form = { a = \"{steps.2.b}\" }"),
            "steps.1.request.form.a",
            "refers to step 2",
        ),
        (
            step("https://a.example/u", "headers = { a = \"{steps.0}\" }"),
            "steps.1.request.headers.a",
            "member of a step's answer",
        ),
        (
            step("{steps.0.url}/u", ""),
            "steps.1.request.url",
            "name the hosts",
        ),
        (
            step(
                "https://x{steps.0.url}example/u",
                "hosts = [\"*.a.example\"]",
            ),
            "steps.1.request.url",
            "another domain",
        ),
        (
            "headers.X = \"{key_fingerprint}\"".to_owned(),
            "headers.X",
            "only an assertion",
        ),
        (
            "headers.X = \"{steps.0.a}\"".to_owned(),
            "headers.X",
            "only 'steps' have steps",
        ),
    ] {
        refuses_file(&text, key, words);
    }
}

#[test]
fn a_choice_can_stand_for_several_things() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
grant = "client_credentials"
token_endpoint = "https://{region.login}/token"
scope = "{region.name}"
api.base_url = "https://{region.api}"
[params.region]
default = "eu"
[params.region.choices]
eu = { login = "login.eu.example", api = "api.eu.example", name = "europe" }
us = { login = "login.example", api = "api.example", name = "america" }
"#;
    std::fs::write(folder.path().join("acme.toml"), text).unwrap();
    let with = |more: &str| {
        format!(
            "providers.path = \"{}\"\n[integrations.a]\nprovider = \"acme\"\nclient_id = \"i\"\n{more}",
            folder.path().display()
        )
    };
    for (more, login, api, name) in [
        ("", "login.eu.example", "api.eu.example", "europe"),
        ("region = \"us\"", "login.example", "api.example", "america"),
    ] {
        let loaded = loaded(&with(more));
        let one = &loaded.spec.integrations[0];
        let request = request(&loaded, 0);
        assert_eq!(request.endpoint.nearest().host(), login);
        assert_eq!(request.scope.as_deref(), Some(name));
        let base_url = one.api.base_url.as_ref().and_then(|url| url.literal());
        assert_eq!(base_url, Some(format!("https://{api}").as_str()));
    }
    refuses(
        &with("region = \"ap\""),
        "integrations.a.region",
        "\"eu\" or \"us\"",
    );
}

/// Empty is a value where the vendor wants the member, and nothing where it does not.
#[test]
fn an_empty_default_is_sent_and_a_parameter_that_is_not_given_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
grant = "request"
[request]
url = "https://a.example/t"
json = { site = "{site}", realm = "{realm}" }
[api]
base_url = "{server}/v1"
[params]
site = { default = "" }
realm = { required = false }
server = { required = false }
"#;
    std::fs::write(folder.path().join("acme.toml"), text).unwrap();
    let path = folder.path().display();
    let loaded = loaded(&format!(
        "providers.path = \"{path}\"\n[integrations.a]\nprovider = \"acme\"\n"
    ));
    let one = &loaded.spec.integrations[0];
    assert_eq!(one.api.base_url, None);
    let Grant::Steps(steps) = &one.grant else {
        panic!("another grant")
    };
    let call = steps.calls().next().unwrap();
    let Body::Json(members) = &call.body else {
        panic!("another body")
    };
    assert_eq!(
        members.as_slice(),
        [(Phrase::literal("site"), Draft::Text(Phrase::new([])))]
    );
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
