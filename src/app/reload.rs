//! A changed configuration, taken over while everything runs.
//!
//! Loaded, lowered and built aside, then applied as a whole or not at all. Owns the supervisor
//! while the broker runs. Must not know signals. Invariants: whatever is wrong with what is loaded,
//! the configuration in use stays; an integration that did not change is not touched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Built;
use crate::base::{Clock, IntegrationId};
use crate::config::{Change, Loaded, Problem, Problems, Watch};
use crate::exchange::{Sources, TokenSource};
use crate::http::{Context, Entry, Reload};
use crate::refresh::Supervisor;
use crate::secrets::Vault;
use crate::sinks::Sinks;
use crate::spec::{Integration, Server, Spec};
use crate::telemetry;

const POLL: Duration = Duration::from_secs(10);
/// Between the two looks that must see the same before it is loaded: editors and copies that
/// empty a file first are done with it by then.
const SETTLING: Duration = Duration::from_secs(2);
/// With thousands of integrations one mistake can mean thousands of lines.
const LINES_MAX: usize = 20;
const SHOWN_MAX: usize = 100;

/// Asks for a reload at once, as SIGHUP does.
#[derive(Debug, Clone, Default)]
pub struct Trigger(Arc<Notify>);

impl Trigger {
    pub fn pull(&self) {
        self.0.notify_one();
    }
}

/// What a reload works with.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) context: Arc<Context>,
    pub(super) supervisor: Supervisor,
    pub(super) sources: Arc<Sources>,
    pub(super) sinks: Sinks,
    pub(super) vault: Arc<Vault>,
    /// As it was at the start: what of it changes needs a restart.
    pub(super) start: Spec,
    pub(super) integrations: Vec<Arc<Integration>>,
    pub(super) log_level: String,
    /// `None` for a configuration that did not come from files.
    pub(super) watch: Option<Arc<Mutex<Watch>>>,
}

/// What a look at the files brought.
enum Look {
    Same,
    /// Changed, and perhaps still being written.
    Fresh,
    /// With those that are new or have changed.
    Loaded(Box<Loaded>, Vec<Built>),
    Refused(Problems),
}

impl Reloader {
    /// Looks every ten seconds, and when triggered, until `stop`.
    pub(super) async fn follow(&mut self, trigger: &Trigger, stop: &CancellationToken) {
        let mut wait = POLL;
        loop {
            let triggered = tokio::select! {
                () = stop.cancelled() => return,
                () = trigger.0.notified() => true,
                () = tokio::time::sleep(wait) => false,
            };
            wait = POLL;
            if let Some(watch) = self.watch.clone() {
                let looked = self.look(watch, triggered);
                let Some(look) = stop.run_until_cancelled(looked).await else {
                    return;
                };
                if matches!(look, Look::Fresh) {
                    wait = SETTLING;
                }
                self.take(look);
            }
            if triggered {
                let vault = Arc::clone(&self.vault);
                if stop.run_until_cancelled(vault.look_again()).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Reads, and builds what is new, where it may block.
    async fn look(&self, watch: Arc<Mutex<Watch>>, triggered: bool) -> Look {
        let (clock, sources) = (Arc::clone(&self.context.clock), Arc::clone(&self.sources));
        let known = self.integrations.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            look(&mut watch, triggered, &*clock, &known, &sources)
        });
        looked.await.unwrap_or_else(|_panicked| {
            let message = "cannot be read because of a bug in the token broker";
            Look::Refused(Problem::new("configuration", "", message).into())
        })
    }

    fn take(&mut self, look: Look) {
        match look {
            Look::Same | Look::Fresh => {}
            Look::Refused(problems) => self.refused(&problems),
            Look::Loaded(loaded, built) => self.apply(*loaded, built),
        }
    }

    fn refused(&self, problems: &Problems) {
        let list = problems.list();
        for problem in list.iter().take(LINES_MAX) {
            error!(
                config.file = problem.file,
                config.key = problem.key,
                "{problem}"
            );
        }
        let count = list.len();
        error!(
            config.problems = count,
            "the configuration was not reloaded, the one before is kept: {}",
            counted(count, "problem")
        );
        self.context.metrics.config_reloaded(false);
        self.context.configuration.reloaded(Reload {
            at: self.context.clock.now().wall,
            worked: false,
            problems: shown(list),
            warnings: shown(problems.warnings()),
        });
    }

    fn apply(&mut self, loaded: Loaded, built: Vec<Built>) {
        let Loaded {
            spec,
            mut warnings,
            providers_path: _,
        } = loaded;
        // First of all: only this process knows.
        let message = "has changed: this needs a restart";
        let told = need_restart(&self.start, &spec).into_iter();
        let told = told.map(|key| Problem::new("configuration", key, message));
        warnings.splice(0..0, told);
        let (added, changed, removed) = self.exchange_workers(&spec, built);
        self.context.access.store(Arc::new(spec.access));
        if spec.log.level != self.log_level {
            telemetry::set_log_level(&spec.log.level);
            self.log_level = spec.log.level;
        }
        self.sinks
            .apply(&spec.sinks, |id| super::run::reader(&self.context, id));
        let warnings_shown = shown(&warnings);
        tell_warnings(warnings);
        info!(
            added,
            changed,
            removed,
            integrations = self.integrations.len(),
            "configuration reloaded: {added} added, {changed} changed, {removed} removed"
        );
        self.context.metrics.config_reloaded(true);
        self.context.configuration.reloaded(Reload {
            at: self.context.clock.now().wall,
            worked: true,
            problems: Vec::new(),
            warnings: warnings_shown,
        });
    }

    /// How many were added, changed and removed.
    fn exchange_workers(&mut self, spec: &Spec, built: Vec<Built>) -> (usize, usize, usize) {
        let directory = &self.context.directory;
        let mut sources: HashMap<IntegrationId, Arc<dyn TokenSource>> = built
            .into_iter()
            .map(|(integration, source)| (integration.id.clone(), source))
            .collect();
        let (mut added, mut changed) = (0, 0);
        let mut entries = Vec::with_capacity(spec.integrations.len());
        let mut integrations = Vec::with_capacity(spec.integrations.len());
        for integration in &spec.integrations {
            let before = directory.get(integration.id.as_str());
            let entry = match (sources.remove(&integration.id), before) {
                (None, Some(same)) => Entry::clone(&same),
                (None, None) => continue,
                (Some(source), before) => {
                    *if before.is_some() {
                        &mut changed
                    } else {
                        &mut added
                    } += 1;
                    let counters = before.map(|before| Arc::clone(&before.counters));
                    let counters = counters.unwrap_or_default();
                    let spec = Arc::clone(integration);
                    let reader = self.supervisor.add(spec, source, Arc::clone(&counters));
                    Entry {
                        integration: Arc::clone(integration),
                        reader,
                        counters,
                    }
                }
            };
            integrations.push(Arc::clone(&entry.integration));
            entries.push(entry);
        }
        directory.replace(entries);
        let before = std::mem::replace(&mut self.integrations, integrations);
        let gone = before
            .iter()
            .filter(|one| directory.get(one.id.as_str()).is_none());
        let mut removed = 0;
        for integration in gone {
            self.supervisor.remove(&integration.id);
            removed += 1;
        }
        (added, changed, removed)
    }
}

fn look(
    watch: &mut Watch,
    triggered: bool,
    clock: &dyn Clock,
    known: &[Arc<Integration>],
    sources: &Sources,
) -> Look {
    let now = clock.now().wall;
    match watch.look(now) {
        Change::None if !triggered => return Look::Same,
        Change::Fresh if !triggered => return Look::Fresh,
        Change::None | Change::Fresh | Change::Settled => {}
    }
    let loaded = match watch.load(now) {
        Ok(loaded) => loaded,
        Err(problems) => return Look::Refused(problems),
    };
    if loaded.spec.integrations.is_empty() && !known.is_empty() {
        let file = watch.path().display().to_string();
        let message = "has no integration any more, which looks like a file that was emptied or \
                       not mounted: to take away the last one, restart the broker";
        let problem = Problem::new(&file, "integrations", message);
        return Look::Refused(Problems::found(problem, Vec::new(), loaded.warnings));
    }
    let known: HashMap<&IntegrationId, _> = known.iter().map(|one| (&one.id, one)).collect();
    let mut built = Vec::new();
    let mut problems = Vec::new();
    for integration in &loaded.spec.integrations {
        if known.get(&integration.id).copied() == Some(integration) {
            continue;
        }
        match sources.source(integration) {
            Ok(source) => built.push((Arc::clone(integration), source)),
            Err(error) => {
                let file = watch.path().display().to_string();
                let key = format!("integrations.{}", integration.id);
                problems.push(Problem::new(&file, &key, error.to_string()));
            }
        }
    }
    let mut problems = problems.into_iter();
    match problems.next() {
        Some(first) => {
            let more = problems.collect();
            Look::Refused(Problems::found(first, more, loaded.warnings))
        }
        None => Look::Loaded(Box::new(loaded), built),
    }
}

/// The keys that are read once, at the start, and now say something else.
fn need_restart(start: &Spec, now: &Spec) -> Vec<&'static str> {
    let Server {
        listen,
        listen_is_default: _,
        hosts,
        wait,
        min_ttl,
        startup_wait,
        shutdown_delay,
        shutdown_timeout,
        socket_mode,
        worker_threads,
    } = &start.server;
    let server = &now.server;
    let keys = [
        ("server.listen", *listen == server.listen),
        ("server.hosts", *hosts == server.hosts),
        ("server.wait", *wait == server.wait),
        ("server.min_ttl", *min_ttl == server.min_ttl),
        ("server.startup_wait", *startup_wait == server.startup_wait),
        (
            "server.shutdown_delay",
            *shutdown_delay == server.shutdown_delay,
        ),
        (
            "server.shutdown_timeout",
            *shutdown_timeout == server.shutdown_timeout,
        ),
        ("server.socket_mode", *socket_mode == server.socket_mode),
        (
            "server.worker_threads",
            *worker_threads == server.worker_threads,
        ),
        ("admin", start.admin == now.admin),
        ("store", start.store == now.store),
        ("log.format", start.log.format == now.log.format),
    ];
    let changed = keys.into_iter().filter(|(_, same)| !same);
    changed.map(|(key, _)| key).collect()
}

/// Logs the warnings of a configuration, as many as anybody reads.
///
/// By value: the memory of thousands is free before the broker goes on.
pub fn tell_warnings(warnings: Vec<Problem>) {
    let more = warnings.len().saturating_sub(LINES_MAX);
    for warning in warnings.into_iter().take(LINES_MAX) {
        warn!(file = warning.file, "{}: {}", warning.key, warning.message);
    }
    if more > 0 {
        warn!("{more} more warnings: token-broker check shows them all");
    }
}

/// For the status.
fn shown(list: &[Problem]) -> Vec<Value> {
    let mut shown: Vec<Value> = list.iter().take(SHOWN_MAX).map(Problem::to_json).collect();
    let more = list.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let message = format!("{more} more: token-broker check shows them all");
        shown.push(Problem::new("configuration", "", message).to_json());
    }
    shown
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
