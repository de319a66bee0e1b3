//! One file, kept up to date.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::write::replace;
use crate::base::{Backoff, Clock, Zeroizing};
use crate::snapshot::{Held, Reader};
use crate::spec::{FileSink, SinkFormat};
use crate::telemetry::{Loudness, Throttle};

/// A folder that is full or gone for a moment soon takes the file; one that stays so is not asked
/// all the time.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Writes every new token until `stop`, or until there will be no other.
pub(super) async fn keep(
    sink: FileSink,
    reader: Reader,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut written: Option<Arc<Held>> = None;
    let mut throttle = Throttle::default();
    let mut failures = 0_u32;
    let mut last = false;
    loop {
        let mut again = None;
        // A token that is over is of no use to anybody; what lies there says itself when it ends.
        let seen = reader.get();
        let held = seen.valid(clock.now()).map(Arc::clone);
        if let Some(held) = held
            && !written.as_ref().is_some_and(|old| Arc::ptr_eq(old, &held))
        {
            match write(&sink, &held).await {
                Ok(()) => {
                    tell_written(&sink, &mut throttle, written.is_none());
                    failures = 0;
                    written = Some(held);
                }
                Err(reason) => {
                    tell_failed(&sink, &mut throttle, &reason);
                    failures = failures.saturating_add(1);
                    again = Some(wait(failures));
                }
            }
        }
        if last {
            return;
        }
        let timer = async {
            match again {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // First: what is no longer wanted is not written any more.
            biased;
            () = stop.cancelled() => return,
            next = reader.after(&seen) => last = next.is_none(),
            () = timer => {}
        }
    }
}

fn wait(failures: u32) -> Duration {
    Backoff::new(AGAIN.0, AGAIN.1)
        .map_or(AGAIN.1, |backoff| backoff.wait(failures, fastrand::f64()))
}

/// Never on the thread that serves: a disk may take its time.
async fn write(sink: &FileSink, held: &Arc<Held>) -> Result<(), String> {
    let content = match sink.format {
        SinkFormat::Json => held.json_at_rest(),
        SinkFormat::Raw => Zeroizing::new(held.token().expose().to_owned()),
        SinkFormat::Header => {
            let authorization = held.api().authorization();
            let value = authorization.ok_or("the API call has no Authorization header")?;
            Zeroizing::new(value.expose().to_owned())
        }
    };
    let (path, mode) = (sink.path.clone(), sink.mode);
    let written = spawn_blocking(move || replace(&path, mode, content.as_bytes())).await;
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_panicked) => Err("internal error".to_owned()),
    }
}

fn tell_written(sink: &FileSink, throttle: &mut Throttle, first: bool) {
    let (id, path) = (&sink.integration, sink.path.display());
    if let Some(failures) = throttle.succeeded() {
        info!(integration.id = %id, file = %path, failures, "token of '{id}' written to {path}: recovered");
    } else if first {
        info!(integration.id = %id, file = %path, "token of '{id}' written to {path}");
    } else {
        debug!(integration.id = %id, file = %path, "token of '{id}' written to {path}");
    }
}

fn tell_failed(sink: &FileSink, throttle: &mut Throttle, reason: &str) {
    let (id, path) = (&sink.integration, sink.path.display());
    let more = match throttle.failed() {
        Loudness::Warn => "",
        Loudness::LastWarn => " (further failures in this row are logged at debug level)",
        Loudness::Debug => {
            debug!(integration.id = %id, file = %path, "token of '{id}' could not be written to {path}: {reason}");
            return;
        }
    };
    warn!(
        integration.id = %id, file = %path,
        "token of '{id}' could not be written to {path}, it is tried again: {reason}{more}"
    );
}
