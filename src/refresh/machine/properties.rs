//! Random orders of events against the machine's invariants.

use proptest::prelude::*;

use super::tests::{SECOND, held, now};
use super::*;
use crate::base::Timestamp;
use crate::refresh::tests::{failure, integration};
use crate::spec::RefreshPolicy;

/// What can happen to a worker; times in milliseconds.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    ShiftWall(i64),
    Nudge(u8),
    Secret,
    Hold(u64),
    Limit(u64),
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
        1 => (0..100_000_u64).prop_map(Act::Limit),
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
    limit: Mono,
}

impl World {
    fn at(&self, draw: f64) -> At {
        let now = now(self.millis);
        let wall = Timestamp::from_unix_millis(now.wall.unix_millis() + self.wall);
        At {
            now: Now { wall, ..now },
            hold: self.hold,
            room: Room {
                from: self.limit,
                forced_from: self.limit.plus(SECOND),
            },
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
            Act::Limit(millis) => {
                self.limit = self.limit.max(now(self.millis + millis).mono);
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
    let retry_after = life.is_multiple_of(2).then(|| Duration::from_millis(life));
    match how {
        0 => Ended::Transient {
            retry_after,
            failure: failure(ErrorCode::TemporarilyUnavailable),
            refresh_token: None,
        },
        1 => Ended::Refused(failure(ErrorCode::CredentialsRejected)),
        2 => Ended::DeadGrant(failure(ErrorCode::LoginRequired)),
        3 => Ended::SecretUnavailable(failure(ErrorCode::SecretUnavailable)),
        _ => Ended::Issued {
            held: held(sent, (!life.is_multiple_of(7)).then_some(life)),
            secret_in_use: None,
            refresh_token: None,
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
        let mut machine = Machine::new(Arc::new(integration("acme", refresh)), false);
        let mut world = World { millis: 0, wall: 0, hold: Mono::START, limit: Mono::START };
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
                        // What could not be asked because of a hold is asked after it.
                        let held = at.now.mono.plus(wait + Duration::from_millis(1)) >= world.hold.max(world.limit)
                            && world.hold.max(world.limit) > at.now.mono;
                        prop_assert!(secret || held || wait >= SECOND * 15);
                        at.now.mono.plus(wait)
                    }
                    Doing::Idle | Doing::Asking => not_before,
                };
            }
            match actions.next {
                Next::Fetch => {
                    prop_assert!(in_flight.is_none(), "two exchanges in flight");
                    prop_assert!(at.now.mono >= world.hold, "asked inside a hold");
                    prop_assert!(at.now.mono >= world.limit, "asked beyond the limit");
                    // Published waits round to milliseconds.
                    prop_assert!(at.now.mono.plus(Duration::from_millis(1)) >= not_before,
                        "asked inside a wait");
                    // Failures have waits of their own; a success is followed by the floor.
                    if let (Some(last), None) = (last, &machine.view.failure) {
                        prop_assert!(at.now.mono.since(last.mono) >= FLOOR, "a hot loop");
                    }
                    in_flight = Some(at.now);
                }
                Next::Load | Next::Configured | Next::Save => {
                    prop_assert!(false, "nothing is kept");
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
