//! A good citizen: what the vendor is asked, and how often.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Broker, Reply, Vendor, integration, request};

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_cost_one_exchange() {
    let vendor = Vendor::start(|_, number| {
        Reply::After(
            Duration::from_secs(1),
            Box::new(Reply::token(&format!("t{number}"), 3600)),
        )
    })
    .await;
    let broker = Broker::start(&integration("cold", &vendor.url(), ""));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let address = broker.address;
        callers.spawn(async move { request(address, "GET /token/cold", &[], "").await.token() });
    }
    let tokens = callers.join_all().await;
    assert_eq!(tokens, vec!["t1".to_owned(); 200]);
    assert_eq!(vendor.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn exchanges_queued_for_an_endpoint_obey_a_retry_after_that_came_meanwhile() {
    let vendor = Vendor::start(|_, _| {
        let slow = Reply::Full(429, "retry-after: 60\r\n".into(), String::new());
        Reply::After(Duration::from_millis(200), Box::new(slow))
    })
    .await;
    let config: String = (0..20)
        .map(|number| integration(&format!("i{number}"), &vendor.url(), ""))
        .collect();
    let broker = Broker::start(&config);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(vendor.count(), 4, "four at once, and then none");
    let held_back = broker.get("/token/i19?wait=0").await;
    assert_eq!(
        (held_back.status, &held_back.json()["error"]),
        (503, &json!("rate_limited"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stopping_broker_sends_nothing_that_was_only_queued() {
    let vendor = Vendor::start(|_, _| {
        Reply::After(Duration::from_secs(2), Box::new(Reply::token("t", 3600)))
    })
    .await;
    let config: String = (0..20)
        .map(|number| integration(&format!("i{number}"), &vendor.url(), ""))
        .collect();
    let broker = Broker::start(&config);
    while vendor.count() < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    broker.stop().await;
    assert_eq!(vendor.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_by_everyone_with_that_client() {
    let vendor = Vendor::start(|_, number| match number {
        1 => Reply::Full(
            429,
            "retry-after: 3\r\n".into(),
            r#"{"error":"invalid_client"}"#.into(),
        ),
        _ => Reply::token("t", 3600),
    })
    .await;
    let config = integration("a", &vendor.url(), "")
        + &integration(
            "b",
            &vendor.url(),
            "params = { account_id = \"2\" }\nrefresh = { when = \"demand\" }",
        );
    let broker = Broker::start(&config);
    broker
        .until("a", |status| status["consecutive_failures"] == 1)
        .await;
    let answer = broker.get("/token/b?wait=1s").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (503, &json!("rate_limited"))
    );
    assert!(["2", "3", "4"].contains(&answer.header("retry-after").unwrap()));
    // Refreshes cannot shorten it either.
    for _ in 0..20 {
        broker.post("/refresh/a?wait=0", "").await;
        broker.post("/refresh/b?wait=0", "").await;
    }
    assert_eq!(broker.get("/token/a").await.status, 200);
    assert_eq!(broker.get("/token/b").await.status, 200);
    let requests = vendor.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(3));
    assert!(requests[2].at - requests[0].at >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_vendors_limit_outlives_a_restart_and_is_told_with_the_time_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await;
    let mut config = format!(
        "[store]\nkind = \"embedded\"\npath = \"{}\"\n",
        folder.path().join("state.redb").display()
    );
    for (account, name) in ["a", "b", "c"].into_iter().enumerate() {
        let more = format!(
            "params = {{ account_id = \"{account}\" }}\n\
             refresh = {{ when = \"demand\", rate_limit = \"2/1h\" }}"
        );
        config += &integration(name, &vendor.url(), &more);
    }
    for start in ["first", "second"] {
        let broker = Broker::start(&config);
        while broker.get("/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(broker.get("/token/a").await.status, 200, "{start}");
        assert_eq!(broker.get("/token/b").await.status, 200, "{start}");
        let spent = broker.get("/token/c?wait=1s").await;
        let told = spent.json();
        assert_eq!(
            (spent.status, &told["error"]),
            (503, &json!("rate_limited"))
        );
        assert!(told["detail"].as_str().unwrap().contains("2/1h"), "{told}");
        let seconds = |value: Option<&str>| value.unwrap().parse::<u64>().unwrap();
        let wait = seconds(spent.header("retry-after"));
        assert!((3500..=3602).contains(&wait), "{wait}");
        let kept = broker.post("/refresh/a", "").await;
        assert_eq!((kept.status, kept.token()), (200, "t1".to_owned()));
        assert!(seconds(kept.header("retry-after")) > 3500);
        assert_eq!(vendor.count(), 2, "{start}");
        broker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_not_hammered() {
    let vendor = Vendor::start(|_, _| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        assert_eq!(broker.get("/token/x?wait=1s").await.status, 502);
        broker.post("/refresh/x?wait=1s", "").await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(
        (2..=3).contains(&vendor.count()),
        "{} requests in a minute",
        vendor.count()
    );
    assert_eq!(broker.status("x").await["state"], "rejected");
}

#[tokio::test(start_paused = true)]
async fn forced_refreshes_are_spaced_and_the_spacing_doubles() {
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 7200)).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.status, 200);
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let address = broker.address;
        callers.spawn(async move {
            while begun.elapsed() < Duration::from_secs(120) {
                let answer = request(address, "POST /refresh/x", &[], "").await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    callers.join_all().await;
    let requests = vendor.requests();
    let gaps: Vec<u64> = requests
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs())
        .collect();
    assert_eq!(gaps.get(..4), Some(&[5, 10, 20, 40][..]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_herd_of_401s_costs_one_exchange() {
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 7200)).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let address = broker.address;
        callers.spawn(async move {
            request(address, "POST /refresh/x", &[], r#"{"rejected":"t1"}"#)
                .await
                .token()
        });
    }
    assert!(callers.join_all().await.iter().all(|token| token == "t2"));
    assert_eq!(vendor.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn demand_asks_nothing_before_the_first_request() {
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 60)).await;
    let more = "refresh = { when = \"demand\" }";
    let broker = Broker::start(&integration("x", &vendor.url(), more));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(vendor.count(), 0);
    assert_eq!(broker.get("/startupz").await.status, 200);
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(vendor.count() <= 2, "renewed without being used");
    assert_eq!(broker.get("/token/x").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_in_flight_is_awaited_at_the_end() {
    let vendor = Vendor::start(|_, _| {
        Reply::After(Duration::from_secs(4), Box::new(Reply::token("t", 3600)))
    })
    .await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    let address = broker.address;
    let caller = tokio::task::spawn(async move { request(address, "GET /token/x", &[], "").await });
    broker.until("x", |_| vendor.count() == 1).await;
    broker.stop().await;
    assert_eq!(caller.await.unwrap().token(), "t");
}

/// Without a client id each integration is a client of its own; and a wait that a later request's host
/// asks for is nobody's at the first host.
#[tokio::test(start_paused = true)]
async fn a_wait_is_that_of_the_client_and_the_host_that_it_was_asked_of() {
    let first = Vendor::start(|request, number| {
        if request.text().contains("alice") {
            Reply::Full(429, "retry-after: 3000\r\n".into(), "{}".into())
        } else {
            Reply::token(&format!("t{number}"), 3600)
        }
    })
    .await;
    let second =
        Vendor::start(|_, _| Reply::Full(429, "retry-after: 3000\r\n".into(), "{}".into())).await;
    let signin = |name: &str| {
        format!(
            "[integrations.{name}]\ngrant = \"request\"\nusername = \"{name}\"\n\
             request = {{ url = \"{}\", form = {{ user = \"{{username}}\" }} }}\n",
            first.url()
        )
    };
    let chain = format!(
        "[integrations.chain]\ngrant = \"steps\"\nclient_id = \"abc\"\n\
         [[integrations.chain.steps]]\nrequest.url = \"{}\"\n\
         [[integrations.chain.steps]]\nrequest.url = \"{}\"\n",
        first.url(),
        second.url()
    );
    let config = signin("alice") + &signin("bob") + &chain + &integration("same", &first.url(), "");
    let broker = Broker::start(&config);
    for held_back in ["alice", "chain"] {
        broker
            .until(held_back, |status| status["consecutive_failures"] == 1)
            .await;
    }
    for free in ["bob", "same"] {
        assert_eq!(
            broker.post(&format!("/refresh/{free}"), "").await.status,
            200
        );
    }
    // Those that were asked to wait do.
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert_eq!(second.count(), 1);
    for held_back in ["alice", "chain"] {
        let status = broker.status(held_back).await;
        assert_eq!(status["consecutive_failures"], 1, "{status}");
    }
}
