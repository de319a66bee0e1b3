//! The commands as a user types them.

use std::io;
use std::sync::{Arc, Mutex};

use clap::CommandFactory as _;

use super::*;

#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs a command line: exit code, standard output, standard error.
pub(super) fn typed(line: &str, env: &[(&str, &str)]) -> (u8, String, String) {
    let (out, err) = (Page::default(), Page::default());
    let mut output = Output::new(out.clone(), err.clone());
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    // No configuration of this machine gets into a test.
    let mut env = env.to_vec();
    if !env.iter().any(|(name, _)| *name == "TOKEN_BROKER_CONFIG") && !line.contains("--config") {
        env.push(("TOKEN_BROKER_CONFIG", "/nowhere/to/be/found.toml"));
    }
    let env = Env::from_pairs(env);
    let ended = dispatch(cli.command, &env, &mut output);
    let code = match &ended {
        Ok(()) | Err(Exit::PipeClosed) => 0,
        Err(Exit::Failed(_)) => 1,
        Err(Exit::Usage(_)) => 2,
    };
    let _code = output.finish(ended);
    (code, out.text(), err.text())
}

pub(super) fn config_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_shows_examples() {
    let mut root = Cli::command();
    root.build();
    assert!(
        root.render_long_help()
            .to_string()
            .contains("Exit codes: 0 done")
    );
    let nested = root.find_subcommand_mut("store").unwrap();
    let mut commands: Vec<_> = nested.get_subcommands().cloned().collect();
    commands.extend(root.get_subcommands().cloned());
    for mut command in commands {
        if command.get_name() == "help" {
            continue;
        }
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:\n  "), "{help}");
        assert!(help.contains("token-broker "), "{help}");
        for argument in command.get_arguments() {
            let said = argument.get_help().map(ToString::to_string);
            let hidden = ["help", "version", "shell"].contains(&argument.get_id().as_str());
            assert!(
                hidden || said.is_some_and(|said| !said.is_empty()),
                "{argument:?}"
            );
        }
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "token-broker",
        "token-broker frobnicate",
        "token-broker token",
        "token-broker token UPPER",
        "token-broker token a --min-ttl soon",
        "token-broker token a --direct --wait 5s",
        "token-broker healthcheck --probe other",
        "token-broker status a b",
        "token-broker store",
        "token-broker store forget",
        "token-broker store adopt UPPER",
        "token-broker store rekey",
        "token-broker store rekey --plain --new-key-env A",
    ] {
        let refused = Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{line}");
    }
    assert_eq!(
        run(["token-broker".into(), "--bogus".into()]),
        ExitCode::from(2)
    );
}

#[test]
fn check_shows_all_problems_and_no_value() {
    let (_folder, path) = config_file(
        "[server]\nwiat = \"canary-1\"\n[integrations.x]\ngrant = \"client_credentials\"\n\
         client_secret = 7\n",
    );
    let (code, out, err) = typed(&format!("token-broker check --config {path}"), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("server.wiat") && err.contains("did you mean 'wait'"),
        "{err}"
    );
    assert!(err.contains("integrations.x"), "{err}");
    assert!(!err.contains("canary"), "{err}");
    let (code, out, _) = typed(
        &format!("token-broker check --format json --config {path}"),
        &[],
    );
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["ok"]), (2, &serde_json::json!(false)));
    assert!(document["problems"].as_array().unwrap().len() > 1, "{out}");
    let (code, _, err) = typed("token-broker check", &[]);
    assert_eq!(code, 2);
    assert!(err.contains("/nowhere/to/be/found.toml"), "{err}");
}

#[test]
fn check_says_what_is_configured() {
    let text = "[integrations.x]\ngrant = \"client_credentials\"\nclient_id = \"a\"\n\
        token_endpoint = \"https://auth.example.com/t\"\nclient_secret = { env = \"SECRET\" }\n";
    let (_folder, path) = config_file(text);
    let line = format!("token-broker check --config {path}");
    let (code, _, err) = typed(&line, &[]);
    assert!(code == 2 && err.contains("client_secret.env"), "{err}");
    let (code, out, err) = typed(&format!("{line} --without-secrets"), &[]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("1 integration") && out.contains("client_credentials"),
        "{out}"
    );
    assert!(out.contains("http://127.0.0.1:8656"), "{out}");
    let (code, out, _) = typed(&format!("{line} --format json"), &[("SECRET", "canary-2")]);
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["integrations"][0]["name"], "x");
    assert!(!out.contains("canary"));
}

#[test]
fn providers_shows_those_of_a_configuration() {
    let (folder, path) = config_file("");
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(
        own.join("acme.toml"),
        "name = \"Acme\"\ngrant = \"client_credentials\"\ntoken_endpoint = \"https://a.example/t\"\n",
    )
    .unwrap();
    std::fs::write(
        &path,
        format!("[providers]\npath = \"{}\"\n", own.display()),
    )
    .unwrap();
    let (code, out, err) = typed(&format!("token-broker providers --config {path}"), &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Acme") && out.contains("360learning"), "{out}");
    let (code, out, err) = typed(&format!("token-broker providers acme --config {path}"), &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Acme (acme)"), "{out}");
    let (_folder, path) = config_file("[providers]\npath = \"/nowhere\"\n");
    let (code, _, err) = typed(&format!("token-broker providers --config {path}"), &[]);
    assert!(code == 2 && err.contains("providers.path"), "{err}");
}

#[test]
fn direct_headers_are_those_of_the_integrations_own_calls() {
    let config = |api: &str| {
        config_file(&format!(
            "[integrations.x]\ngrant = \"static\"\ntoken = \"t0ken\"\n\
             [integrations.x.api]\nheaders = {{ {api} }}\n"
        ))
    };
    let (_folder, path) = config("Authorization = \"OAuth {access_token}\"");
    let line = format!("token-broker token x --direct --format header --config {path}");
    assert_eq!(typed(&line, &[]).1, "OAuth t0ken\n");
    let (_folder, path) = config("Authorization = \"\", X-Key = \"{access_token}\"");
    let line = format!("token-broker token x --direct --format header --config {path}");
    let (code, out, err) = typed(&line, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("no Authorization header") && !err.contains("t0ken"),
        "{err}"
    );
}

#[test]
fn providers_lists_and_shows_what_one_needs() {
    let (code, out, _) = typed("token-broker providers", &[]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("NAME ") && out.contains("360learning"),
        "{out}"
    );
    let (code, out, _) = typed("token-broker providers salesforce-marketing-cloud", &[]);
    assert_eq!(code, 0);
    for needed in [
        "subdomain",
        "(required)",
        "docs",
        "checked",
        "[integrations.",
    ] {
        assert!(out.contains(needed), "{needed}: {out}");
    }
    let (code, out, _) = typed("token-broker providers 360learning --format json", &[]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &document["name"]),
        (0, &serde_json::json!("360learning"))
    );
    assert!(document["starter_config"].is_string());
    let (code, _, err) = typed("token-broker providers 360lerning", &[]);
    assert!(
        code == 2 && err.contains("did you mean '360learning'"),
        "{err}"
    );
}

#[test]
fn without_a_broker_the_commands_say_so_and_how_to_start_one() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for command in ["token x", "status", "healthcheck"] {
        let line = format!("token-broker {command} --url {url}");
        let (code, out, err) = typed(&line, &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(
            err.contains("no broker listens") && err.contains("token-broker serve"),
            "{err}"
        );
    }
    let (code, _, err) = typed("token-broker status", &[("TOKEN_BROKER_URL", "ftp://x")]);
    assert!(code == 2 && err.contains("http://HOST:PORT"), "{err}");
}

#[test]
fn completions_complete() {
    let (code, out, _) = typed("token-broker completions bash", &[]);
    assert_eq!(code, 0);
    assert!(out.contains("healthcheck"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut output = Output::new(Closed, Closed);
    let ended = output.line("x");
    assert!(matches!(ended, Err(Exit::PipeClosed)));
    assert_eq!(output.finish(ended), ExitCode::SUCCESS);
}

mod running;

#[test]
fn check_warns_of_secrets_that_end_soon() {
    use crate::base::{Clock as _, SystemClock};
    let in_days = |days: u64| {
        let ahead = std::time::Duration::from_secs(days * 86_400 + 3600);
        SystemClock.now().wall.plus(ahead).to_rfc3339()
    };
    let (soon, later) = (in_days(13), in_days(15));
    let (_folder, path) = config_file(&format!(
        "[integrations.a]\ngrant = \"client_credentials\"\ntoken_endpoint = \"https://a.example/t\"\n\
         client_id = \"a\"\nclient_secret = [{{ file = \"/a\", expires_at = \"{soon}\" }}, \
         {{ file = \"/b\", expires_at = \"{later}\" }}]\n\
         [integrations.b]\ngrant = \"static\"\ntoken = {{ file = \"/t\" }}\n\
         expires_at = \"2020-01-01T00:00:00Z\"\n"
    ));
    let (code, out, _) = typed(&format!("token-broker check --config {path}"), &[]);
    assert_eq!(code, 0, "warnings are no reason to stop");
    for line in [
        "integrations.a.client_secret.0: expires in 13 days",
        "integrations.b.token: has expired (2020-01-01T00:00:00Z)",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(!out.contains("client_secret.1"), "{out}");
    let line = format!("token-broker check --format json --config {path}");
    let document: serde_json::Value = serde_json::from_str(&typed(&line, &[]).1).unwrap();
    assert_eq!(document["warnings"].as_array().unwrap().len(), 2);
}

#[test]
fn check_looks_at_the_keys_of_assertions() {
    let data = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/exchange/assertion/testdata"
    );
    let text = |keys: &str, more: &str| {
        format!(
            "[integrations.x]\ngrant = \"signed_jwt\"\n[integrations.x.assertion]\nkey = {keys}\n{more}"
        )
    };
    let file = |name: &str| format!("{{ file = \"{data}/{name}\" }}");
    let locked = "passphrase = { env = \"PASSPHRASE\" }\n";
    for (keys, more, place, words) in [
        (file("rsa1024.pem"), "", "assertion.key:", "2048 bits"),
        (file("p256.pem"), "", "assertion.key:", "does not fit"),
        (
            format!("[{}, {}]", file("rsa.pem"), file("p521.pem")),
            "",
            "assertion.key.1:",
            "curve",
        ),
        (
            file("rsa.locked.pem"),
            "",
            "assertion.key:",
            "set the passphrase",
        ),
        (
            file("rsa.locked.pem"),
            locked,
            "assertion.passphrase:",
            "passphrase is wrong",
        ),
    ] {
        let (_folder, path) = config_file(&text(&keys, more));
        let line = format!("token-broker check --config {path}");
        let (code, _, err) = typed(&line, &[("PASSPHRASE", "canary-1")]);
        assert_eq!(code, 2, "{words}");
        assert!(err.contains(place) && err.contains(words), "{err}");
        assert!(!err.contains("canary") && !err.contains("BEGIN"), "{err}");
    }
    for (keys, more) in [
        (file("rsa.pem"), ""),
        (file("not-there-yet.pem"), ""),
        (file("rsa.locked.pem"), locked),
        ("{ env = \"KEY\" }".to_owned(), ""),
    ] {
        let (_folder, path) = config_file(&text(&keys, more));
        let line = format!("token-broker check --without-secrets --config {path}");
        assert_eq!(typed(&line, &[]).0, 0, "{keys}");
    }
}

#[test]
fn check_looks_at_the_keys_of_clients_and_steps() {
    let data = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/exchange/assertion/testdata"
    );
    let file = |name: &str| format!("{{ file = \"{data}/{name}\" }}");
    let client = |more: &str| {
        format!(
            "[integrations.x]\ngrant = \"client_credentials\"\n\
             token_endpoint = \"https://a.example/t\"\nclient_id = \"a\"\n{more}"
        )
    };
    let (rsa, ec) = (file("rsa.pem"), file("p256.pem"));
    for (text, place, words) in [
        (
            client(&format!("client_assertion = {{ key = {ec} }}")),
            "client_assertion.key:",
            "does not fit",
        ),
        (
            client(&format!(
                "client_assertion = {{ key = {rsa}, certificate = {ec}, \
                 headers = {{ x5t = \"{{certificate_fingerprint}}\" }} }}"
            )),
            "client_assertion.certificate:",
            "certificate",
        ),
        (
            client(&format!("client_certificate = {rsa}\nclient_key = {rsa}")),
            "client_certificate:",
            "no certificate",
        ),
        (
            format!(
                "[integrations.x]\ngrant = \"steps\"\n[integrations.x.assertion]\nkey = {ec}\n\
                 [[integrations.x.steps]]\nassertion = {{ issuer = \"a\" }}\n\
                 [[integrations.x.steps]]\nrequest = {{ url = \"https://a.example/t\" }}\n"
            ),
            "assertion.key:",
            "does not fit",
        ),
    ] {
        let (_folder, path) = config_file(&text);
        let (code, _, err) = typed(&format!("token-broker check --config {path}"), &[]);
        assert_eq!(code, 2, "{words}");
        let at = format!("integrations.x.{place}");
        assert!(err.contains(&at) && err.contains(words), "{at}: {err}");
        assert!(!err.contains("-----"), "{err}");
    }
}
