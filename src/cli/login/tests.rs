//! The command against a scripted broker, with somebody who pastes.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};

use clap::Parser as _;

use super::*;
use crate::cli::output::Output;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// A broker whose answers are made by `script`, of the request's first line and its body.
fn broker(script: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let line = head.lines().next().unwrap();
            let (status, body) = script(line, std::str::from_utf8(&body).unwrap());
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Input that comes when the test says so, and ends with the test.
struct Pasting(mpsc::Receiver<&'static str>);

impl Read for Pasting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Ok(text) = self.0.recv() else {
            return Ok(0);
        };
        into[..text.len()].copy_from_slice(text.as_bytes());
        Ok(text.len())
    }
}

/// Exit and both outputs.
fn typed(line: &str, input: impl Read + Send + 'static) -> (Result<(), Exit>, String, String) {
    let line = Line::try_parse_from(format!("login {line}").split(' ')).unwrap();
    let (out, err) = (Sink::default(), Sink::default());
    let mut output = Output::new(out.clone(), err.clone());
    let env = Env::from_pairs::<&str, &str>([]);
    let ended = run_with(&line.args, &env, &mut output, input);
    (ended, out.text(), err.text())
}

fn status(login: &str, error: &str) -> (u16, String) {
    let error = if error.is_empty() { "null" } else { error };
    let login = format!(r#"{{"state": "{login}", "error": {error}}}"#);
    (
        200,
        format!(r#"{{"name": "crm", "expires_in": 3600, "login": {login}}}"#),
    )
}

const BEGUN: &str = r#"{"authorization_url": "https://v.example/a?state=s&x=\u001b[2J",
    "redirect_uri": "http://127.0.0.1:8656/login/callback", "expires_in": 600}"#;

#[test]
fn a_browser_that_comes_back_by_itself() {
    let looks = Mutex::new(0);
    let url = broker(move |line, body| {
        if line.starts_with("post /login/crm ") {
            assert_eq!(body, "");
            return (200, BEGUN.into());
        }
        assert!(line.starts_with("get /integrations/crm "), "{line}");
        let mut looks = looks.lock().unwrap();
        *looks += 1;
        status(if *looks == 1 { "waiting" } else { "done" }, "")
    });
    let (ended, out, err) = typed(&format!("crm --url {url}"), io::empty());
    assert!(ended.is_ok(), "{ended:?} {err}");
    // Control characters of a page's address are shown as what they are.
    assert!(
        out.contains("  https://v.example/a?state=s&x=%1B[2J\n"),
        "{out}"
    );
    for way in [
        "you have 10m",
        "comes back to http://127.0.0.1:8656/login/callback",
        "ssh -L 8656:127.0.0.1:8656 HOST",
        "kubectl port-forward POD 8656:8656",
        "Or paste",
        "crm: logged in; the broker has a token that is good for 1h",
    ] {
        assert!(out.contains(way), "{way}: {out}");
    }
    assert_eq!(err, "");
}

/// What cannot happen is not promised.
#[test]
fn a_browser_comes_back_only_to_where_the_broker_takes_redirects() {
    let said = |redirect_uri: &'static str| {
        let url = broker(move |line, _| {
            if !line.starts_with("post /login/crm ") {
                return status("done", "");
            }
            (
                200,
                BEGUN.replace("http://127.0.0.1:8656/login/callback", redirect_uri),
            )
        });
        let (ended, out, err) = typed(&format!("crm --url {url}"), io::empty());
        assert!(ended.is_ok(), "{ended:?} {err}");
        out
    };
    for elsewhere in [
        "http://localhost:8656/oauth/cb",
        "https://localhost:8656/login/callback",
        "https://app.example.com/login/callback",
    ] {
        let out = said(elsewhere);
        assert!(
            out.contains(&format!("It ends at {elsewhere}\nThen paste")),
            "{out}"
        );
        assert!(!out.contains("the login is complete"), "{out}");
    }
    let out = said("http://127.0.0.1:8656/login/callback");
    assert!(
        out.contains("and, if the broker listens there, the login is complete"),
        "{out}"
    );
    let way = Way::read(&serde_json::from_str(BEGUN).unwrap()).unwrap();
    let there = crate::net::local::Target::Tcp("127.0.0.1:8656".to_owned());
    let out = words::opening(&"crm".parse().unwrap(), &way, false, &there);
    assert!(
        out.contains("/login/callback and the login is complete."),
        "{out}"
    );
}

#[test]
fn a_pasted_address_after_one_that_was_wrong() {
    let (paste, pasted) = mpsc::channel();
    let done = Mutex::new(false);
    paste.send("http://x/?code=wrong\n").unwrap();
    let next = Mutex::new(Some(paste));
    let url = broker(move |line, body| {
        if line.starts_with("post /login/crm ") {
            return (200, BEGUN.into());
        }
        if line.starts_with("post /login/crm/complete ") {
            if body.contains("wrong") {
                // Only now the person tries again.
                let paste = next.lock().unwrap().take().unwrap();
                paste.send("http://x/?code=right&state=s\n").unwrap();
                *next.lock().unwrap() = Some(paste);
                let problem = r#"{"error": "invalid_request", "integration": "crm",
                    "title": "t", "detail": "no state", "error_description": "no state"}"#;
                return (400, problem.into());
            }
            assert_eq!(body, "http://x/?code=right&state=s\n");
            *done.lock().unwrap() = true;
            return status("done", "");
        }
        let done = *done.lock().unwrap();
        status(if done { "done" } else { "waiting" }, "")
    });
    let (ended, out, err) = typed(&format!("crm --paste --url {url}"), Pasting(pasted));
    assert!(ended.is_ok(), "{ended:?} {err}");
    assert!(
        out.contains("It ends at http://127.0.0.1:8656/login/callback\nThen paste"),
        "{out}"
    );
    assert!(!out.contains("ssh -L"), "{out}");
    assert!(
        err.contains("error: crm: no state") && err.contains("paste the address again"),
        "{err}"
    );
    assert!(
        !err.contains("wrong") && !out.contains("right"),
        "{out}{err}"
    );
}

#[test]
fn pasting_needs_an_input() {
    let url = broker(|line, _| {
        if line.starts_with("post ") {
            (200, BEGUN.into())
        } else {
            status("waiting", "")
        }
    });
    let (ended, ..) = typed(&format!("crm --paste --url {url}"), io::empty());
    let Err(Exit::Failed(text)) = ended else {
        panic!("{ended:?}")
    };
    assert!(text.contains("standard input ended"), "{text}");
}

#[test]
fn a_device_shows_its_code() {
    let url = broker(|line, _| {
        if line.starts_with("post ") {
            let begun = r#"{"user_code": "WDJB\u0007-MJHT", "verification_uri": "https://v.example/device",
                "verification_uri_complete": "https://v.example/device?c=WDJB", "expires_in": 900}"#;
            (200, begun.into())
        } else {
            status("done", "")
        }
    });
    let (ended, out, _) = typed(&format!("crm --url {url}"), io::empty());
    assert!(ended.is_ok());
    assert!(
        out.contains(
            "code:  WDJB-MJHT\n  page:  https://v.example/device\n  or:    https://v.example/device?c=WDJB "
        ),
        "{out}"
    );
    assert!(out.contains("15m"), "{out}");
}

#[test]
fn a_login_that_fails_or_is_forgotten_says_why() {
    let url = broker(|line, _| {
        if line.starts_with("post ") {
            (200, BEGUN.into())
        } else {
            let error = r#"{"title": "Somebody has to log in", "integration": "crm", "error": "login_required",
                "error_description": "the vendor's page answered access_denied", "hint": "say yes"}"#;
            status("failed", error)
        }
    });
    let (ended, ..) = typed(&format!("crm --url {url}"), io::empty());
    let Err(Exit::Failed(text)) = ended else {
        panic!("{ended:?}")
    };
    assert!(
        text.contains("access_denied") && text.contains("say yes"),
        "{text}"
    );
    assert!(text.contains("token-broker login crm"), "{text}");
    let url = broker(|line, _| {
        if line.starts_with("post ") {
            (200, BEGUN.into())
        } else {
            (200, r#"{"name": "crm", "login": null}"#.into())
        }
    });
    let (ended, ..) = typed(&format!("crm --url {url}"), io::empty());
    let Err(Exit::Failed(text)) = ended else {
        panic!("{ended:?}")
    };
    assert!(text.contains("forgotten the login"), "{text}");
}

#[test]
fn a_broker_that_refuses_or_is_none_is_explained() {
    let url = broker(|_, _| {
        let problem = r#"{"error": "unknown_integration", "integration": "crm", "detail": "No integration is named 'crm'."}"#;
        (404, problem.into())
    });
    let (ended, out, _) = typed(&format!("crm --url {url}"), io::empty());
    assert!(
        matches!(&ended, Err(Exit::Failed(text)) if text.contains("No integration")),
        "{ended:?}"
    );
    assert_eq!(out, "");
    for odd in [
        "<html>",
        r#"{"authorization_url": "javascript:alert(1)", "expires_in": 5}"#,
        r#"{"authorization_url": "--help", "expires_in": 5}"#,
        r#"{"user_code": "x", "verification_uri": "file:///etc/passwd", "expires_in": 5}"#,
        r#"{"authorization_url": "https://v.example/"}"#,
    ] {
        let url = broker(move |_, _| (200, odd.to_owned()));
        let (ended, out, _) = typed(&format!("crm --url {url}"), io::empty());
        assert!(
            matches!(&ended, Err(Exit::Failed(text)) if text.contains("no token broker")),
            "{ended:?}"
        );
        assert_eq!(out, "");
    }
    let (ended, ..) = typed("crm --url http://127.0.0.1:1", io::empty());
    assert!(
        matches!(&ended, Err(Exit::Failed(text)) if text.contains("no broker listens")),
        "{ended:?}"
    );
}

/// A configuration whose broker does not run.
fn configured(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.toml");
    // A port that was free a moment ago, and that nobody else is given.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = format!("[server]\nlisten = \"127.0.0.1:{port}\"\n{text}");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn without_a_broker_the_configuration_must_fit() {
    let fixed = "[integrations.crm]\ngrant = \"static\"\ntoken = \"t\"\n";
    let (_folder, path) = configured(fixed);
    let (ended, ..) = typed(&format!("crm --config {path}"), io::empty());
    assert!(
        matches!(&ended, Err(Exit::Usage(text)) if text.contains("its grant is static")),
        "{ended:?}"
    );
    let consented = "[store]\nallow_losing_refresh_tokens = true\n[integrations.crm]\n\
        grant = \"authorization_code\"\nclient_id = \"c\"\ntoken_endpoint = \"https://v.example/t\"\n\
        authorization_endpoint = \"https://v.example/a\"\n";
    let (_other, other) = configured(consented);
    let (ended, ..) = typed(&format!("crm --config {other}"), io::empty());
    assert!(
        matches!(&ended, Err(Exit::Usage(text)) if text.contains("lost at once") && text.contains("embedded")),
        "{ended:?}"
    );
    let (ended, ..) = typed(&format!("other --config {path}"), io::empty());
    assert!(
        matches!(&ended, Err(Exit::Usage(text)) if text.contains("no such integration")),
        "{ended:?}"
    );
}
