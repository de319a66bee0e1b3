use super::*;
use crate::base::Secret;
use crate::net::peer::{Act, Peer};

const SECOND: Duration = Duration::from_secs(1);

fn get(url: &str) -> Request {
    Request {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Zeroizing::default(),
    }
}

async fn ask(url: &str) -> Result<Response, Error> {
    let client = Clients::new().get(&Net::default(), SECOND, true).unwrap();
    client.send(get(url)).await
}

#[test]
fn equal_settings_share_one_client() {
    let clients = Clients::new();
    let proxied = Net {
        proxy: Some(Proxy {
            url: Secret::new("http://user:canary@proxy.example:3128"),
            no_proxy: Some("localhost".to_owned()),
        }),
        ..Net::default()
    };
    let plain = clients.get(&Net::default(), SECOND, false).unwrap();
    let same = clients.get(&Net::default(), SECOND, false).unwrap();
    let other = clients.get(&proxied, SECOND, false).unwrap();
    let loopback = clients.get(&proxied, SECOND, true).unwrap();
    assert!(plain.is_same(&same) && !plain.is_same(&other));
    assert!(plain.is_same(&loopback), "no proxy for loopback");
    assert!(!format!("{clients:?} {other:?}").contains("canary"));
}

#[test]
fn bad_settings_say_what_is_wrong_and_leak_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let net = Net {
        ca_file: Some(path.clone()),
        ..Net::default()
    };
    let error = || Clients::new().get(&net, SECOND, false).unwrap_err();
    assert!(matches!(error(), ClientError::Unreadable { .. }));
    std::fs::write(&path, "nothing here").unwrap();
    assert!(matches!(error(), ClientError::NoCertificates { .. }));
    let net = Net {
        proxy: Some(Proxy {
            url: Secret::new("canary"),
            no_proxy: None,
        }),
        ..Net::default()
    };
    let error = Clients::new().get(&net, SECOND, false).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn errors_are_sorted_and_show_no_query() {
    // A port nobody listens on: one that was just given back.
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let refused = ask(&format!("http://{closed}/?key=canary"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Connect);
    assert_eq!(refused.to_string(), "connection refused");

    for (act, kind) in [
        (
            Act::Say(b"not http at all\r\n\r\n".to_vec()),
            ErrorKind::Reset,
        ),
        (Act::Say(Vec::new()), ErrorKind::Reset),
        (
            Act::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
            ErrorKind::Reset,
        ),
        (
            Act::Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
            ErrorKind::Reset,
        ),
        (
            Act::with(200, &[], &vec![b' '; BODY_MAX + 1]),
            ErrorKind::TooLarge,
        ),
    ] {
        let peer = Peer::start(vec![act.clone()]).await;
        let error = ask(&format!("{}?key=canary", peer.url()))
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn tls_trouble_is_named() {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    assert_eq!(ask(&url).await.unwrap_err().kind, ErrorKind::Tls);
}

#[tokio::test]
async fn redirects_are_not_followed_and_the_user_agent_is_ours() {
    let peer = Peer::start(vec![Act::with(302, &[("Location", "/elsewhere")], b"")]).await;
    let answer = ask(&peer.url()).await.unwrap();
    assert_eq!(answer.status, 302);
    let requests = peer.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].contains(USER_AGENT), "{requests:?}");
    assert!(!requests[0].to_lowercase().contains("referer"));
}

#[tokio::test]
async fn every_request_has_a_connection_of_its_own_and_bodies_end_where_they_should() {
    let peer = Peer::start(vec![Act::with(200, &[], &vec![b'x'; BODY_MAX])]).await;
    for _ in 0..2 {
        assert_eq!(ask(&peer.url()).await.unwrap().body.len(), BODY_MAX);
    }
    assert_eq!(peer.requests().len(), 2);
}

/// A TLS peer for `localhost`, signed by the authority in testdata, that says one answer.
fn tls_peer(answer: &'static [u8]) -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read as _, Write as _};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/localhost.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/localhost.key"));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let running = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        // A client that trusts nobody goes away in the handshake.
        if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            let _gone = stream.write_all(answer);
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    });
    (address, running)
}

#[tokio::test]
async fn authorities_from_a_file_are_added_or_stand_alone() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/net/client/testdata/authority.pem"
    );
    let trusting = |ca_only| Net {
        ca_file: Some(file.into()),
        ca_only,
        proxy: None,
    };
    for (net, trusted) in [
        (trusting(false), true),
        (trusting(true), true),
        (Net::default(), false),
    ] {
        let (address, running) = tls_peer(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi");
        let client = Clients::new().get(&net, 5 * SECOND, true).unwrap();
        let url = format!("https://localhost:{}/", address.port());
        match client.send(get(&url)).await {
            Ok(answer) => {
                assert!(trusted);
                assert_eq!((answer.status, answer.body.as_slice()), (201, &b"hi"[..]));
            }
            Err(error) => {
                assert!(!trusted, "{error}");
                assert_eq!(error.kind, ErrorKind::Tls, "{error}");
                assert_eq!(
                    error.certificate,
                    Some(crate::net::Certificate::UnknownIssuer)
                );
            }
        }
        running.join().unwrap();
    }
}

#[tokio::test]
async fn a_proxy_is_asked_with_its_credentials_but_not_for_exceptions() {
    let proxy = Peer::start(vec![Act::with(407, &[], b"")]).await;
    let net = |no_proxy: &str| Net {
        proxy: Some(Proxy {
            url: Secret::new(format!("http://us%40er:p%2Fw@{}", proxy.address)),
            no_proxy: Some(no_proxy.to_owned()),
        }),
        ..Net::default()
    };
    let client = Clients::new()
        .get(&net("other.example"), SECOND, false)
        .unwrap();
    let target = Url::parse("https://vendor.invalid/t").unwrap();
    let shown = format!("http://{}", proxy.address);
    assert_eq!(client.proxy_for(&target), Some(shown));
    let error = client
        .send(get("https://vendor.invalid/t"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    let asked = proxy.requests();
    assert!(
        asked[0].starts_with("CONNECT vendor.invalid:443 HTTP/1.1"),
        "{asked:?}"
    );
    // us@er:p/w
    let credentials = "Basic dXNAZXI6cC93";
    assert!(asked[0].contains(credentials), "{asked:?}");
    assert!(!format!("{error:?}").contains("dXNAZXI6cC93"));
    let client = Clients::new()
        .get(&net("vendor.invalid"), SECOND, false)
        .unwrap();
    assert_eq!(client.proxy_for(&target), None);
    let error = client
        .send(get("https://vendor.invalid/t"))
        .await
        .unwrap_err();
    assert_ne!(error.kind, ErrorKind::Connect, "{error}");
    assert_eq!(proxy.requests().len(), 1);
}
