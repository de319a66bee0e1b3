//! Each guard, on every route.

use super::super::resource::Resource;
use super::support::{Setup, Site, read_reply};
use crate::spec::{Access, Server};
use tokio::io::AsyncWriteExt as _;

async fn all_routes(site: &Site, request: impl Fn(&str, &str) -> String, status: u16) {
    for resource in Resource::ALL {
        let path = resource
            .path()
            .replace("{integration}", "sfmc")
            .replace("{path}", "x");
        let method = if resource.gets() { "GET" } else { "POST" };
        let reply = site.send(&request(method, &path)).await;
        // A request that passes the guards finds nothing to log in to.
        let status = if resource.is_login() && status == 200 {
            400
        } else {
            status
        };
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        if status == 403 && resource != Resource::DropIn {
            assert_eq!(reply.error(), "access_denied", "{path}");
        }
    }
    let nowhere = site.send(&request("GET", "/nowhere")).await;
    assert_eq!(nowhere.status, if status == 200 { 404 } else { status });
}

fn site() -> Site {
    let site = Site::start(Setup {
        server: Server {
            hosts: vec!["broker.corp.example".into()],
            ..Server::default()
        },
        ..Setup::default()
    });
    for name in super::support::NAMES {
        site.hold(name, "tok-1", Some(3600));
    }
    site
}

#[tokio::test(start_paused = true)]
async fn a_foreign_host_is_refused_everywhere() {
    let site = site();
    for host in [
        "evil.example",
        "evil.example:8656",
        "10.0.0.1",
        "localhost.evil.example",
        "",
    ] {
        let request =
            |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        all_routes(&site, request, 403).await;
    }
    for host in [
        "localhost",
        "LocalHost.:1",
        "x.localhost",
        "127.0.0.9:2",
        "[::ffff:127.0.0.1]",
        "Broker.Corp.example",
    ] {
        let request =
            |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        all_routes(&site, request, 200).await;
    }
}

#[tokio::test(start_paused = true)]
async fn host_must_be_there_once() {
    let site = site();
    all_routes(
        &site,
        |method, path| format!("{method} {path} HTTP/1.1\r\n\r\n"),
        400,
    )
    .await;
    let twice = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    };
    all_routes(&site, twice, 400).await;
    all_routes(
        &site,
        |method, path| format!("{method} {path} HTTP/1.0\r\n\r\n"),
        200,
    )
    .await;
    let foreign = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.0\r\nHost: evil.example\r\n\r\n")
    };
    all_routes(&site, foreign, 403).await;
}

#[tokio::test(start_paused = true)]
async fn absolute_targets_count_as_host() {
    let site = site();
    for (target, status) in [
        ("http://localhost:8656", 200),
        ("http://127.0.0.1", 200),
        ("http://evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("http://evil@localhost", 403),
        ("https://localhost", 403),
        ("ftp://localhost", 403),
    ] {
        let request = |method: &str, path: &str| {
            format!("{method} {target}{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        };
        all_routes(&site, request, status).await;
    }
    let reply = site
        .send("GET http://localhost/token/sfmc HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .await;
    assert_eq!(reply.status, 403);
}

#[tokio::test(start_paused = true)]
async fn web_pages_are_refused_everywhere() {
    let site = site();
    for (header, status) in [
        ("Sec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-site", 403),
        ("Sec-Fetch-Site:", 403),
        ("Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-origin", 200),
        ("Sec-Fetch-Site: none", 200),
        ("Origin: http://evil.example", 403),
        ("Origin: null", 403),
        ("Origin:", 403),
        ("Origin: https://localhost:8656", 403),
        ("Origin: http://localhost", 403),
        ("Origin: http://127.0.0.1:8656", 403),
        ("Origin: http://localhost:8656", 200),
        (
            "Origin: http://localhost:8656\r\nOrigin: http://evil.example",
            403,
        ),
        ("Forwarded: for=1.2.3.4", 403),
        ("X-Forwarded-For: 1.2.3.4", 403),
        ("x-forwarded-proto: http", 403),
        ("X-Forwarded-Anything: 1", 403),
        ("X-Real-IP: 1.2.3.4", 403),
        ("Via: 1.1 proxy", 403),
        ("X-Forward: fine", 200),
    ] {
        let request = |method: &str, path: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: localhost:8656\r\n{header}\r\n\r\n")
        };
        all_routes(&site, request, status).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_header_is_required_but_for_probes() {
    let site = Site::start(Setup {
        access: Access {
            require_header: Some("x-token-broker".into()),
        },
        ..Setup::default()
    });
    site.hold("sfmc", "tok-1", Some(3600));
    for path in [
        "/token/sfmc",
        "/headers/sfmc",
        "/integrations",
        "/metrics",
        "/openapi.json",
        "/nowhere",
    ] {
        let reply = site.get(path).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (403, "access_denied"),
            "{path}"
        );
        assert!(reply.body.contains("x-token-broker"), "{reply:?}");
    }
    assert_eq!(site.post("/refresh/sfmc", "", "").await.status, 403);
    assert_eq!(site.get("/livez").await.status, 200);
    assert_eq!(site.get("/readyz?verbose").await.status, 200);
    assert_eq!(
        site.with("GET", "/token/sfmc", "X-Token-Broker: 1\r\n")
            .await
            .status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn on_a_unix_socket_host_does_not_matter_and_the_rest_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let site = Site::start(Setup {
        unix: Some(path.clone()),
        ..Setup::default()
    });
    site.hold("sfmc", "tok-1", Some(3600));
    for (headers, status) in [
        ("Host: evil.example\r\n", 200),
        ("", 200),
        ("Host: x\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: x\r\nX-Forwarded-For: 1.2.3.4\r\n", 403),
        ("Host: x\r\nSec-Fetch-Site: cross-site\r\n", 403),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = format!("GET /token/sfmc HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = read_reply(&mut stream, false).await.unwrap();
        assert_eq!(reply.status, status, "{headers}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_admin_listener_has_probes_and_metrics_and_no_guards() {
    let site = Site::start(Setup {
        admin: true,
        access: Access {
            require_header: Some("x-token-broker".into()),
        },
        ..Setup::default()
    });
    site.hold("sfmc", "tok-1", Some(3600));
    for path in ["/livez", "/readyz", "/metrics"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: x\r\n\r\n");
        assert_eq!(site.send(&request).await.status, 200, "{path}");
    }
    for path in [
        "/token/sfmc",
        "/headers/sfmc",
        "/integrations",
        "/openapi.json",
        "/",
    ] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    assert_eq!(site.post("/token/sfmc", "", "").await.status, 404);
    assert_eq!(site.post("/refresh/sfmc", "", "").await.status, 404);
}
