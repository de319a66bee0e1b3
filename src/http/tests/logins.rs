//! Consent over real sockets, with workers that do what the test says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::support::{Reply, Setup, Site, consented, failure};
use crate::base::{ErrorCode, Secret};
use crate::http::Entry;
use crate::snapshot::{Begun, Board, Call, Login, LoginError, LoginState, Snapshot};
use crate::spec::Access;

/// What a worker was given to complete, and what it answers.
#[derive(Default)]
struct Script {
    given: Mutex<Vec<String>>,
    answers: Mutex<Vec<Result<(), LoginError>>>,
    /// Completes none before the next one has come, which then finds that no login is waiting.
    in_pairs: AtomicBool,
}

struct Worker {
    script: Arc<Script>,
    _task: JoinHandle<()>,
}

impl Worker {
    /// Begins logins with the states `st-NAME-1`, `st-NAME-2`, ...; completes them with the answers
    /// in their order, and then with success.
    fn new(name: &'static str) -> (Entry, Self) {
        let (entry, board) = consented(name);
        let script = Arc::new(Script::default());
        let task = work(name, board, Arc::clone(&script));
        let task = tokio::runtime::Handle::current().spawn(task);
        (
            entry,
            Self {
                script,
                _task: task,
            },
        )
    }

    fn answers(&self, answer: LoginError) {
        self.script.answers.lock().unwrap().push(Err(answer));
    }

    fn given(&self) -> Vec<String> {
        self.script.given.lock().unwrap().clone()
    }
}

async fn work(name: &'static str, mut board: Board, script: Arc<Script>) {
    let mut begun = 0;
    loop {
        let wish = match board.called().await {
            Call::Login(wish) => wish,
            Call::Nudges(_) => continue,
        };
        match wish {
            Login::Begin { reply } => {
                begun += 1;
                board.publish(Snapshot {
                    login: Some(LoginState::Waiting),
                    ..Snapshot::default()
                });
                let begun = Begun::Browser {
                    authorization_url: format!(
                        "https://auth.example.com/a?state=st-{name}-{begun}"
                    ),
                    redirect_uri: "http://127.0.0.1:8656/login/callback".into(),
                    state: Secret::new(format!("st-{name}-{begun}")),
                    expires_in: std::time::Duration::from_secs(600),
                };
                reply.send(Ok(begun)).unwrap();
            }
            Login::Complete { redirect, reply } => {
                script.given.lock().unwrap().push(redirect.expose().into());
                let next = if script.in_pairs.load(Ordering::SeqCst) {
                    Some(board.called().await)
                } else {
                    None
                };
                let answers = script.answers.lock().unwrap().pop();
                let answer = answers.unwrap_or(Ok(()));
                board.publish(Snapshot {
                    login: Some(match &answer {
                        Err(LoginError::Failed(failure)) => LoginState::Failed(failure.clone()),
                        _ => LoginState::Done,
                    }),
                    ..Snapshot::default()
                });
                // Whoever asked may be gone.
                drop(reply.send(answer));
                if let Some(Call::Login(Login::Complete { redirect, reply })) = next {
                    tokio::task::yield_now().await;
                    script.given.lock().unwrap().push(redirect.expose().into());
                    drop(reply.send(Err(LoginError::NotBegun)));
                }
            }
        }
    }
}

fn site() -> (Site, Worker, Worker) {
    let (first, crm) = Worker::new("crm");
    let (second, books) = Worker::new("books");
    let site = Site::start(Setup {
        extra: vec![first, second],
        access: Access {
            require_header: Some("x-token-broker".into()),
        },
        ..Setup::default()
    });
    (site, crm, books)
}

const OURS: &str = "X-Token-Broker: 1\r\n";
/// What a browser sends that follows a vendor's redirect.
const BROWSER: &str = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nOrigin: null\r\n\
                       Accept: text/html\r\n";

async fn begin(site: &Site, name: &str) -> serde_json::Value {
    let reply = site.post(&format!("/login/{name}"), OURS, "ignored").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

async fn browser(site: &Site, query: &str) -> Reply {
    let path = format!("/login/callback?{query}");
    site.with("GET", &path, BROWSER).await
}

async fn login_of(site: &Site, name: &str) -> serde_json::Value {
    let path = format!("/integrations/{name}");
    site.with("GET", &path, OURS).await.json()["login"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_browser_comes_back_and_completes_the_login() {
    let (site, crm, _books) = site();
    assert!(login_of(&site, "crm").await.is_null());
    let begun = begin(&site, "crm").await;
    assert_eq!(
        begun,
        serde_json::json!({"authorization_url": "https://auth.example.com/a?state=st-crm-1",
            "redirect_uri": "http://127.0.0.1:8656/login/callback", "expires_in": 600})
    );
    assert_eq!(login_of(&site, "crm").await["state"], "waiting");
    let query = "code=c0de&state=st-crm-1&scope=a+b&session=odd%20one";
    let page = browser(&site, query).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(crm.given(), [query]);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(page.body.contains("Login completed") && page.body.contains("crm"));
    for secret in ["c0de", "st-crm-1", "<script"] {
        assert!(!page.body.contains(secret), "{page:?}");
    }
    let login = login_of(&site, "crm").await;
    assert_eq!(login, serde_json::json!({"state": "done", "error": null}));
    let metrics = site.with("GET", "/metrics", OURS).await.body;
    assert!(metrics.contains("route=\"/login\""), "{metrics}");
    assert!(!metrics.contains("c0de") && !metrics.contains("st-crm-1"));
}

#[tokio::test(start_paused = true)]
async fn only_a_known_state_lets_a_web_page_in() {
    let (site, crm, _books) = site();
    begin(&site, "crm").await;
    for query in [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=st-crm-2",
        "state=%zz",
    ] {
        let reply = browser(&site, query).await;
        assert_eq!(
            (reply.status, reply.error()),
            (403, "access_denied".into()),
            "{query}"
        );
        // The same, typed by hand: no page sent it, so the guards have nothing against it.
        let reply = site
            .with("GET", &format!("/login/callback?{query}"), "")
            .await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.body.contains("Login not completed"), "{reply:?}");
    }
    let forwarded = format!("{BROWSER}X-Forwarded-For: 1.2.3.4\r\n");
    let known = "/login/callback?code=c&state=st-crm-1";
    assert_eq!(site.with("GET", known, &forwarded).await.status, 403);
    let elsewhere = "/login/crm?code=c&state=st-crm-1";
    assert_eq!(site.with("POST", elsewhere, BROWSER).await.status, 403);
    let foreign = format!("GET {known} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(site.send(&foreign).await.status, 403);
    assert!(crm.given().is_empty());
    // Whoever only looks uses nothing up.
    let head = site.with("HEAD", known, BROWSER).await;
    assert_eq!(head.status, 200);
    assert!(crm.given().is_empty());
    assert_eq!(browser(&site, "code=c&state=st-crm-1").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_second_code_is_refused_by_name() {
    let (site, crm, _books) = site();
    begin(&site, "crm").await;
    assert_eq!(browser(&site, "code=c&state=st-crm-1").await.status, 200);
    let again = browser(&site, "code=c&state=st-crm-1").await;
    assert_eq!(again.status, 400);
    assert!(again.body.contains("Login already completed"), "{again:?}");
    let path = "/login/crm/complete";
    let pasted = site
        .post(path, OURS, "http://x/?code=d&state=st-crm-1")
        .await;
    assert_eq!(
        (pasted.status, pasted.error()),
        (400, "invalid_request".into())
    );
    assert!(pasted.body.contains("already completed"), "{pasted:?}");
    assert_eq!(crm.given().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_integrations_redirect_and_an_older_one_are_refused() {
    let (site, crm, books) = site();
    begin(&site, "crm").await;
    begin(&site, "books").await;
    let reply = site
        .post("/login/books/complete", OURS, "code=c&state=st-crm-1")
        .await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("a login of 'crm'"), "{reply:?}");
    begin(&site, "crm").await;
    let older = browser(&site, "code=c&state=st-crm-1").await;
    assert_eq!(older.status, 400);
    assert!(older.body.contains("a newer one was begun"), "{older:?}");
    assert!(crm.given().is_empty() && books.given().is_empty());
    assert_eq!(browser(&site, "code=c&state=st-crm-2").await.status, 200);
    assert_eq!(crm.given().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_that_does_not_fit_leaves_the_login_going() {
    let (site, crm, _books) = site();
    begin(&site, "crm").await;
    crm.answers(LoginError::BadRedirect("it names another server".into()));
    let reply = browser(&site, "code=c&state=st-crm-1&iss=x").await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("it names another server"), "{reply:?}");
    assert_eq!(browser(&site, "code=c&state=st-crm-1").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_vendor_is_explained_and_ends_it() {
    let (site, crm, _books) = site();
    begin(&site, "crm").await;
    let mut refusal = (*failure(ErrorCode::LoginRequired)).clone();
    refusal.description = "the vendor said <b>no</b>".into();
    crm.answers(LoginError::Failed(Box::new(refusal)));
    let reply = browser(&site, "error=access_denied&state=st-crm-1").await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("&lt;b&gt;no&lt;/b&gt;"), "{reply:?}");
    assert!(reply.body.contains("Check the client secret."), "{reply:?}");
    let login = login_of(&site, "crm").await;
    assert_eq!(login["state"], "failed");
    assert_eq!(login["error"]["error"], "login_required");
    let again = browser(&site, "code=c&state=st-crm-1").await;
    assert!(
        again.status == 400 && again.body.contains("is over"),
        "{again:?}"
    );
    assert_eq!(crm.given().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_can_be_pasted_in_several_forms() {
    let (site, crm, _books) = site();
    let json = r#"{"redirect_url": "http://127.0.0.1:8656/login/callback?code=c&state=st-crm-1"}"#;
    for (number, (headers, body)) in [
        ("Content-Type: application/json; charset=utf-8\r\n", json),
        (
            "Content-Type: text/plain\r\n",
            " \"code=c&\n state=st-crm-2\"\n",
        ),
        (
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "?code=c&state=st-crm-3",
        ),
        (
            "",
            "http://127.0.0.1:8656/login/callback?code=c&state=st-crm-4",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        begin(&site, "crm").await;
        let headers = format!("{OURS}{headers}");
        let reply = site.post("/login/crm/complete", &headers, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["name"], "crm");
        assert_eq!(reply.json()["login"]["state"], "done");
        assert_eq!(crm.given().len(), number + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_redirect_says_so_and_repeats_nothing() {
    let (site, crm, _books) = site();
    begin(&site, "crm").await;
    let json = "Content-Type: application/json\r\n";
    for (headers, body, status, says) in [
        ("", "", 400, "nothing was given"),
        ("", "canary", 400, "neither a code nor an error"),
        ("", "code=canary&code=canary&state=st-crm-1", 400, "twice"),
        (
            "",
            "response_type=code&state=st-crm-1&x=canary",
            400,
            "open it",
        ),
        (json, "canary", 400, "redirect_url"),
        (json, r#"{"redirect_url": 5}"#, 400, "redirect_url"),
        (
            json,
            r#"{"redirect_url": "x", "canary": 1}"#,
            400,
            "redirect_url",
        ),
        ("Content-Type: text/html\r\n", "canary", 415, "text/plain"),
    ] {
        let headers = format!("{OURS}{headers}");
        let reply = site.post("/login/crm/complete", &headers, body).await;
        assert_eq!(
            (reply.status, reply.error()),
            (status, "invalid_request".into()),
            "{body}"
        );
        assert!(reply.body.contains(says), "{reply:?}");
        assert!(!reply.body.contains("canary"), "{reply:?}");
    }
    let long = "x".repeat(20_000);
    let reply = site.post("/login/crm/complete", OURS, &long).await;
    assert!(
        reply.status == 400 && reply.body.contains("longer"),
        "{reply:?}"
    );
    let longer = "x".repeat(70_000);
    assert_eq!(
        site.post("/login/crm/complete", OURS, &longer).await.status,
        413
    );
    assert!(crm.given().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_log_in_is_told_why() {
    let (site, _crm, _books) = site();
    let reply = site.post("/login/sfmc", OURS, "").await;
    assert_eq!(
        (reply.status, reply.error()),
        (400, "invalid_request".into())
    );
    assert!(
        reply.body.contains("its grant is client_credentials"),
        "{reply:?}"
    );
    let reply = site.post("/login/crn", OURS, "").await;
    assert_eq!(
        (reply.status, reply.error()),
        (404, "unknown_integration".into())
    );
    for (method, path, status) in [
        ("GET", "/login/crm", 405),
        ("GET", "/login/crm/complete", 405),
        ("DELETE", "/login/callback", 405),
        ("POST", "/login/callback", 405),
        ("POST", "/login/crm?wait=5", 400),
        ("POST", "/login/crm/", 404),
        ("POST", "/login/", 404),
    ] {
        let reply = site.with(method, path, OURS).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_integration_may_be_named_callback() {
    let (entry, worker) = Worker::new("callback");
    let site = Site::start(Setup {
        extra: vec![entry],
        ..Setup::default()
    });
    begin(&site, "callback").await;
    assert_eq!(
        browser(&site, "code=c&state=st-callback-1").await.status,
        200
    );
    begin(&site, "callback").await;
    let reply = site
        .post("/login/callback/complete", "", "code=c&state=st-callback-2")
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(worker.given().len(), 2);
}

/// As a browser does that is asked to reload, or somebody who pastes what it has delivered.
#[tokio::test(start_paused = true)]
async fn a_redirect_that_comes_twice_at_once_is_called_completed() {
    let (site, crm, _) = site();
    crm.script.in_pairs.store(true, Ordering::SeqCst);
    for (number, pasted) in [(1, false), (2, true)] {
        begin(&site, "crm").await;
        let query = format!("code=c&state=st-crm-{number}");
        let second = async {
            if pasted {
                site.post("/login/crm/complete", OURS, &query).await
            } else {
                browser(&site, &query).await
            }
        };
        let (first, second) = tokio::join!(browser(&site, &query), second);
        // Either may be the first with the worker.
        let (first, second) = if first.status == 200 {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!(first.status, 200, "{first:?}");
        assert_eq!(second.status, 400, "{second:?}");
        assert!(second.body.contains("already completed"), "{second:?}");
        assert!(!second.body.contains("not completed"), "{second:?}");
        assert_eq!(crm.given().len(), number * 2, "both were with the worker");
    }
}

/// The page to which browsers come back needs no header; a login of that name does.
#[tokio::test(start_paused = true)]
async fn an_integration_named_callback_has_the_same_guards() {
    let (entry, worker) = Worker::new("callback");
    let site = Site::start(Setup {
        extra: vec![entry],
        access: Access {
            require_header: Some("x-token-broker".into()),
        },
        ..Setup::default()
    });
    let path = "/login/callback";
    let reply = site.post(path, "", "").await;
    assert_eq!((reply.status, reply.error()), (403, "access_denied".into()));
    begin(&site, "callback").await;
    let known = format!("{path}?code=c&state=st-callback-1");
    for headers in [BROWSER, OURS].map(|some| format!("{some}Sec-Fetch-Site: cross-site\r\n")) {
        let reply = site.post(&known, &headers, "").await;
        assert_eq!(reply.status, 403, "{reply:?}");
    }
    assert!(worker.given().is_empty());
    assert_eq!(site.with("GET", &known, BROWSER).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_gone_or_silent_holds_nobody() {
    let (silent, _board) = consented("silent");
    let (gone, board) = consented("gone");
    drop(board);
    let site = Site::start(Setup {
        extra: vec![silent, gone],
        ..Setup::default()
    });
    for name in ["silent", "gone"] {
        let reply = site.post(&format!("/login/{name}"), "", "").await;
        assert_eq!(
            (reply.status, reply.error()),
            (503, "temporarily_unavailable".into())
        );
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    site.context.health.set_store_held(true);
    for path in ["/login/gone", "/login/gone/complete"] {
        let reply = site.post(path, "", "code=c&state=s").await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.body.contains("held by another broker"), "{reply:?}");
    }
    site.context.health.stopping();
    let reply = site.post("/login/gone", "", "").await;
    assert_eq!((reply.status, reply.error()), (503, "shutting_down".into()));
}
