//! What each grant and an API call are made of.

use super::*;

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
