//! How many connections there may be, and which one goes when there are too many.
//!
//! Invariant: a connection that is busy is never closed to make room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::serve::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Between requests.
    Idle,
    /// The head of a request has begun.
    Head,
    /// A request is being answered.
    Busy,
    /// The answer to something unreadable is on its way; the rest is thrown away.
    Closing,
}

/// After an unreadable request, how long its rest is read so that the answer is not lost.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// No time yet.
const UNSEEN: u64 = u64::MAX;

/// One connection as its own task and the others see it.
#[derive(Debug)]
pub(super) struct Line {
    phase: AtomicU8,
    /// When the phase began, in milliseconds since `origin`; [`UNSEEN`] until somebody looks.
    since: AtomicU64,
    /// Since when the caller has taken nothing of what is written, likewise, plus one; 0: it takes it.
    stuck: AtomicU64,
    origin: Instant,
    told_to_leave: AtomicBool,
    /// The connection's task.
    pub(super) waker: AtomicWaker,
}

impl Line {
    fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            origin: Instant::now(),
            told_to_leave: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The connection's task looks at the deadline before it sleeps, so a request that is there as
    /// a whole goes through all phases and reads the clock once.
    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(UNSEEN, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn passed(&self) -> u64 {
        let passed = self.origin.elapsed().as_millis();
        u64::try_from(passed).map_or(UNSEEN - 1, |passed| passed.min(UNSEEN - 1))
    }

    /// When the phase began: now, if nobody has asked yet.
    fn began(&self) -> Instant {
        let mut since = self.since.load(Ordering::Relaxed);
        if since == UNSEEN {
            since = self.passed();
            self.since.store(since, Ordering::Relaxed);
        }
        self.origin + Duration::from_millis(since)
    }

    /// Whether the socket takes what is written to it.
    pub(super) fn writes(&self, freely: bool) {
        let since = self.stuck.load(Ordering::Relaxed);
        if freely && since != 0 {
            self.stuck.store(0, Ordering::Relaxed);
        } else if !freely && since == 0 {
            let now = self.passed().saturating_add(1);
            self.stuck.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// When the connection has been in its phase for too long; `None`: answering has its own ends.
    pub(super) fn deadline(&self, limits: Limits) -> Option<Instant> {
        let stuck = self.stuck.load(Ordering::Relaxed);
        if let Some(since) = stuck.checked_sub(1) {
            // Whatever it asked meanwhile: a caller that takes no answer is as good as idle.
            return Some(self.origin + Duration::from_millis(since) + limits.idle);
        }
        let phase = self.phase.load(Ordering::Relaxed);
        let patience = if phase == Phase::Busy as u8 {
            return None;
        } else if phase == Phase::Head as u8 {
            limits.head
        } else if phase == Phase::Closing as u8 {
            CLOSING_TIME
        } else {
            limits.idle
        };
        Some(self.began() + patience)
    }

    pub(super) fn must_leave(&self) -> bool {
        self.told_to_leave.load(Ordering::Acquire)
    }

    fn tell_to_leave(&self) -> bool {
        let first = !self.told_to_leave.swap(true, Ordering::AcqRel);
        self.waker.wake();
        first
    }
}

/// All connections of a set of listeners.
#[derive(Debug)]
pub(super) struct Seats {
    permits: Arc<Semaphore>,
    lines: Mutex<HashMap<u64, Arc<Line>>>,
    next: AtomicU64,
    /// New connections without a seat.
    waiting: AtomicUsize,
    /// Connections told to make room that are still there.
    leaving: AtomicUsize,
}

impl Seats {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections)),
            lines: Mutex::default(),
            next: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
        }
    }

    /// A seat for a new connection, which waits if there is none; the one idle longest goes first.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Seat> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_full) => {
                let _waiting = Waiting::new(self);
                self.ask_an_idle_one();
                Arc::clone(&self.permits).acquire_owned().await.ok()?
            }
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let line = Arc::new(Line::new());
        self.lines().insert(id, Arc::clone(&line));
        Some(Seat {
            line,
            id,
            seats: Arc::clone(self),
            makes_room: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// Lets an idle connection go, and waits for a while.
    pub(super) async fn make_room(&self, pause: Duration) {
        let _waiting = Waiting::new(self);
        self.ask_an_idle_one();
        sleep(pause).await;
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Line>>> {
        // The map is whole at every moment, so a panic elsewhere leaves it usable.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_an_idle_one(&self) {
        let lines = self.lines();
        let idle = lines
            .values()
            .filter(|line| line.is(Phase::Idle) && !line.must_leave());
        let longest = idle.min_by_key(|line| line.began());
        if let Some(line) = longest {
            line.waker.wake();
        }
    }

    /// Everyone finishes what it is doing and goes.
    pub(super) fn dismiss(&self) {
        for line in self.lines().values() {
            line.tell_to_leave();
        }
    }
}

/// Counts a new connection as waiting for as long as it does.
struct Waiting<'a>(&'a Seats);

impl<'a> Waiting<'a> {
    fn new(seats: &'a Seats) -> Self {
        seats.waiting.fetch_add(1, Ordering::AcqRel);
        Self(seats)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One connection's right to be there.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) line: Arc<Line>,
    id: u64,
    seats: Arc<Seats>,
    makes_room: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// Whether this connection, being idle, should go because another waits.
    pub(super) fn gives_way(&self) -> bool {
        let waiting = self.seats.waiting.load(Ordering::Acquire);
        if waiting == 0 || !self.line.is(Phase::Idle) || self.makes_room.load(Ordering::Relaxed) {
            return false;
        }
        let claim = |leaving: usize| (leaving < waiting).then_some(leaving + 1);
        let leaving = &self.seats.leaving;
        let claimed = leaving.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim);
        self.makes_room.store(claimed.is_ok(), Ordering::Relaxed);
        claimed.is_ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lines().remove(&self.id);
        if self.makes_room.load(Ordering::Relaxed) {
            self.seats.leaving.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
