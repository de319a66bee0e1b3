//! The log: one subscriber for the process, with targets that could print secrets held down.

use std::str::FromStr;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// Libraries that print headers, request lines or TLS secrets at their finer levels. Whatever the
/// operator asks for, they stay at `info`: a log must never hold a credential.
const HELD_DOWN: [&str; 9] = [
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tokio_rustls",
    "tower",
    "want",
];

/// Where the level of the installed subscriber is changed.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Installs the subscriber; a second call changes nothing. Lines go to standard error.
pub fn init_logging(level: &str, json: bool) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let installed = Registry::default()
        .with(layer(filter, json, std::io::stderr))
        .try_init();
    if installed.is_ok() {
        let _first_and_only = LEVEL.set(handle);
    }
}

/// Changes the level of the subscriber that [`init_logging`] installed, if it did.
pub fn set_log_level(level: &str) {
    if let Some(handle) = LEVEL.get() {
        let _lives_as_long_as_the_process = handle.reload(filter(level));
    }
}

fn layer<W>(
    filter: reload::Layer<Targets, Registry>,
    json: bool,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    if json {
        format
            .json()
            .flatten_event(true)
            .with_filter(filter)
            .boxed()
    } else {
        format.with_filter(filter).boxed()
    }
}

fn filter(level: &str) -> Targets {
    let asked =
        Targets::from_str(level).unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let held_down = |target: &str| HELD_DOWN.iter().any(|name| crate_of(target) == *name);
    let mut filter = Targets::new().with_default(asked.default_level().unwrap_or(LevelFilter::OFF));
    for (target, level) in &asked {
        let level = if held_down(target) {
            level.min(LevelFilter::INFO)
        } else {
            level
        };
        filter = filter.with_target(target.to_owned(), level);
    }
    for name in HELD_DOWN {
        if !asked.iter().any(|(target, _)| target == name) {
            let default = asked.default_level().unwrap_or(LevelFilter::OFF);
            filter = filter.with_target(name, default.min(LevelFilter::INFO));
        }
    }
    filter
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_that_print_headers_stay_at_info() {
        for level in [
            "trace",
            "trace,hyper=trace,h2::codec=trace,reqwest::connect=debug",
        ] {
            let filter = filter(level);
            for target in [
                "hyper",
                "hyper::proto::h1::io",
                "h2::codec",
                "reqwest::connect",
                "rustls",
            ] {
                assert!(
                    !filter.would_enable(target, &Level::DEBUG),
                    "{level}: {target}"
                );
                assert!(
                    filter.would_enable(target, &Level::INFO),
                    "{level}: {target}"
                );
            }
            assert!(filter.would_enable("token_broker::refresh", &Level::TRACE));
        }
    }

    #[test]
    fn what_was_asked_is_what_is_logged() {
        let filter = filter("warn,token_broker::refresh=debug");
        assert!(filter.would_enable("token_broker::refresh::worker", &Level::DEBUG));
        assert!(!filter.would_enable("token_broker::http", &Level::INFO));
        assert!(!filter.would_enable("hyper", &Level::INFO));
    }
}
