//! One source of one secret: a value as it is, or what lives outside the configuration, shared by all
//! who name it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::Reason;
use super::changes::Changes;
use super::command::{self, Surroundings};
use super::file::{self, Look, Stamp};
use crate::base::{Clock, Mono, Secret};

/// A command is not run more often than this, whatever it gave.
const COMMAND_SPACING: Duration = Duration::from_secs(30);
/// Warnings in a row about one source before they go to debug level.
const WARNINGS: u32 = 3;

/// There is no value, and there has been none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Cheap to clone; a value costs nothing beyond itself, as there may be thousands.
#[derive(Clone)]
pub enum Handle {
    Value(Secret),
    Outside(Arc<Outside>),
}

/// A file or a command.
pub struct Outside {
    kind: Kind,
    state: Mutex<State>,
    /// One look at a time: those who come meanwhile wait for its result.
    looking: tokio::sync::Mutex<()>,
}

enum Kind {
    File(PathBuf, Arc<dyn Clock>),
    Command(Vec<String>, Arc<Surroundings>, Arc<dyn Clock>),
}

#[derive(Default)]
struct State {
    value: Option<Secret>,
    stamp: Option<Stamp>,
    /// A vendor refused the value: a command may give a better one.
    stale: bool,
    ran_at: Option<Mono>,
    problem: Option<Reason>,
    failures: u32,
    listeners: Vec<Weak<Changes>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Handle(a value)"),
            Self::Outside(outside) => outside.fmt(f),
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outside({})", self.name())
    }
}

impl Handle {
    /// The value, if it is written in the configuration: nothing has to be read.
    pub fn value(&self) -> Option<&Secret> {
        match self {
            Self::Value(secret) => Some(secret),
            Self::Outside(_) => None,
        }
    }

    /// The latest value. A file is looked at first, so that a swapped secret is used at once.
    pub async fn read(&self) -> Result<Secret, Unavailable> {
        self.read_by(None).await
    }

    /// The same for one listener, which is not told of a value that it gets here.
    pub async fn read_for(&self, reader: &Arc<Changes>) -> Result<Secret, Unavailable> {
        self.read_by(Some(reader)).await
    }

    async fn read_by(&self, reader: Option<&Arc<Changes>>) -> Result<Secret, Unavailable> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            // Boxed: thousands of exchanges wait at a start, most of them for secrets that are values.
            Self::Outside(outside) => Box::pin(outside.read_by(reader)).await,
        }
    }

    /// A vendor refused this value: a command is run again at the next read, at most every 30 s.
    pub fn refused(&self) {
        if let Self::Outside(outside) = self {
            outside.refused();
        }
    }

    /// Tells `listener` whenever there is a new value, as long as somebody else keeps it.
    pub fn notify(&self, listener: &Arc<Changes>) {
        if let Self::Outside(outside) = self {
            let mut state = outside.state();
            state.listeners.retain(|known| known.strong_count() > 0);
            state.listeners.push(Arc::downgrade(listener));
        }
    }
}

impl Outside {
    fn of(kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            state: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn file(path: PathBuf, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::of(Kind::File(path, clock))
    }

    pub(super) fn command(
        argv: Vec<String>,
        around: Arc<Surroundings>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Self::of(Kind::Command(argv, around, clock))
    }

    /// What the configuration names; arguments are left out, as they may hold secrets.
    fn name(&self) -> String {
        match &self.kind {
            Kind::File(path, _) => format!("file {}", path.display()),
            Kind::Command(argv, _, _) => {
                format!("command {}", argv.first().map_or("", String::as_str))
            }
        }
    }

    async fn read_by(&self, reader: Option<&Arc<Changes>>) -> Result<Secret, Unavailable> {
        self.look_for(reader).await;
        let state = self.state();
        state.value.clone().ok_or_else(|| {
            let problem = state.problem.as_deref().unwrap_or("has not been read yet");
            Unavailable(format!("{} {problem}", self.name()))
        })
    }

    pub(super) fn refused(&self) {
        self.state().stale = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a new value, if it is time to; keeps the old one when there is trouble.
    pub(super) async fn look(&self) {
        self.look_for(None).await;
    }

    async fn look_for(&self, reader: Option<&Arc<Changes>>) {
        let _one_at_a_time = self.looking.lock().await;
        match &self.kind {
            Kind::File(path, clock) => {
                let (path, seen, now) = (path.clone(), self.state().stamp, clock.now().wall);
                let looked = tokio::task::spawn_blocking(move || file::look(&path, seen, now));
                match looked.await {
                    Ok(Ok(Look::Unchanged)) => {
                        self.recovered();
                    }
                    Ok(Ok(Look::Read(secret, stamp))) => self.found(secret, stamp, reader),
                    Ok(Err(reason)) => self.failed(reason),
                    Err(error) => self.failed(format!("cannot be read: {error}")),
                }
            }
            Kind::Command(argv, around, clock) => {
                let now = clock.now().mono;
                if !self.may_run(now) {
                    return;
                }
                match command::run(argv, around).await {
                    Ok(secret) => self.found(secret, None, reader),
                    Err(reason) => self.failed(reason),
                }
            }
        }
    }

    fn may_run(&self, now: Mono) -> bool {
        let mut state = self.state();
        let wanted = state.stale || state.value.is_none();
        let spaced = state
            .ran_at
            .is_none_or(|ran_at| now.since(ran_at) >= COMMAND_SPACING);
        if wanted && spaced {
            state.ran_at = Some(now);
        }
        wanted && spaced
    }

    fn found(&self, secret: Secret, stamp: Option<Stamp>, reader: Option<&Arc<Changes>>) {
        let was_missed = self.recovered();
        let mut state = self.state();
        state.stamp = stamp;
        state.stale = false;
        if state.value.as_ref() == Some(&secret) {
            return;
        }
        let is_first = state.value.replace(secret).is_none();
        if !is_first {
            tracing::info!(secret.source = %self.name(), "a secret has a new value");
        } else if reader.is_some() && !was_missed {
            // Who reads it next has this one too. (Where nobody reads, as after a refusal that a restart
            // remembers, it may be another one than was refused.)
            return;
        }
        for listener in state.listeners.iter().filter_map(Weak::upgrade) {
            if reader.is_some_and(|reader| Arc::ptr_eq(reader, &listener)) {
                continue;
            }
            listener.tell();
        }
    }

    /// Whether it could not be read before.
    fn recovered(&self) -> bool {
        let mut state = self.state();
        state.problem = None;
        let was_missed = std::mem::take(&mut state.failures) > 0;
        if was_missed {
            tracing::info!(secret.source = %self.name(), "a secret can be read again");
        }
        was_missed
    }

    fn failed(&self, reason: Reason) {
        let mut state = self.state();
        let name = self.name();
        let kept = match state.value {
            Some(_) => "the value before is kept",
            None => "there is no value yet",
        };
        // So that the content is read again even if the file comes back as it was.
        state.stamp = None;
        state.failures = state.failures.saturating_add(1);
        if state.failures <= WARNINGS {
            tracing::warn!(secret.source = %name, "{name} {reason}: {kept}");
        } else {
            tracing::debug!(secret.source = %name, "{name} {reason}: {kept}");
        }
        state.problem = Some(reason);
    }
}
