//! What the log says, and what it must not.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::spec::SecretCandidate;

/// Keeps every event of this crate as a line.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("token_broker")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    fn levels(&self) -> Vec<Level> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(level, _)| *level)
            .collect()
    }
}

/// Listens on this thread. With a single dispatcher tracing asks the *registering* thread whether a
/// line is wanted, and that may be another test's: hence a second one.
fn listen() -> (Lines, impl Sized) {
    let lines = Lines::default();
    let spare = tracing::Dispatch::new(Lines::default());
    let guard = tracing::subscriber::set_default(lines.clone());
    (lines, (spare, guard))
}

#[tokio::test(start_paused = true)]
async fn once_loud_then_quiet_then_one_recovery_and_never_a_token() {
    let (lines, _guards) = listen();
    let (_engine, vendor, _reader) = Engine::with(policy(), [token(8), token(8)], transient(None));
    seconds(100).await;
    vendor.becomes(refused());
    seconds(70).await;
    vendor.becomes(token(3600));
    seconds(200).await;
    let mut levels = lines.levels();
    assert_eq!(levels[..2], [Level::INFO, Level::DEBUG]);
    assert_eq!(levels[2..5], [Level::WARN; 3]);
    assert_eq!(levels.pop(), Some(Level::INFO));
    assert!(
        levels[5..].contains(&Level::DEBUG) && levels[5..].contains(&Level::WARN),
        "quiet after a while, but another kind of failure is loud again: {levels:?}"
    );
    for (_, line) in lines.0.lock().unwrap().iter() {
        assert!(line.contains("integration.id=acme"), "{line}");
        assert!(line.contains("'acme'"), "{line}");
        assert!(!line.contains("token-"), "{line}");
    }
    let lines = lines.0.lock().unwrap();
    assert!(
        lines[0].1.contains("refresh_at=2026-11-22T00:00:04Z"),
        "{}",
        lines[0].1
    );
    assert!(lines[2].1.contains("still served"), "{}", lines[2].1);
    assert!(lines[4].1.contains("debug level"), "{}", lines[4].1);
    assert!(lines.last().unwrap().1.contains("recovered"));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_of_the_api_call_is_told_once() {
    let (lines, _guards) = listen();
    let mut engine = Engine::new();
    let mut spec = integration("acme", policy());
    spec.api = Arc::new(Api {
        base_url: Some(Template::parse("{rest_url}").unwrap()),
        ..(*spec.api).clone()
    });
    let (vendor, reader) = engine.add_spec(spec, [], token(100));
    engine.start();
    seconds(200).await;
    assert_eq!(vendor.asked(), 3);
    assert!(
        engine.is_served(&reader),
        "the token is served all the same"
    );
    let held = reader.get().held.clone().unwrap();
    assert_eq!(held.api().base_url, None);
    assert_eq!(
        held.api().authorization(),
        Some(Secret::new("Bearer token-3"))
    );
    let told = lines.0.lock().unwrap();
    let warnings: Vec<_> = told
        .iter()
        .filter(|(level, _)| *level == Level::WARN)
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].1.contains("base_url") && warnings[0].1.contains("'rest_url'"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_ends_is_told_once_a_day_from_fourteen_days_ahead() {
    let (lines, _guards) = listen();
    let mut engine = Engine::new();
    let mut spec = integration("acme", policy());
    let Grant::ClientCredentials(request) = &mut spec.grant else {
        panic!("another grant")
    };
    let candidate = |expires_at: Option<&str>| SecretCandidate {
        source: SecretSource::Value(Secret::new("s3cret")),
        not_before: None,
        expires_at: expires_at.map(|at| Timestamp::parse_rfc3339(at).unwrap()),
    };
    // The clock of the engine begins at midnight of 22 November.
    Arc::make_mut(request).client_secret =
        vec![candidate(Some("2026-12-07T00:00:00Z")), candidate(None)];
    let (_vendor, _reader) = engine.add_spec(spec, [], token(7 * 86_400));
    engine.start();
    let told = || {
        let lines = lines.0.lock().unwrap();
        let of_secrets = lines
            .iter()
            .filter(|(_, line)| line.contains("client secret"));
        of_secrets.cloned().collect::<Vec<_>>()
    };
    seconds(86_400 - 120).await;
    assert_eq!(told(), [], "fifteen days ahead");
    seconds(240).await;
    let first = told();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(first[0].0, Level::WARN);
    for words in [
        "client secret 1 of 2",
        "'acme'",
        "in 13 days",
        "2026-12-07T00:00:00Z",
    ] {
        assert!(first[0].1.contains(words), "{first:?}");
    }
    assert!(!first[0].1.contains("s3cret"));
    seconds(13 * 86_400 + 3600).await;
    assert_eq!(told().len(), 14, "once a day");
    seconds(3 * 86_400).await;
    assert_eq!(
        told().len(),
        14,
        "over, and the other one has taken its place"
    );
}
