//! Tables of single steps.

use serde_json::Map;

use super::*;
use crate::base::Timestamp;
use crate::base::{Issued, Secret};
use crate::refresh::tests::{failure, integration};
use crate::snapshot::ApiCall;
use crate::spec::{RefreshPolicy, SecretCandidate, SecretSource};

pub(super) fn now(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000).plus(passed),
        mono: Mono::START.plus(Duration::from_secs(1000) + passed),
    }
}

pub(super) fn at(millis: u64) -> At {
    At {
        now: now(millis),
        hold: Mono::START,
        room: Room::FREE,
        draw: 0.5,
    }
}

pub(super) fn held(sent: Now, life: Option<u64>) -> Arc<Held> {
    let issued = Issued {
        access_token: Secret::new("token"),
        token_type: "Bearer".into(),
        scope: None,
        members: Map::new(),
        sent_at: sent,
        lifetime: life.map(Duration::from_millis),
        secret_in_use: None,
        refresh_token: None,
    };
    Arc::new(Held::new(issued, ApiCall::default()))
}

fn issued(sent: u64, life: u64) -> Event {
    finished(Ended::Issued {
        held: held(now(sent), Some(life)),
        secret_in_use: Some(0),
        refresh_token: None,
    })
}

fn finished(ended: Ended) -> Event {
    Event::Finished {
        ended,
        secret_moved: false,
    }
}

fn transient(retry_after: Option<u64>) -> Event {
    finished(Ended::Transient {
        retry_after: retry_after.map(Duration::from_secs),
        failure: failure(ErrorCode::TemporarilyUnavailable),
        refresh_token: None,
    })
}

fn refused() -> Event {
    finished(Ended::Refused(failure(ErrorCode::CredentialsRejected)))
}

fn machine() -> Machine {
    let refresh = RefreshPolicy {
        jitter: 0.0,
        ..RefreshPolicy::default()
    };
    Machine::new(Arc::new(integration("acme", refresh)), false)
}

fn nudge(nudge: Nudge) -> Event {
    Event::Nudged(Nudges::default().and(nudge))
}

const TIMER: Event = Event::Timer { used: false };
pub(super) const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_was_queued_while_the_vendor_asked_for_patience_waits_too() {
    let mut machine = machine();
    assert_eq!(machine.step(Event::Started, at(0)).next, Next::Fetch);
    let hold = now(3000).mono;
    let told = At { hold, ..at(1000) };
    let actions = machine.step(Event::HeldBack, told);
    assert_eq!(actions.next, Next::Sleep(Duration::from_millis(2500)));
    assert!(
        actions
            .publish
            .is_some_and(|snapshot| snapshot.finished == 0)
    );
    // A wait that is over by now is none.
    assert_eq!(machine.step(TIMER, at(3500)).next, Next::Fetch);
    assert_eq!(
        machine.step(Event::HeldBack, told_at(hold, 3600)).next,
        Next::Fetch
    );
}

fn told_at(hold: Mono, millis: u64) -> At {
    At { hold, ..at(millis) }
}

#[test]
fn a_life_in_steps() {
    let mut machine = machine();
    let first = machine.step(Event::Started, at(0));
    assert_eq!(first.next, Next::Fetch);
    assert_eq!(first.publish.unwrap().doing, Doing::Asking);
    assert_eq!(
        machine.step(nudge(Nudge::Missing), at(10)).next,
        Next::Await
    );
    let got = machine.step(issued(0, 40_000), at(100));
    assert_eq!(got.next, Next::Sleep(Duration::from_millis(19_900)));
    let snapshot = got.publish.unwrap();
    assert_eq!(snapshot.refresh_at, Some(now(20_000).wall));
    assert_eq!(snapshot.last_success_at, Some(now(100).wall));
    assert_eq!(snapshot.forced_from, now(5000).mono);
    assert_eq!((snapshot.finished, snapshot.consecutive_failures), (1, 0));
    // Nothing to see in a nudge that changes nothing: publishing would make callers nudge again.
    assert!(
        machine
            .step(nudge(Nudge::Missing), at(200))
            .publish
            .is_none()
    );
    let planned = machine.step(nudge(Nudge::Short), at(200));
    assert_eq!(planned.next, Next::Sleep(Duration::from_millis(4800)));
    assert!(planned.publish.is_some());
    assert!(machine.step(nudge(Nudge::Short), at(300)).publish.is_none());
    assert_eq!(machine.step(TIMER, at(5000)).next, Next::Fetch);
    let failed = machine.step(transient(None), at(5100));
    assert_eq!(failed.next, Next::Sleep(SECOND * 3 / 4));
    let snapshot = failed.publish.unwrap();
    assert!(snapshot.held.is_some());
    assert_eq!(snapshot.consecutive_failures, 1);
    for early in [Nudge::Missing, Nudge::Short, Nudge::Force] {
        let step = machine.step(nudge(early), at(5200));
        assert!(matches!(step.next, Next::Sleep(_)) && step.publish.is_none());
    }
    assert_eq!(machine.step(TIMER, at(5850)).next, Next::Fetch);
}

#[test]
fn long_waits_are_slept_in_pieces() {
    let mut machine = machine();
    machine.step(Event::Started, at(0));
    let got = machine.step(issued(0, 86_400_000), at(100));
    assert_eq!(got.next, Next::Sleep(LONGEST_SLEEP));
    let woken = machine.step(TIMER, at(60_100));
    assert_eq!(woken.next, Next::Sleep(LONGEST_SLEEP));
    assert!(woken.publish.is_none());
    // The wall clock jumped over the moment it was due.
    let jumped = At {
        now: Now {
            wall: now(70_000_000).wall,
            ..now(120_100)
        },
        ..at(0)
    };
    assert_eq!(machine.step(TIMER, jumped).next, Next::Fetch);
}

#[test]
fn a_hold_turns_asking_into_a_wait() {
    let mut machine = machine();
    let held_back = At {
        hold: now(3000).mono,
        ..at(0)
    };
    let step = machine.step(Event::Started, held_back);
    assert_eq!(step.next, Next::Sleep(SECOND * 7 / 2));
    let snapshot = step.publish.unwrap();
    assert_eq!(snapshot.failure.unwrap().code, ErrorCode::RateLimited);
    assert_eq!((snapshot.finished, snapshot.consecutive_failures), (0, 0));
    assert_eq!(machine.step(TIMER, at(3500)).next, Next::Fetch);
    let step = machine.step(transient(Some(7200)), at(3600));
    assert_eq!(step.hold, Some(now(3600).mono.plus(LONGEST_RETRY_AFTER)));
}

#[test]
fn refusals_wait_longer_and_longer_even_with_trouble_between() {
    let mut machine = machine();
    machine.step(Event::Started, at(0));
    let mut time = 0;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let refused = machine.step(refused(), at(time));
        let until = refused.publish.unwrap().refresh_at.unwrap();
        waits.push(until.since(now(time).wall).as_millis());
        time += 10_000_000;
        assert_eq!(machine.step(TIMER, at(time)).next, Next::Fetch);
        machine.step(transient(None), at(time));
        time += 10_000_000;
        assert_eq!(machine.step(TIMER, at(time)).next, Next::Fetch);
    }
    assert_eq!(waits, [22_500, 45_000, 90_000, 180_000]);
}

#[test]
fn the_expiry_of_the_secret_in_use_is_known() {
    let mut spec = integration("acme", RefreshPolicy::default());
    let expires_at = Some(Timestamp::from_unix_seconds(1_900_000_000));
    if let Grant::ClientCredentials(request) = &mut spec.grant {
        Arc::make_mut(request).client_secret.push(SecretCandidate {
            source: SecretSource::Value(Secret::new("x")),
            not_before: None,
            expires_at,
        });
    }
    let mut machine = Machine::new(Arc::new(spec), false);
    machine.step(Event::Started, at(0));
    let snapshot = machine.step(issued(0, 1000), at(1)).publish.unwrap();
    assert_eq!(snapshot.secret_in_use, Some(0));
    assert_eq!(snapshot.secret_expires_at, expires_at);
}
