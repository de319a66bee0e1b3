//! Grants that renew by refresh token.

use super::*;
use crate::spec::{FirstRefreshToken, RateLimit, Refreshing, Rotation};

const CRM: &str = r#"
[integrations.crm]
grant = "refresh_token"
token_endpoint = "https://auth.example.com/token"
client_id = "abc"
client_secret = { file = "/run/secrets/crm" }
refresh_token = { file = "/run/secrets/crm-refresh" }
refresh_token_rotation = "never"
"#;
const BROWSER: &str = r#"
[integrations.crm]
grant = "authorization_code"
token_endpoint = "https://auth.example.com/token"
authorization_endpoint = "https://auth.example.com/authorize?access_type=offline"
client_id = "abc"
scope = ["a", "b"]
refresh_token_rotation = "never"
"#;
const MAY_LOSE: &str = "[store]\nallow_losing_refresh_tokens = true\n";

fn refreshing(loaded: &Loaded, index: usize) -> &Refreshing {
    let grant = &loaded.spec.integrations[index].grant;
    grant.refreshing().expect("a grant that refreshes")
}

fn warned(loaded: &Loaded, key: &str, words: &str) -> bool {
    let hit = |one: &Problem| one.key == key && one.message.contains(words);
    loaded.warnings.iter().any(hit)
}

#[test]
fn a_configured_refresh_token() {
    let text = format!(
        "{CRM}refresh_endpoint = \"https://auth.example.com/refresh\"\n\
         refresh_token_lifetime = \"90d\"\nrefresh_token_idle_lifetime = \"14d\"\n"
    );
    let loaded = loaded(&text);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let grant = &loaded.spec.integrations[0].grant;
    assert_eq!(
        (grant.name(), grant.takes_logins()),
        ("refresh_token", false)
    );
    let refreshing = refreshing(&loaded, 0);
    let source = SecretSource::File("/run/secrets/crm-refresh".into());
    assert_eq!(refreshing.first, FirstRefreshToken::Configured(source));
    let at = refreshing.refresh_endpoint.as_ref().unwrap();
    assert_eq!(at.url().as_str(), "https://auth.example.com/refresh");
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(
        (
            refreshing.rotation,
            refreshing.lifetime,
            refreshing.idle_lifetime
        ),
        (Rotation::Never, days(90), days(14))
    );
    let request = tests_request(&loaded, 0);
    assert_eq!(request.auth, ClientAuth::Basic(BasicEncoding::Form));
}

#[test]
fn what_a_refresh_names_again() {
    let key = "integrations.crm.refresh_sends";
    refuses(
        &format!("{CRM}refresh_sends = [\"code\"]\n"),
        key,
        "must be of",
    );
    let none = format!("{CRM}refresh_sends = [\"redirect_uri\"]\n");
    refuses(&none, key, "only grant");
    let both = "redirect_uri = \"https://app.example.com/back\"\n\
                refresh_sends = [\"scope\", \"redirect_uri\"]\n";
    let loaded = try_with(&format!("{MAY_LOSE}{BROWSER}{both}"), &[]).unwrap();
    let dialect = tests_request(&loaded, 0).dialect().unwrap();
    assert!(dialect.refresh_sends_scope);
    assert_eq!(
        dialect.refresh_sends_redirect_uri.as_deref(),
        Some("https://app.example.com/back")
    );
}

#[test]
fn a_login_in_a_browser_comes_back_to_the_first_tcp_listener() {
    let redirect = |listen: &str| {
        let loaded = loaded(&format!("server.listen = {listen}\n{BROWSER}"));
        let FirstRefreshToken::AuthorizationCode {
            authorization_endpoint,
            redirect_uri,
            issuer: None,
        } = &refreshing(&loaded, 0).first
        else {
            panic!("{:?}", refreshing(&loaded, 0))
        };
        assert_eq!(
            authorization_endpoint.nearest().url().query(),
            Some("access_type=offline")
        );
        redirect_uri.to_string()
    };
    assert_eq!(
        redirect("[\"127.0.0.1:8656\"]"),
        "http://127.0.0.1:8656/login/callback"
    );
    assert_eq!(
        redirect("[\"unix:/run/b.sock\", \"[::1]:99\"]"),
        "http://[::1]:99/login/callback"
    );
    let loaded = loaded(BROWSER);
    let request = tests_request(&loaded, 0);
    assert_eq!(
        (
            request.auth.clone(),
            request.client_id.as_deref(),
            request.scope.as_deref()
        ),
        (ClientAuth::None, Some("abc"), Some("a b")),
        "a public client names itself"
    );
    let grant = &loaded.spec.integrations[0].grant;
    assert_eq!(
        (grant.name(), grant.takes_logins()),
        ("authorization_code", true)
    );
    for nowhere in ["\"unix:/run/b.sock\"", "\"127.0.0.1:0\""] {
        refuses(
            &format!("server.listen = {nowhere}\n{BROWSER}"),
            "integrations.crm.redirect_uri",
            "is missing",
        );
    }
}

#[test]
fn redirects_go_to_https_or_to_this_machine() {
    for good in [
        "https://app.example.com/callback?x=1",
        "http://localhost:8656/login/callback",
        "http://[::1]:8656/login/callback",
    ] {
        let loaded = loaded(&format!("{BROWSER}redirect_uri = \"{good}\"\n"));
        assert!(!warned(&loaded, "integrations.crm.redirect_uri", ""));
    }
    // A port that is not known yet may be any.
    let any = format!(
        "server.listen = \"127.0.0.1:0\"\n{BROWSER}redirect_uri = \"http://127.0.0.1:9/login/callback\"\n"
    );
    assert!(!warned(&loaded(&any), "integrations.crm.redirect_uri", ""));
    for nowhere in [
        "http://localhost:8656/oauth/cb",
        "http://localhost:8657/login/callback",
        "http://127.0.0.1/login/callback",
        "https://localhost:8656/login/callback",
    ] {
        let loaded = loaded(&format!("{BROWSER}redirect_uri = \"{nowhere}\"\n"));
        let words = "not to where the broker takes redirects";
        assert!(
            warned(&loaded, "integrations.crm.redirect_uri", words),
            "{nowhere}"
        );
    }
    let bare = loaded(&format!("{BROWSER}redirect_uri = \"https://localhost\"\n"));
    let key = "integrations.crm.redirect_uri";
    assert!(warned(&bare, key, "letter by letter"));
    for bad in [
        "http://app.example.com/callback",
        "https://u:p@app.example.com/",
        "https://app.example.com/#x",
        "app.example.com",
        "urn:ietf:wg:oauth:2.0:oob",
    ] {
        refuses(
            &format!("{BROWSER}redirect_uri = \"{bad}\"\n"),
            key,
            "https://",
        );
    }
}

/// As written, since it is compared letter by letter.
#[test]
fn the_issuer_of_redirects_can_be_named() {
    let with = |issuer: &str| format!("{BROWSER}issuer = \"{issuer}\"\n");
    for good in [
        "https://auth.example.com",
        "https://auth.example.com/realms/a/",
    ] {
        let loaded = loaded(&with(good));
        let FirstRefreshToken::AuthorizationCode { issuer, .. } = &refreshing(&loaded, 0).first
        else {
            panic!("{:?}", refreshing(&loaded, 0))
        };
        assert_eq!(issuer.as_deref(), Some(good));
    }
    let key = "integrations.crm.issuer";
    for bad in [
        "http://auth.example.com",
        "https://auth.example.com?x=1",
        "https://auth.example.com/#x",
        "auth.example.com",
    ] {
        refuses(&with(bad), key, "https://");
    }
    refuses(
        &format!("{CRM}issuer = \"https://auth.example.com\"\n"),
        key,
        "not used where all endpoints",
    );
    let device = with("https://auth.example.com")
        .replace("authorization_code", "device_code")
        .replace("authorization_endpoint", "device_authorization_endpoint");
    refuses(&device, key, "not used where all endpoints");
    // The vendor's own is no mistake of whoever logs in on another device.
    let google = "[integrations.g]\nprovider = \"google\"\ngrant = \"device_code\"\nclient_id = \"a\"\n\
                  client_secret = { file = \"/s\" }\nscope = \"email\"\n";
    assert!(!warned(&loaded(google), "integrations.g.issuer", ""));
}

#[test]
fn a_login_on_another_device() {
    let text = BROWSER
        .replace("authorization_code", "device_code")
        .replace("authorization_endpoint", "device_authorization_endpoint");
    let device = loaded(&text);
    let FirstRefreshToken::DeviceCode {
        device_authorization_endpoint,
    } = &refreshing(&device, 0).first
    else {
        panic!("{:?}", refreshing(&device, 0))
    };
    assert_eq!(
        device_authorization_endpoint.nearest().host(),
        "auth.example.com"
    );
    refuses(
        &text.replace("device_authorization_endpoint", "# "),
        "integrations.crm.device_authorization_endpoint",
        "missing",
    );
}

/// What is added to [`CRM`] or [`BROWSER`], the key to blame, and words of the message.
#[test]
fn keys_of_another_way_are_refused() {
    for (text, line, key, words) in [
        (
            CRM,
            "authorization_endpoint = \"https://auth.example.com/a\"",
            "authorization_endpoint",
            "not used by grant = \"refresh_token\"",
        ),
        (
            CRM,
            "redirect_uri = \"https://a.example\"",
            "redirect_uri",
            "not used by",
        ),
        (
            BROWSER,
            "refresh_token = { file = \"/x\" }",
            "refresh_token",
            "a login brings it",
        ),
        (CRM, "token = \"t\"", "token", "not used by"),
        (
            CRM,
            "assertion = { kid = \"k\" }",
            "assertion",
            "not used by",
        ),
        (
            BILLING,
            "refresh_token = { file = \"/x\" }",
            "refresh_token",
            "not used by grant = \"client_credentials\"",
        ),
        (
            CRM,
            "params = { refresh_token = \"x\" }",
            "params.refresh_token",
            "set by the grant",
        ),
        (
            BROWSER,
            "params = { code_verifier = \"x\" }",
            "params.code_verifier",
            "set by the grant",
        ),
        (
            CRM,
            "refresh_endpoint = \"http://auth.example.com/r\"",
            "refresh_endpoint",
            "https://",
        ),
        (
            CRM,
            "refresh_token_idle_lifetime = \"1s\"",
            "refresh_token_idle_lifetime",
            "within 1m",
        ),
    ] {
        let name = if text == BILLING { "billing" } else { "crm" };
        let key = format!("integrations.{name}.{key}");
        refuses(&format!("{text}{line}\n"), &key, words);
    }
    refuses(
        &CRM.replace("refresh_token = {", "# {"),
        "integrations.crm.refresh_token",
        "by a login",
    );
    refuses(
        &CRM.replace("\"never\"", "\"sometimes\""),
        "integrations.crm.refresh_token_rotation",
        "\"maybe\"",
    );
}

#[test]
fn a_rotating_grant_with_a_memory_store_is_refused_with_the_reason() {
    for rotation in [
        "",
        "refresh_token_rotation = \"maybe\"",
        "refresh_token_rotation = \"always\"",
    ] {
        for text in [CRM, BROWSER] {
            let text = text.replace("refresh_token_rotation = \"never\"", rotation);
            refuses(
                &text,
                "integrations.crm.grant",
                "[store] kind = \"embedded\"",
            );
            refuses(
                &text,
                "integrations.crm.grant",
                "refresh_token_rotation = \"never\"",
            );
            let loaded = loaded(&format!("{MAY_LOSE}{text}"));
            assert!(warned(&loaded, "integrations.crm.grant", "needs a new one"));
            assert!(refreshing(&loaded, 0).rotates());
        }
    }
    let kept = format!(
        "[store]\nkind = \"embedded\"\npath = \"/var/lib/x.redb\"\n{}",
        BROWSER.replace("\"never\"", "\"always\"")
    );
    assert!(!warned(&loaded(&kept), "integrations.crm.grant", ""));
    let consent = loaded(BROWSER);
    assert!(warned(
        &consent,
        "integrations.crm.grant",
        "log in after every"
    ));
    assert!(loaded(CRM).warnings.is_empty());
}

#[test]
fn one_rotating_refresh_token_has_one_owner() {
    let rotating = CRM.replace("\"never\"", "\"always\"");
    let heir = "[integrations.other]\ninherit = \"crm\"\nscope = \"x\"\n";
    let key = "integrations.other.refresh_token";
    refuses(&format!("{MAY_LOSE}{rotating}{heir}"), key, "of 'crm'");
    // It is enough that one of them may change it.
    let half = format!("{MAY_LOSE}{CRM}{heir}refresh_token_rotation = \"maybe\"\n");
    refuses(&half, key, "of 'crm'");
    let own = format!("{MAY_LOSE}{rotating}{heir}refresh_token = {{ file = \"/own\" }}\n");
    assert_eq!(loaded(&own).spec.integrations.len(), 2);
    assert_eq!(loaded(&format!("{CRM}{heir}")).spec.integrations.len(), 2);
    // Each consents for itself.
    let browsers = format!("{BROWSER}{heir}");
    assert_eq!(loaded(&browsers).spec.integrations.len(), 2);

    let variable = rotating.replace("{ file = \"/run/secrets/crm-refresh\" }", "{ env = \"R\" }");
    let text = format!("{MAY_LOSE}{variable}{heir}refresh_token = {{ env = \"S\" }}\n");
    let problems = try_with(
        &text,
        &[("R", "one-and-the-same"), ("S", "one-and-the-same")],
    );
    let problems = problems.expect_err("the same value").to_string();
    assert!(
        problems.contains(key) && !problems.contains("one-and"),
        "{problems}"
    );
    assert!(try_with(&text, &[("R", "a"), ("S", "b")]).is_ok());
    let without = Options {
        without_secrets: true,
    };
    let unknown = load_text("t.toml", &text, Format::Toml, &Env::default(), without);
    assert!(unknown.is_ok(), "what is not known here is not compared");
}

#[test]
fn a_limit_of_token_requests() {
    let text = format!("refresh.rate_limit = \"50/12h\"\n{BILLING}");
    let one = loaded(&text);
    let limit = RateLimit {
        requests: 50,
        per: Duration::from_secs(12 * 3600),
    };
    let found = one.spec.integrations[0].refresh.rate_limit;
    assert_eq!(found, Some(limit));
    assert_eq!(limit.to_string(), "50/12h");
    let own = loaded(&format!("{text}refresh.rate_limit = \"\"\n"));
    assert_eq!(own.spec.integrations[0].refresh.rate_limit, None);
}

#[test]
fn a_redirect_that_the_vendor_has_a_name_for() {
    let more = "redirect_uri = \"https://app.example.com/back\"\nredirect_uri_sent = \"Ours\"\n\
                refresh_sends = [\"redirect_uri\"]\n";
    let loaded = try_with(&format!("{MAY_LOSE}{BROWSER}{more}"), &[]).unwrap();
    let dialect = tests_request(&loaded, 0).dialect().unwrap();
    let sent = dialect.redirect_uri_sent.as_deref();
    let again = dialect.refresh_sends_redirect_uri.as_deref();
    assert_eq!((sent, again), (Some("Ours"), Some("Ours")));
    // Only a login needs what its name is made of.
    let seller = |more: &str| {
        format!(
            "{MAY_LOSE}[integrations.crm]\nprovider = \"ebay\"\nclient_id = \"i\"\n\
             client_secret = {{ file = \"/s\" }}\n{more}\n"
        )
    };
    assert!(try_with(&seller(""), &[]).is_ok());
    let login = seller("grant = \"authorization_code\"");
    refuses(&login, "integrations.crm.ru_name", "is missing");
    refuses(
        &format!("{CRM}redirect_uri_sent = \"Ours\"\n"),
        "integrations.crm.redirect_uri_sent",
        "is not used",
    );
}
