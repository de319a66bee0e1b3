//! Lifetimes from one second to ten years, and clocks that are set.

use std::time::Duration;

use serde_json::json;

use crate::support::{Broker, Reply, Vendor, integration};

async fn vendor_with_lifetime(lifetime: u64) -> Vendor {
    Vendor::start(move |_, number| Reply::token(&format!("t{number}"), lifetime)).await
}

#[tokio::test(start_paused = true)]
async fn four_seconds_for_minutes_without_a_gap() {
    let vendor = vendor_with_lifetime(4).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.status, 200);
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(180) {
        let answer = broker.get("/token/x?wait=0").await;
        assert_eq!(
            answer.status,
            200,
            "a gap at {:?}: {}",
            begun.elapsed(),
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = vendor.count();
    assert!(
        (60..=130).contains(&asked),
        "{asked} exchanges in three minutes"
    );
}

#[tokio::test(start_paused = true)]
async fn one_second_is_no_hot_loop() {
    let vendor = vendor_with_lifetime(1).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    let begun = tokio::time::Instant::now();
    let mut served = 0;
    while begun.elapsed() < Duration::from_secs(60) {
        let answer = broker.get("/token/x?wait=2s").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        served += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(served > 60);
    assert!(
        vendor.count() <= 62,
        "{} exchanges in a minute",
        vendor.count()
    );
}

#[tokio::test(start_paused = true)]
async fn ten_years_are_one_exchange() {
    let vendor = vendor_with_lifetime(315_359_999).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    let answer = broker.get("/token/x").await.json();
    let left = answer["expires_in"].as_u64().unwrap();
    assert!((315_359_990..=315_359_999).contains(&left), "{answer}");
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    assert_eq!(vendor.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_and_forth_serves_no_dead_token_and_no_gap() {
    let vendor = vendor_with_lifetime(600).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    broker.clock.shift_wall(3_600_000);
    let answer = broker.get("/token/x").await;
    assert_eq!(
        answer.token(),
        "t2",
        "by the wall clock the first one is over"
    );
    broker.clock.shift_wall(-7_200_000);
    assert_eq!(broker.get("/token/x").await.status, 200);
    // The clock set back prolongs nothing: by the monotonic clock it is renewed in time.
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(1300) {
        assert_eq!(broker.get("/token/x?wait=0").await.status, 200);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(
        (3..=6).contains(&vendor.count()),
        "{} exchanges",
        vendor.count()
    );
}

#[tokio::test(start_paused = true)]
async fn min_ttl_that_can_never_be_met_is_the_callers_error() {
    let vendor = vendor_with_lifetime(100).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.status, 200);
    let answer = broker.get("/token/x?min_ttl=95s").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!("min_ttl_unattainable"))
    );
    assert_eq!(vendor.count(), 1, "no exchange for it");
    assert_eq!(broker.get("/token/x?min_ttl=80s").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_static_token_is_served_until_its_expiry() {
    let broker = Broker::start(
        "[integrations.x]\ngrant = \"static\"\ntoken = \"fixed\"\n\
         expires_at = \"2027-01-15T08:01:00Z\"\n",
    );
    let status = broker.until("x", |status| status["state"] == "valid").await;
    assert_eq!(status["expires_at"], "2027-01-15T08:01:00Z");
    assert_eq!(broker.get("/token/x").await.token(), "fixed");
    let answer = broker.post("/refresh/x", r#"{"rejected": "fixed"}"#).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (502, &json!("token_expired"))
    );
    assert_eq!(broker.post("/refresh/x", "").await.status, 200);
    let status = broker
        .until("x", |status| status["state"] == "expired")
        .await;
    assert_eq!(status["last_error"]["error"], "token_expired");
    let answer = broker.get("/token/x").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (502, &json!("token_expired"))
    );
}
