//! Random orders of events, store failures and crashes against the promises about refresh tokens.

use proptest::prelude::*;

use super::tests::{at, now};
use super::*;
use crate::base::{Issued, RefreshToken, Secret, Timestamp};
use crate::refresh::schedule::intent_margin;
use crate::refresh::tests::{failure, integration, rotating};
use crate::snapshot::ApiCall;
use crate::spec::RefreshPolicy;
use crate::store::Record;

/// What can happen to a broker; times in milliseconds.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    Store(bool),
    /// Saves happen and are told as failed.
    Liar(bool),
    Nudge(Nudge),
    Secret,
    Timer(bool),
    /// The end of the exchange, if one is in flight.
    End(End, u64),
    Crash,
    Stop,
    Panic,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Rotated,
    Kept,
    Lost,
    Garbage,
    Over,
    Trouble,
    Dead,
    Refused,
    HeldBack,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let end = prop_oneof![
        6 => Just(End::Rotated),
        1 => Just(End::Kept),
        2 => Just(End::Lost),
        1 => Just(End::Garbage),
        1 => Just(End::Over),
        2 => Just(End::Trouble),
        1 => Just(End::Dead),
        1 => Just(End::Refused),
        1 => Just(End::HeldBack),
    ];
    let nudge = prop_oneof![Just(Nudge::Missing), Just(Nudge::Short), Just(Nudge::Force)];
    let act = prop_oneof![
        4 => (0..400_000_u64).prop_map(Act::Pass),
        2 => (0..4_000_000_u64).prop_map(Act::Pass),
        2 => any::<bool>().prop_map(Act::Store),
        1 => any::<bool>().prop_map(Act::Liar),
        2 => nudge.prop_map(Act::Nudge),
        1 => Just(Act::Secret),
        4 => any::<bool>().prop_map(Act::Timer),
        9 => (end, 1..5_000_000_u64).prop_map(|(end, life)| Act::End(end, life)),
        1 => Just(Act::Crash),
        1 => Just(Act::Stop),
        1 => Just(Act::Panic),
    ];
    proptest::collection::vec(act, 1..150)
}

fn configured() -> Event {
    Event::Configured(Ok(Some(Secret::new("refresh-0"))))
}

/// A broker on a disk, and all that is known from outside.
struct World {
    machine: Machine,
    spec: Arc<Integration>,
    millis: u64,
    disk: Option<Record>,
    store_works: bool,
    store_lies: bool,
    last_save_failed: bool,
    /// What the exchange in flight presents, and when it began.
    in_flight: Option<(u64, Now)>,
    /// Numbers of refresh tokens: given out, received by this process, the highest on the disk.
    given: u64,
    latest: u64,
    saved: u64,
    /// Refresh token that came with the access token that was received last.
    came_with: u64,
}

fn number(token: &Secret) -> u64 {
    token
        .expose()
        .strip_prefix("refresh-")
        .unwrap()
        .parse()
        .unwrap()
}

fn refresh_token(number: u64) -> RefreshToken {
    RefreshToken {
        token: Secret::new(format!("refresh-{number}")),
        lifetime: None,
    }
}

fn held(sent: Now, life: u64, number: u64) -> Arc<Held> {
    let issued = Issued {
        access_token: Secret::new(format!("token-{number}")),
        token_type: "Bearer".into(),
        scope: None,
        members: serde_json::Map::new(),
        sent_at: sent,
        lifetime: Some(Duration::from_millis(life)),
        secret_in_use: None,
        refresh_token: None,
    };
    Arc::new(Held::new(issued, ApiCall::default()))
}

impl World {
    fn at(&self, draw: f64) -> At {
        At {
            draw,
            ..at(self.millis)
        }
    }

    /// Runs errands until there is an exchange to wait for, or nothing to do.
    fn run(&mut self, event: Event, draw: f64) -> Result<(), TestCaseError> {
        let mut event = event;
        for _ in 0..20 {
            let at = self.at(draw);
            let actions = self.machine.step(event, at);
            if let Some(snapshot) = &actions.publish {
                self.look(snapshot, at.now)?;
            }
            event = match actions.next {
                Next::Load => Event::Loaded(self.load(at.now)),
                Next::Configured => configured(),
                Next::Save => Event::Saved(self.save(at.now)),
                Next::Fetch => return self.sent(at.now),
                Next::Await => {
                    prop_assert!(self.in_flight.is_some(), "nothing to wait for");
                    return Ok(());
                }
                Next::Sleep(Duration::ZERO) => Event::Timer { used: false },
                Next::Sleep(_) | Next::Listen => return Ok(()),
            };
        }
        prop_assert!(false, "no end of errands");
        Ok(())
    }

    fn load(&self, now: Now) -> Loaded {
        let Some(record) = &self.disk else {
            return Loaded::Nothing;
        };
        let issued = record.access.as_ref();
        let issued = issued.and_then(|access| restored(access, &self.spec, now));
        Loaded::Found {
            held: issued.map(|issued| Arc::new(Held::new(issued, ApiCall::default()))),
            record: Box::new(record.clone()),
        }
    }

    fn save(&mut self, now: Now) -> Result<(), String> {
        if self.store_works {
            let record = self.machine.record(now);
            self.saved = self
                .saved
                .max(number(&record.chain.as_ref().unwrap().refresh_token));
            self.disk = Some(record);
        }
        let told = self.store_works && !self.store_lies;
        self.last_save_failed = !told;
        if told { Ok(()) } else { Err("no".to_owned()) }
    }

    fn sent(&mut self, now: Now) -> Result<(), TestCaseError> {
        prop_assert!(self.in_flight.is_none(), "two exchanges in flight");
        let Present::RefreshToken(token) = self.machine.present() else {
            prop_assert!(false, "presented something else");
            return Ok(());
        };
        let presented = number(&token);
        prop_assert_eq!(
            presented,
            self.latest,
            "a received refresh token was forgotten"
        );
        prop_assert!(
            presented >= self.saved,
            "a saved successor was followed by its predecessor"
        );
        let chain = self.disk.as_ref().and_then(|record| record.chain.as_ref());
        let intended =
            chain.is_some_and(|it| it.intent.is_some() && number(&it.refresh_token) == presented);
        let cannot_wait = match &self.machine.token {
            Token::None => true,
            Token::Held { held, .. } => {
                held.left(now).unwrap() <= intent_margin(held.lifetime().unwrap())
            }
        };
        prop_assert!(
            intended || (self.last_save_failed && cannot_wait),
            "an exchange without intent"
        );
        self.in_flight = Some((presented, now));
        Ok(())
    }

    fn look(&self, snapshot: &Snapshot, now: Now) -> Result<(), TestCaseError> {
        if let Some(held) = snapshot.valid(now) {
            prop_assert!(held.left(now) <= held.lifetime(), "more life than issued");
            prop_assert!(
                now.wall < held.expires_at().unwrap(),
                "served past its expiry"
            );
            if held.token() == &Secret::new(format!("token-{}", self.came_with)) {
                prop_assert!(
                    self.saved >= self.came_with || self.last_save_failed,
                    "served before its refresh token was saved"
                );
            }
        }
        Ok(())
    }

    fn end(&mut self, end: End, life: u64, sent_at: Now) -> Event {
        let mut received = || {
            self.given += 1;
            self.latest = self.given;
            Some(refresh_token(self.given))
        };
        let ended = match end {
            End::HeldBack => return Event::HeldBack,
            End::Rotated => {
                let refresh_token = received();
                self.came_with = self.latest;
                Ended::Issued {
                    held: held(sent_at, life, self.latest),
                    secret_in_use: None,
                    refresh_token,
                }
            }
            End::Kept => Ended::Issued {
                held: held(sent_at, life, self.latest),
                secret_in_use: None,
                refresh_token: None,
            },
            End::Lost => Ended::Ambiguous {
                retry_after: None,
                failure: failure(ErrorCode::TemporarilyUnavailable),
                refresh_token: None,
            },
            End::Garbage => Ended::Ambiguous {
                retry_after: None,
                failure: failure(ErrorCode::TemporarilyUnavailable),
                refresh_token: received(),
            },
            End::Over => Ended::Transient {
                retry_after: None,
                failure: failure(ErrorCode::TemporarilyUnavailable),
                refresh_token: received(),
            },
            End::Trouble => Ended::Transient {
                retry_after: Some(Duration::from_millis(life)),
                failure: failure(ErrorCode::RateLimited),
                refresh_token: None,
            },
            End::Dead => Ended::DeadGrant(failure(ErrorCode::LoginRequired)),
            End::Refused => Ended::Refused(failure(ErrorCode::CredentialsRejected)),
        };
        Event::Finished {
            ended,
            secret_moved: false,
        }
    }

    /// What a process knows that has just begun.
    fn born(&mut self) {
        self.machine = Machine::new(Arc::clone(&self.spec), true);
        self.in_flight = None;
        self.last_save_failed = false;
        let chain = self.disk.as_ref().and_then(|record| record.chain.as_ref());
        self.latest = chain.map_or(0, |chain| number(&chain.refresh_token));
        // Whatever the vendor answers with now is newer than all before.
        self.given = self.given.max(self.latest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_refresh_token_is_forgotten_or_repeated(
        acts in acts(), demand in any::<bool>(), draw in 0.0..1.0_f64,
    ) {
        let mut spec = rotating();
        spec.refresh.when = if demand { When::Demand } else { When::Always };
        let spec = Arc::new(spec);
        let mut world = World {
            machine: Machine::new(Arc::clone(&spec), true),
            spec,
            millis: 0,
            disk: None,
            store_works: true,
            store_lies: false,
            last_save_failed: false,
            in_flight: None,
            given: 0,
            latest: 0,
            saved: 0,
            came_with: u64::MAX,
        };
        world.run(Event::Started, draw)?;
        for act in acts {
            let event = match act {
                Act::Pass(millis) => {
                    world.millis += millis;
                    continue;
                }
                Act::Store(works) => {
                    world.store_works = works;
                    continue;
                }
                Act::Liar(lies) => {
                    world.store_lies = lies;
                    continue;
                }
                Act::Crash => {
                    world.born();
                    Event::Started
                }
                Act::Panic => Event::Panicked {
                    failure: failure(ErrorCode::TemporarilyUnavailable),
                    wait: Duration::from_secs(1),
                },
                // An exchange in flight is awaited first.
                Act::Stop if world.in_flight.is_some() => continue,
                Act::Stop => {
                    let at = world.at(draw);
                    world.machine.settle(at);
                    if world.machine.begin_last_save() {
                        let result = world.save(at.now);
                        world.machine.step(Event::Saved(result), at);
                    }
                    world.born();
                    Event::Started
                }
                Act::Nudge(nudge) => Event::Nudged(Nudges::default().and(nudge)),
                Act::Secret if world.in_flight.is_none() => Event::SecretChanged,
                Act::Secret => configured(),
                Act::Timer(used) => Event::Timer { used },
                Act::End(end, life) => {
                    let Some((_, sent_at)) = world.in_flight.take() else {
                        continue;
                    };
                    world.end(end, life, sent_at)
                }
            };
            if matches!(event, Event::Panicked { .. }) {
                world.in_flight = None;
            }
            world.run(event, draw)?;
        }
    }
}

#[test]
fn an_integration_without_refresh_tokens_carries_none_of_this() {
    let spec = Arc::new(integration("acme", RefreshPolicy::default()));
    let machine = Machine::new(spec, false);
    assert!(machine.consent.is_none() && machine.keep.is_none());
    assert_eq!(machine.refresh_token_end(), None);
    assert!(now(0).wall > Timestamp::from_unix_seconds(0));
}
