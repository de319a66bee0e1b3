//! A definition that changes: what its next worker takes over, and what it asks.

use super::*;
use crate::spec::SecretCandidate;

struct Changing {
    clock: Arc<TokioClock>,
    supervisor: Supervisor,
}

impl Changing {
    fn new() -> Self {
        let wall = Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap();
        let clock = Arc::new(TokioClock::starting_at(wall));
        let mut supervisor = Supervisor::new(Deps {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::default()),
            keeping: Keeping::Memory(Arc::new(Memory::new(Arc::clone(&clock) as Arc<dyn Clock>))),
        });
        supervisor.start();
        Self { clock, supervisor }
    }

    fn put(&mut self, spec: Integration, then: Answer) -> (Arc<Script>, Reader) {
        let vendor = vendor(&self.clock, [], then);
        let source = Arc::clone(&vendor) as Arc<dyn TokenSource>;
        let counters = Arc::new(IntegrationCounters::default());
        let reader = self.supervisor.add(Arc::new(spec), source, counters);
        (vendor, reader)
    }

    fn served(&self, reader: &Reader) -> Option<String> {
        let now = self.clock.now();
        let held = reader.good(now, MinTtl::Asked(Duration::ZERO))?;
        Some(held.token().expose().to_owned())
    }
}

fn acme() -> Integration {
    integration("acme", policy())
}

fn request(spec: &mut Integration) -> &mut TokenRequest {
    let Grant::ClientCredentials(request) = &mut spec.grant else {
        panic!("another grant")
    };
    Arc::make_mut(request)
}

fn with_secret(text: &str) -> Integration {
    let mut spec = acme();
    request(&mut spec).client_secret = vec![SecretCandidate {
        source: SecretSource::Value(Secret::new(text)),
        not_before: None,
        expires_at: None,
    }];
    spec
}

#[tokio::test(start_paused = true)]
async fn what_does_not_shape_the_request_keeps_the_token() {
    let mut all = Changing::new();
    let (_, reader) = all.put(acme(), token(1000));
    seconds(1).await;
    let first = all.served(&reader).unwrap();
    let mut spec = acme();
    Arc::make_mut(&mut spec.refresh).at = 0.5;
    let api = Arc::make_mut(&mut spec.api);
    let key = Template::parse("{access_token}").unwrap();
    api.headers.push(("X-Key".into(), key));
    let (vendor, same) = all.put(spec, token(1000));
    seconds(1).await;
    assert_eq!(all.served(&same), Some(first.clone()));
    assert_eq!(vendor.asked(), 0);
    let held = reader.get().held.clone().unwrap();
    let (name, value) = held.api().headers.pop().unwrap();
    assert_eq!((name.as_str(), value.expose()), ("X-Key", first.as_str()));
    // Due by the new policy: half of the life since it was sent.
    seconds(497).await;
    assert_eq!(vendor.asked(), 0);
    seconds(2).await;
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_request_is_another_token() {
    let mut all = Changing::new();
    let (first, reader) = all.put(acme(), token(1000));
    seconds(2).await;
    let mut spec = acme();
    request(&mut spec).scope = Some("more".into());
    let (vendor, _) = all.put(spec, token(1000));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(all.served(&reader), None, "a token of the old request");
    // Whoever waits goes on waiting.
    let held = reader.token(&*all.clock, want(5)).await.unwrap();
    assert!(!held.is_expired(all.clock.now()));
    assert_eq!((first.asked(), vendor.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_in_flight_is_awaited_and_its_answer_kept() {
    let mut all = Changing::new();
    let (first, reader) = all.put(acme(), token(1000));
    sleep(Duration::from_millis(20)).await;
    assert_eq!(reader.get().doing, Doing::Asking);
    let mut vendors = Vec::new();
    // Changed again before anybody took the place.
    for at in [0.5, 0.6] {
        let mut spec = acme();
        Arc::make_mut(&mut spec.refresh).at = at;
        vendors.push(all.put(spec, token(1000)).0);
    }
    seconds(10).await;
    assert!(all.served(&reader).is_some());
    assert_eq!(first.asked(), 1);
    assert!(vendors.iter().all(|vendor| vendor.asked() == 0));
    seconds(600).await;
    assert_eq!((vendors[0].asked(), vendors[1].asked()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_is_proven_while_the_old_token_is_served() {
    let mut all = Changing::new();
    let (_, reader) = all.put(with_secret("old"), token(1000));
    seconds(5).await;
    let before = all.served(&reader);
    let (vendor, _) = all.put(with_secret("wrong"), refused());
    seconds(5).await;
    assert_eq!(vendor.asked(), 1, "proven at once, and not again and again");
    assert_eq!(all.served(&reader), before);
    assert!(reader.get().is_refused());
    let (vendor, _) = all.put(with_secret("right"), token(1000));
    seconds(2).await;
    assert_eq!(vendor.asked(), 1, "a new secret ends a refusal's wait");
    assert!(!reader.get().is_refused());
}

#[tokio::test(start_paused = true)]
async fn a_changed_policy_does_not_end_a_refusals_wait() {
    let mut all = Changing::new();
    let (_, reader) = all.put(acme(), refused());
    seconds(1).await;
    let mut spec = acme();
    Arc::make_mut(&mut spec.refresh).at = 0.5;
    let (vendor, _) = all.put(spec, token(1000));
    seconds(10).await;
    assert_eq!(vendor.asked(), 0);
    assert!(reader.get().is_refused());
    let mut spec = acme();
    Arc::make_mut(&mut spec.response).default_lifetime = Some(Duration::from_secs(9));
    let (vendor, _) = all.put(spec, token(1000));
    seconds(2).await;
    assert_eq!(vendor.asked(), 1, "how the answer is read may end it");
}

#[tokio::test(start_paused = true)]
async fn removed_and_back_while_an_exchange_was_in_flight() {
    let mut all = Changing::new();
    let (first, reader) = all.put(acme(), token(1000));
    sleep(Duration::from_millis(20)).await;
    all.supervisor.remove(&"acme".parse().unwrap());
    let (vendor, same) = all.put(acme(), token(1000));
    seconds(5).await;
    assert!(all.served(&same).is_some());
    assert_eq!((first.asked(), vendor.asked()), (1, 0), "never two at once");
    all.supervisor.remove(&"acme".parse().unwrap());
    seconds(1).await;
    assert!(all.supervisor.unfinished().is_empty());
    assert_eq!(
        reader.token(&*all.clock, want(0)).await.map(drop),
        Ok(()),
        "what is known stays known to those who read it"
    );
    let (vendor, anew) = all.put(acme(), token(1000));
    seconds(1).await;
    assert!(all.served(&anew).is_some());
    assert_eq!(vendor.asked(), 1);
}
