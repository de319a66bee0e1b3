//! `when = "demand"`.

use super::*;

fn demand() -> RefreshPolicy {
    RefreshPolicy {
        when: When::Demand,
        ..policy()
    }
}

#[tokio::test(start_paused = true)]
async fn first_asked_at_the_first_request() {
    let (engine, vendor, reader) = Engine::with(demand(), [], token(1200));
    seconds(3600).await;
    assert_eq!(vendor.asked(), 0);
    assert_eq!(reader.get().state(engine.clock.now()), State::Pending);
    assert!(reader.token(&*engine.clock, want(5)).await.is_ok());
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn renewed_only_if_used_since_it_was_issued() {
    let (engine, vendor, reader) = Engine::with(demand(), [], token(1200));
    reader.token(&*engine.clock, want(5)).await.unwrap();
    seconds(600).await;
    assert!(engine.is_served(&reader));
    seconds(301).await;
    assert_eq!(vendor.asked(), 2, "used, so renewed when due");
    seconds(86_400).await;
    assert_eq!(vendor.asked(), 2, "not used since");
    assert_eq!(reader.get().refresh_at, None);
    let held = reader.token(&*engine.clock, want(5)).await.unwrap();
    assert_eq!(held.token(), &Secret::new("token-3"));
}

#[tokio::test(start_paused = true)]
async fn trouble_is_retried_and_a_secret_alone_asks_nothing() {
    let (engine, vendor, reader) = Engine::with(demand(), [transient(None)], token(1200));
    vendor.new_secret();
    seconds(60).await;
    assert_eq!(vendor.asked(), 0);
    assert!(reader.token(&*engine.clock, want(5)).await.is_ok());
    assert_eq!(vendor.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_single_request_costs_a_single_exchange() {
    let (engine, vendor, reader) = Engine::with(demand(), [], token(1200));
    reader.token(&*engine.clock, want(5)).await.unwrap();
    seconds(86_400).await;
    assert_eq!(vendor.asked(), 1);
}
