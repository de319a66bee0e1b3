//! Grants, client authentications and requests: what is refused, and where.

use super::*;

/// An integration `a` with these lines.
fn with(lines: &str) -> String {
    format!("[integrations.a]\n{lines}\n")
}

const CLIENT: &str = "grant = \"client_credentials\"\ntoken_endpoint = \"https://a.example/t\"\n\
                      client_id = \"i\"\n";

fn client(lines: &str) -> String {
    with(&format!("{CLIENT}{lines}"))
}

#[track_caller]
fn each(cases: &[(&str, &str, &str)], text: impl Fn(&str) -> String) {
    for (lines, key, words) in cases {
        refuses(&text(lines), &format!("integrations.a.{key}"), words);
    }
}

#[test]
fn a_client_authenticates_in_one_way() {
    let method = |name: &str| format!("token_endpoint_auth_method = \"{name}\"\n");
    each(
        &[
            (
                &method("basic"),
                "token_endpoint_auth_method",
                "is not a method",
            ),
            (
                &method("private_key_jwt"),
                "client_assertion.key",
                "is missing",
            ),
            (
                &format!(
                    "{}client_secret = {{ file = \"/s\" }}",
                    method("private_key_jwt")
                ),
                "client_secret",
                "is not used with",
            ),
            (
                "client_assertion = { algorithm = \"HS256\", key = { file = \"/k\" } }",
                "client_assertion.algorithm",
                "client_secret_jwt",
            ),
            (
                &format!(
                    "{}client_secret = {{ file = \"/s\" }}\nclient_assertion = {{ algorithm = \"RS256\" }}",
                    method("client_secret_jwt")
                ),
                "client_assertion.algorithm",
                "private_key_jwt",
            ),
            (&method("client_secret_jwt"), "client_secret", "is missing"),
            (
                "client_assertion_file = \"/var/run/token\"\nclient_assertion = { key = { file = \"/k\" } }",
                "client_assertion.key",
                "signed already",
            ),
            (
                "client_assertion_file = \"/var/run/token\"\nclient_assertion = { lifetime = \"60s\" }",
                "client_assertion.lifetime",
                "signed already",
            ),
            (
                &method("tls_client_auth"),
                "client_certificate",
                "is missing",
            ),
            (
                &format!(
                    "{}client_secret = {{ file = \"/s\" }}\nbasic_encoding = \"raw\"",
                    method("client_secret_post")
                ),
                "basic_encoding",
                "is not used",
            ),
            (
                "client_certificate = { file = \"/c.pem\" }",
                "client_key",
                "is missing",
            ),
            (
                "client_certificate = \"c.pem\"\nclient_key = { file = \"/k.pem\" }",
                "client_certificate",
                "PEM",
            ),
            (
                &format!(
                    "{}client_assertion = {{ key = {{ file = \"/k\" }} }}",
                    method("none")
                ),
                "client_assertion",
                "is not used with",
            ),
        ],
        client,
    );
}

#[test]
fn what_a_client_authenticates_with() {
    for (lines, wanted) in [
        ("client_assertion = { key = { file = \"/k\" } }", "key"),
        (
            "client_assertion = { key = [{ file = \"/k\" }, { file = \"/l\" }] }",
            "keys",
        ),
        ("client_assertion_file = \"/var/run/token\"", "file"),
        (
            "token_endpoint_auth_method = \"tls_client_auth\"\n\
             client_certificate = { file = \"/c\" }\nclient_key = { file = \"/k\" }",
            "certificate",
        ),
        // A certificate can stand beside another method (RFC 8705 section 3).
        (
            "client_secret = { file = \"/s\" }\n\
             client_certificate = { file = \"/c\" }\nclient_key = { file = \"/k\" }",
            "both",
        ),
    ] {
        let loaded = loaded(&client(lines));
        let request = request(&loaded, 0);
        let keys = request.client_assertion().map(|one| one.key.len());
        let found = match (&request.auth, keys, request.certificate()) {
            (ClientAuth::Assertion(_), Some(1), None) => "key",
            (ClientAuth::Assertion(_), Some(2), None) => "keys",
            (ClientAuth::AssertionFile(_), None, None) => "file",
            (ClientAuth::None, None, Some(_)) => "certificate",
            (ClientAuth::Basic(_), None, Some(_)) => "both",
            other => panic!("{lines}: {other:?}"),
        };
        assert_eq!(found, wanted);
    }
}

#[test]
fn grants_with_parameters_of_their_own() {
    let exchange = "grant = \"token_exchange\"\ntoken_endpoint = \"https://a.example/t\"\n";
    let password = "grant = \"password\"\ntoken_endpoint = \"https://a.example/t\"\n";
    let subject = "subject_token = { file = \"/t\" }\nsubject_token_type = \"urn:x\"\n";
    for (lines, key, words) in [
        (exchange.to_owned(), "subject_token", "is missing"),
        (
            format!("{exchange}subject_token = {{ file = \"/t\" }}"),
            "subject_token_type",
            "is missing",
        ),
        (
            format!("{exchange}{subject}actor_token = {{ file = \"/t\" }}"),
            "actor_token_type",
            "is missing",
        ),
        (
            format!("{exchange}{subject}params = {{ subject_token = \"x\" }}"),
            "params.subject_token",
            "set by the grant",
        ),
        (password.to_owned(), "username", "is missing"),
        (
            format!("{password}username = \"u\""),
            "password",
            "is missing",
        ),
        (
            format!("{password}username = \"u\"\npassword = \"p\"\nsubject_token = \"x\""),
            "subject_token",
            "is not used by",
        ),
        (
            "grant = \"broker\"\nurl = \"https://x.example\"".to_owned(),
            "grant",
            "not built yet",
        ),
        (format!("{CLIENT}dpop = {{}}"), "dpop", "not built yet"),
    ] {
        refuses(&with(&lines), &format!("integrations.a.{key}"), words);
    }
    for (lines, name) in [
        (format!("{exchange}{subject}"), "token_exchange"),
        (
            format!("{password}username = \"u\"\npassword = {{ file = \"/p\" }}"),
            "password",
        ),
    ] {
        let loaded = loaded(&with(&lines));
        assert_eq!(loaded.spec.integrations[0].grant.name(), name);
    }
}

#[test]
fn what_a_request_is_made_of() {
    each(
        &[
            (
                "parameter_names = { user = \"u\" }",
                "parameter_names.user",
                "is not a known key",
            ),
            (
                "parameter_names = { clientid = \"u\" }",
                "parameter_names.clientid",
                "'client_id'",
            ),
            (
                "params = { deep = { a = 1 } }",
                "params.deep",
                "request_format = \"json\"",
            ),
            (
                "headers = { Content-Type = \"x\" }",
                "headers.Content-Type",
                "set by the request itself",
            ),
            ("request_format = \"xml\"", "request_format", "must be"),
            (
                "parameter_names = { client_id = \"app_id\" }\nparams = { app_id = \"x\" }",
                "params.app_id",
                "calls 'client_id'",
            ),
            (
                "parameter_names = { client_id = \"id\", scope = \"id\" }",
                "parameter_names.scope",
                "that 'client_id' has",
            ),
            (
                "parameter_names = { client_secret = \"\" }",
                "parameter_names.client_secret",
                "what proves",
            ),
            (
                "query_parameters = [\"grant_typ\"]",
                "query_parameters",
                "what is not sent",
            ),
            (
                "api = { headers = { X-Key = \"{client_secret}\" } }",
                "api.headers.X-Key",
                "no caller is given",
            ),
            (
                "api = { query = { p = \"{base64({password})}\" } }",
                "api.query.p",
                "no caller is given",
            ),
            ("method = \"GET\"", "method", "request_format = \"query\""),
        ],
        client,
    );
    let loaded = loaded(&client(
        "scope = [\"a\", \"b\"]\nscope_separator = \"[]\"\nquery_parameters = [\"x\"]\n\
         params = { grant_type = \"other\", x = 1 }\nparameter_names = { client_id = \"\" }",
    ));
    let request = request(&loaded, 0);
    let dialect = request.dialect().unwrap();
    assert!(dialect.scope_is_list);
    assert_eq!(dialect.in_query, ["x"]);
    assert_eq!(request.name("client_id"), "");
    assert_eq!(request.name("scope"), "scope");
    assert_eq!(
        request.params,
        [
            ("grant_type".to_owned(), "other".into()),
            ("x".to_owned(), Draft::Integer(1))
        ]
    );
}

#[test]
fn requests_and_steps() {
    let request = |lines: &str| {
        with(&format!(
            "grant = \"request\"\n[integrations.a.request]\nurl = \"https://a.example/t\"\n{lines}"
        ))
    };
    each(
        &[
            (
                "form = { a = \"b\" }\njson = { a = \"b\" }",
                "request.json",
                "one body",
            ),
            (
                "method = \"GET\"\njson = { a = \"b\" }",
                "request.method",
                "no body",
            ),
            (
                "json = { a = \"{client_secret}\" }",
                "request.json.a",
                "needs a client_secret",
            ),
            (
                "form = { a = \"{password}\" }",
                "request.form.a",
                "needs a password",
            ),
            ("form = { a = \"{x}\" }", "request.form.a", "hole"),
            (
                "headers = { a = \"{md5({client_id})}\" }",
                "request.headers.a",
                "function",
            ),
            ("hosts = [\"a.example\"]", "request.hosts", "no answer's"),
            (
                "headers = { Host = \"a\" }",
                "request.headers.Host",
                "set by the request itself",
            ),
        ],
        request,
    );
}

#[test]
fn what_steps_are_made_of() {
    let steps = |lines: &str| with(&format!("grant = \"steps\"\n{lines}"));
    let one = "[[integrations.a.steps]]\nrequest = { url = \"https://a.example/t\" }\n";
    let sign = "[[integrations.a.steps]]\nassertion = {}\n";
    let key = "[integrations.a.assertion]\nkey = { file = \"/k\" }\n";
    each(
        &[
            ("", "steps", "is missing"),
            (&one.repeat(9), "steps", "1 to 8"),
            (&format!("{key}{one}{sign}"), "steps", "end with a request"),
            (&format!("{key}{sign}{sign}{one}"), "steps", "one assertion"),
            (&format!("{sign}{one}"), "assertion.key", "is missing"),
            (&format!("{key}{one}"), "assertion", "is not used"),
            (
                "[[integrations.a.steps]]\n",
                "steps",
                "either a request or an assertion",
            ),
            (
                &format!(
                    "{one}[[integrations.a.steps]]\nrequest = {{ url = \"{{steps.0.u}}/t\" }}\n"
                ),
                "steps.1.request.url",
                "name the hosts",
            ),
            (
                &format!(
                    "{one}[[integrations.a.steps]]\nrequest = {{ url = \"{{steps.0.u}}/t\", hosts = [] }}\n"
                ),
                "steps.1.request.url",
                "name the hosts",
            ),
            (
                &format!(
                    "{one}[[integrations.a.steps]]\nrequest = {{ url = \"https://a.example/{{steps.1.u}}\" }}\n"
                ),
                "steps.1.request.url",
                "refers to step 1",
            ),
            (
                "[[integrations.a.steps]]\nrequest = { url = \"http://a.example/t\" }\n",
                "steps.0.request.url",
                "http",
            ),
        ],
        steps,
    );
}

#[test]
fn what_no_request_sends_is_refused() {
    refuses(
        &with(
            "grant = \"request\"\nclient_secret = { file = \"/s\" }\nrequest = { url = \"https://a.example/t\" }",
        ),
        "integrations.a.client_secret",
        "is not sent",
    );
    refuses(
        &with(
            "grant = \"request\"\nresponse = { format = \"raw\" }\n\
             request = { url = \"https://a.example/t\", success = { ok = true } }",
        ),
        "integrations.a.response.format",
        "finds nothing in it",
    );
    // What cannot be read is told about, and no more.
    let broken = with(
        "grant = \"request\"\nclient_secret = { file = \"/s\" }\n\
         request = { url = \"https://a.example/t\", form = { a = \"{client_secret\" } }",
    );
    assert_eq!(try_with(&broken, &[]).unwrap_err().list().len(), 1);
    let login = |url: &str, form: &str| {
        with(&format!(
            "grant = \"request\"\nusername = \"u\"\npassword = {{ file = \"/p\" }}\n\
             request = {{ url = \"https://a.example/{url}\", form = {{ {form} }} }}"
        ))
    };
    let (user, pass) = ("u = \"{username}\"", "p = \"{password}\"");
    refuses(&login("t", user), "integrations.a.password", "is not sent");
    refuses(&login("t", pass), "integrations.a.username", "is not sent");
    let api = format!(
        "{}\napi = {{ base_url = \"https://a.example/{{username}}\" }}",
        login("t", pass)
    );
    for both in [
        api,
        login("t", &format!("{user}, {pass}")),
        login("{username}/t", "p = \"{sha256({password})}\""),
    ] {
        assert!(try_with(&both, &[]).is_ok(), "{both}");
    }
}

#[test]
fn an_issuer_is_a_url_and_stands_for_its_endpoints() {
    let issuer = |url: &str| {
        with(&format!(
            "grant = \"client_credentials\"\nissuer = \"{url}\"\nclient_id = \"i\"\n"
        ))
    };
    for bad in [
        "id.example.com",
        "http://id.example.com",
        "https://id.example.com/?a=b",
        "https://id.example.com/#a",
        "https://u:p@id.example.com",
    ] {
        assert!(try_with(&issuer(bad), &[]).is_err(), "{bad}");
    }
    let loaded = loaded(&issuer("https://id.example.com/tenant/"));
    let endpoint = &request(&loaded, 0).endpoint;
    assert_eq!(endpoint.known(), None);
    assert_eq!(endpoint.nearest().host(), "id.example.com");
    // A parameter that is the whole of it is taken letter by letter.
    for text in ["https://id.example.com/tenant/", "https://ID.example.com"] {
        let generic = with(&format!(
            "provider = \"openid\"\nissuer_url = \"{text}\"\nclient_id = \"i\"\n\
             client_secret = {{ file = \"/s\" }}"
        ));
        let generic = self::loaded(&generic);
        let issuer = request(&generic, 0).endpoint.issuer().unwrap();
        assert_eq!(issuer.as_str(), text);
    }
    refuses(
        &with("grant = \"client_credentials\"\nclient_id = \"i\""),
        "integrations.a.token_endpoint",
        "is missing",
    );
}

#[test]
fn where_things_are_in_an_answer() {
    let response = |lines: &str| client(&format!("[integrations.a.response]\n{lines}"));
    each(
        &[
            (
                "format = \"raw\"\naccess_token = \"x\"",
                "response.access_token",
                "whole body",
            ),
            (
                "format = \"raw\"\nsuccess = { ok = true }",
                "response.success",
                "whole body",
            ),
            (
                "access_token = [\"a\", \"b..c\"]",
                "response.access_token",
                "path",
            ),
            (
                "expires_in_unit = \"hours\"",
                "response.expires_in_unit",
                "must be",
            ),
            ("urls = \"a\"", "response.urls", "must be a list"),
            (
                "extended = { \"a..b\" = 1 }",
                "response.extended",
                "no path",
            ),
        ],
        response,
    );
    let loaded = loaded(&response(
        "access_token = [\"a\", \"b.c\"]\nexpires_in_unit = \"d:hh:mm\"\nzero_means_never = true\n\
         issued_at = \"made\"\nurls = [\"home\"]\nextended = { code = 0 }",
    ));
    let shape = &loaded.spec.integrations[0].response;
    assert_eq!(shape.access_token.len(), 2);
    assert!(shape.zero_means_never && shape.issued_at.is_some());
    assert_eq!((shape.urls.len(), shape.extended.len()), (1, 1));
}
