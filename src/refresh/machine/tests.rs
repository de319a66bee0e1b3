//! Tables of single steps, and random orders of events against the machine's invariants.

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::base::{Issued, Secret};
use crate::refresh::tests::{failure, integration};
use crate::snapshot::ApiCall;
use crate::spec::{RefreshPolicy, SecretCandidate, SecretSource};

fn now(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000).plus(passed),
        mono: Mono::START.plus(Duration::from_secs(1000) + passed),
    }
}

fn at(millis: u64) -> At {
    At {
        now: now(millis),
        hold: Mono::START,
        draw: 0.5,
    }
}

fn held(sent: Now, life: Option<u64>) -> Arc<Held> {
    let issued = Issued {
        access_token: Secret::new("token"),
        token_type: "Bearer".into(),
        scope: None,
        members: Map::new(),
        sent_at: sent,
        lifetime: life.map(Duration::from_millis),
        secret_in_use: None,
    };
    Arc::new(Held::new(issued, ApiCall::default()))
}

fn issued(sent: u64, life: u64) -> Event {
    finished(Ended::Issued {
        held: held(now(sent), Some(life)),
        secret_in_use: Some(0),
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
    Machine::new(Arc::new(integration("acme", refresh)))
}

fn nudge(nudge: Nudge) -> Event {
    Event::Nudged(Nudges::default().and(nudge))
}

const TIMER: Event = Event::Timer { used: false };
const SECOND: Duration = Duration::from_secs(1);

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
        request.client_secret.push(SecretCandidate {
            source: SecretSource::Value(Secret::new("x")),
            not_before: None,
            expires_at,
        });
    }
    let mut machine = Machine::new(Arc::new(spec));
    machine.step(Event::Started, at(0));
    let snapshot = machine.step(issued(0, 1000), at(1)).publish.unwrap();
    assert_eq!(snapshot.secret_in_use, Some(0));
    assert_eq!(snapshot.secret_expires_at, expires_at);
}

/// What can happen to a worker; times in milliseconds.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    ShiftWall(i64),
    Nudge(u8),
    Secret,
    Hold(u64),
    Timer(bool),
    /// The end of the exchange, if one is in flight.
    End(u8, u64, bool),
    Panic,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..200_000_u64).prop_map(Act::Pass),
        2 => (0..2000_u64).prop_map(Act::Pass),
        1 => (-4_000_000..4_000_000_i64).prop_map(Act::ShiftWall),
        4 => (1..8_u8).prop_map(Act::Nudge),
        1 => Just(Act::Secret),
        1 => (0..100_000_u64).prop_map(Act::Hold),
        4 => any::<bool>().prop_map(Act::Timer),
        8 => (0..6_u8, 1..5_000_000_u64, any::<bool>()).prop_map(|(a, b, c)| Act::End(a, b, c)),
        1 => Just(Act::Panic),
    ];
    proptest::collection::vec(act, 1..120)
}

struct World {
    millis: u64,
    wall: i64,
    hold: Mono,
}

impl World {
    fn at(&self, draw: f64) -> At {
        let now = now(self.millis);
        let wall = Timestamp::from_unix_millis(now.wall.unix_millis() + self.wall);
        At {
            now: Now { wall, ..now },
            hold: self.hold,
            draw,
        }
    }

    fn event(&mut self, act: &Act, sent_at: Option<Now>) -> Option<Event> {
        match *act {
            Act::Pass(millis) => {
                self.millis += millis;
                None
            }
            Act::ShiftWall(millis) => {
                self.wall += millis;
                None
            }
            Act::Hold(millis) => {
                self.hold = self.hold.max(now(self.millis + millis).mono);
                None
            }
            Act::Nudge(flags) => {
                let all = [Nudge::Missing, Nudge::Short, Nudge::Force];
                let chosen = all.into_iter().filter(|n| flags & *n as u8 != 0);
                Some(Event::Nudged(chosen.fold(Nudges::default(), Nudges::and)))
            }
            Act::Secret => Some(Event::SecretChanged),
            Act::Timer(used) => Some(Event::Timer { used }),
            Act::Panic => sent_at.map(|_| Event::Panicked {
                failure: failure(ErrorCode::TemporarilyUnavailable),
                wait: SECOND,
            }),
            Act::End(how, life, secret_moved) => sent_at.map(|sent| Event::Finished {
                ended: ended(how, life, sent),
                secret_moved,
            }),
        }
    }
}

fn ended(how: u8, life: u64, sent: Now) -> Ended {
    let retry_after = (life % 2 == 0).then(|| Duration::from_millis(life));
    match how {
        0 => Ended::Transient {
            retry_after,
            failure: failure(ErrorCode::TemporarilyUnavailable),
        },
        1 => Ended::Refused(failure(ErrorCode::CredentialsRejected)),
        2 => Ended::DeadGrant(failure(ErrorCode::LoginRequired)),
        3 => Ended::SecretUnavailable(failure(ErrorCode::SecretUnavailable)),
        _ => Ended::Issued {
            held: held(sent, (life % 7 != 0).then_some(life)),
            secret_in_use: None,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens(
        acts in acts(), demand in any::<bool>(), same in any::<bool>(), draw in 0.0..1.0_f64,
    ) {
        let refresh = RefreshPolicy {
            when: if demand { When::Demand } else { When::Always },
            reissue: if same { Reissue::Same } else { Reissue::Independent },
            ..RefreshPolicy::default()
        };
        let mut machine = Machine::new(Arc::new(integration("acme", refresh)));
        let mut world = World { millis: 0, wall: 0, hold: Mono::START };
        // When the exchange in flight began, and the one before.
        let (mut in_flight, mut last): (Option<Now>, Option<Now>) = (None, None);
        // No exchange before this: a back-off or a refusal's wait.
        let mut not_before = Mono::START;
        let mut token: Option<Arc<Held>> = None;
        let mut events = vec![Act::Pass(0)];
        events.extend(acts);
        for (index, act) in events.iter().enumerate() {
            let event = match (index, world.event(act, in_flight)) {
                (0, _) => Event::Started,
                (_, Some(event)) => event,
                (_, None) => continue,
            };
            let ends = matches!(event, Event::Finished { .. } | Event::Panicked { .. });
            if let Event::Finished { ended: Ended::Issued { held, .. }, .. } = &event {
                token = Some(Arc::clone(held));
            }
            let secret = matches!(
                event,
                Event::SecretChanged | Event::Finished { secret_moved: true, .. }
            );
            let at = world.at(draw);
            let actions = machine.step(event, at);
            if ends {
                last = in_flight.take();
            }
            if let Some(until) = actions.hold {
                world.hold = world.hold.max(until);
            }
            if let Some(snapshot) = &actions.publish {
                // What was held is held still, or replaced by what was issued.
                prop_assert_eq!(snapshot.held.is_some(), token.is_some());
                if let (Some(shown), Some(token)) = (&snapshot.held, &token) {
                    prop_assert!(Arc::ptr_eq(shown, token));
                }
                not_before = match snapshot.doing {
                    Doing::BackingOff { until } => until,
                    Doing::Refused => {
                        let wait = snapshot.refresh_at.unwrap().since(at.now.wall);
                        prop_assert!(secret || wait >= SECOND * 15);
                        at.now.mono.plus(wait)
                    }
                    Doing::Idle | Doing::Asking => not_before,
                };
            }
            match actions.next {
                Next::Fetch => {
                    prop_assert!(in_flight.is_none(), "two exchanges in flight");
                    prop_assert!(at.now.mono >= world.hold, "asked inside a hold");
                    // Published waits round to milliseconds.
                    prop_assert!(at.now.mono.plus(Duration::from_millis(1)) >= not_before,
                        "asked inside a wait");
                    // Failures have waits of their own; a success is followed by the floor.
                    if let (Some(last), None) = (last, &machine.view.failure) {
                        prop_assert!(at.now.mono.since(last.mono) >= FLOOR, "a hot loop");
                    }
                    in_flight = Some(at.now);
                }
                Next::Await => prop_assert!(in_flight.is_some()),
                Next::Sleep(wait) => {
                    prop_assert!(in_flight.is_none());
                    prop_assert!(wait <= LONGEST_SLEEP);
                }
                // Only where nothing is due: no token was asked for, or it never expires.
                Next::Listen => {
                    prop_assert!(in_flight.is_none());
                    let forever = token.as_ref().is_some_and(|held| held.lifetime().is_none());
                    prop_assert!(demand || forever, "a deadlock");
                }
            }
        }
    }
}
