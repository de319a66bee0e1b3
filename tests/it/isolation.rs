//! Many integrations, most of them in trouble.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::support::{Broker, Reply, Vendor, integration};

#[tokio::test(start_paused = true)]
async fn a_hundred_black_holes_do_not_delay_a_good_vendor() {
    let mut config = String::new();
    let mut holes = Vec::new();
    for number in 0..100 {
        // Connects, and never answers.
        let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", hole.local_addr().unwrap());
        config += &integration(&format!("hole{number}"), &url, "");
        holes.push(hole);
    }
    let good = Vendor::start(|_, _| Reply::token("good", 3600)).await;
    config += &integration("good", &good.url(), "");
    let begun = tokio::time::Instant::now();
    let broker = Broker::start(&config);
    assert_eq!(broker.get("/token/good").await.token(), "good");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let startup = broker.get("/startupz?verbose").await;
    assert_eq!(startup.status, 503);
    assert!(startup.text().contains("hole7"), "{}", startup.text());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        broker.get("/startupz").await.status,
        200,
        "unreachable vendors hold it back only so long"
    );
}

#[tokio::test(start_paused = true)]
async fn two_thousand_integrations_in_one_process() {
    let vendor = Vendor::start(|request, _| {
        let tenant = request.text().split("tenant=").nth(1).unwrap().to_owned();
        Reply::token(&format!("token-{tenant}"), 3600)
    })
    .await;
    let mut config = integration("t0", &vendor.url(), "params = { tenant = \"0\" }");
    for number in 1..2000 {
        write!(
            config,
            "[integrations.t{number}]\ninherit = \"t0\"\nparams = {{ tenant = \"{number}\" }}\n"
        )
        .unwrap();
    }
    let broker = Broker::start(&config);
    for number in [0, 1, 999, 1999] {
        let answer = broker.get(&format!("/token/t{number}?wait=10s")).await;
        assert_eq!(answer.token(), format!("token-{number}"));
    }
    broker
        .until("t1998", |status| status["state"] == "valid")
        .await;
    let all = broker.get("/integrations").await.json();
    assert_eq!(all["integrations"].as_array().unwrap().len(), 2000);
    let metrics = broker.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains(r#"token_broker_token_valid{integration="t1999"}"#)
    );
}
