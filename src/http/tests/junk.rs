//! Whatever bytes come: an answer that blames the caller, never us.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::Site;

/// Sends bytes and end of stream; all statuses that came back.
async fn statuses(site: &Site, bytes: &[u8]) -> Vec<u16> {
    let mut stream = site.connect().await;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        // The broker may have hung up already.
        let _sent = writer.write_all(bytes).await;
        let _ended = writer.shutdown().await;
    };
    let receive = reader.read_to_end(&mut answer);
    let (_received, ()) = tokio::join!(receive, send);
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split("HTTP/1.")
        .skip(1)
        .filter_map(|part| part.split(' ').nth(1)?.parse().ok())
        .collect()
}

fn check(requests: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let site = Site::new();
        for name in super::support::NAMES {
            site.hold(name, "tok-1", None);
        }
        for request in requests {
            for status in statuses(&site, request).await {
                prop_assert!(
                    (200..500).contains(&status),
                    "{status}: {}",
                    request.escape_ascii()
                );
            }
        }
        prop_assert_eq!(site.get("/livez").await.status, 200);
        Ok(())
    })
}

fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("token".to_owned()),
        Just("refresh".to_owned()),
        Just("headers".to_owned()),
        Just("integrations".to_owned()),
        Just("sfmc".to_owned()),
        Just("fixed".to_owned()),
        Just("livez".to_owned()),
        "[!-~]{0,12}",
        "%[0-9a-fA-F]{0,3}",
    ];
    let query = prop_oneof![
        Just(String::new()),
        "\\?[!-~]{0,30}",
        "\\?(format|wait|min_ttl|verbose)=[!-~]{0,8}(&(format|wait)=[!-~]{0,8})?",
    ];
    (prop::collection::vec(piece, 0..5), query)
        .prop_map(|(pieces, query)| format!("/{}{query}", pieces.join("/")))
}

fn almost_a_request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("HEAD"),
        Just("PUT"),
        Just("OPTIONS"),
        Just("CONNECT"),
        Just("TRACE")
    ];
    let header = prop_oneof![
        "[A-Za-z-]{1,12}: [ -~]{0,20}",
        "(Content-Length|Transfer-Encoding|Connection|Host|Expect|Accept|Content-Type|Upgrade): [ -~]{0,12}",
        "(Content-Length): [0-9]{1,20}",
        "Accept: [a-z*]{0,4}/[a-z*]{0,5};q=[0-9.]{0,5}",
    ];
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (
        method,
        path(),
        prop::collection::vec(header, 0..4),
        body,
        any::<bool>(),
    )
        .prop_map(|(method, path, headers, body, measured)| {
            let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
            for header in headers {
                request.push_str(&header);
                request.push_str("\r\n");
            }
            if measured {
                request.push_str("Content-Length: ");
                request.push_str(&body.len().to_string());
                request.push_str("\r\n");
            }
            request.push_str("\r\n");
            let mut bytes = request.into_bytes();
            bytes.extend(body);
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn raw_bytes(requests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8)) {
        check(&requests)?;
    }

    #[test]
    fn almost_requests(requests in prop::collection::vec(almost_a_request(), 1..12)) {
        check(&requests)?;
    }
}
