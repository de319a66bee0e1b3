//! Files with tokens, written at every change.
//!
//! Owns one task for each file. Reads snapshots and must not know how tokens are obtained; a file
//! is no caller and brings no exchange forward. Invariants: a reader of the file sees one whole
//! token or the next; no file is ever more readable than its mode says; two tasks never write one
//! file.

mod keep;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::{Clock, IntegrationId};
use crate::snapshot::Reader;
use crate::spec::FileSink;

/// All files of a process.
#[derive(Debug)]
pub struct Sinks {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    kept: Vec<Kept>,
}

/// One file that is kept up to date.
#[derive(Debug)]
struct Kept {
    sink: FileSink,
    reader: Reader,
    stop: CancellationToken,
    /// Cancelled by the task when it has ended.
    ended: CancellationToken,
}

impl Sinks {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tasks: TaskTracker::new(),
            kept: Vec::new(),
        }
    }

    /// From now on these files, and no others. A file that is no longer wanted is left as it is.
    pub fn apply(
        &mut self,
        wanted: &[FileSink],
        reader: impl Fn(&IntegrationId) -> Option<Reader>,
    ) {
        let mut before = std::mem::take(&mut self.kept);
        for sink in wanted {
            let Some(reader) = reader(&sink.integration) else {
                continue;
            };
            let at = before.iter().position(|one| one.sink.path == sink.path);
            let old = at.map(|at| before.swap_remove(at));
            match old {
                Some(old) if old.sink == *sink && old.reader.is_of_one_board(&reader) => {
                    self.kept.push(old);
                }
                old => {
                    let after = old.map(|old| {
                        old.stop.cancel();
                        old.ended
                    });
                    self.begin(sink.clone(), reader, after);
                }
            }
        }
        for gone in before {
            gone.stop.cancel();
        }
    }

    fn begin(&mut self, sink: FileSink, reader: Reader, after: Option<CancellationToken>) {
        let kept = Kept {
            sink: sink.clone(),
            reader: reader.clone(),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        let clock = Arc::clone(&self.clock);
        let (stop, ended) = (kept.stop.clone(), kept.ended.clone());
        self.tasks.spawn(async move {
            let _ended = ended.drop_guard();
            if let Some(after) = after {
                after.cancelled().await;
            }
            keep::keep(sink, reader, clock, stop).await;
        });
        self.kept.push(kept);
    }

    /// Returns when the last token of every integration is written: once their workers have ended.
    pub async fn ended(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
