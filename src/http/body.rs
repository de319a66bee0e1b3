//! Reading what a caller sends: bounded in size and time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use tokio::time::timeout;

use super::error::Problem;

/// The longest body a caller may send.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// A body of this size must come within this time.
const BODY_TIME: Duration = Duration::from_secs(10);
/// So much of a body that is too large is read and thrown away: a connection closed with unread
/// data would take the answer away from the caller.
const DRAIN_MAX: usize = 1024 * 1024;

pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = announced.is_some_and(|length| length > BODY_MAX as u64);
    if too_large && headers.contains_key(EXPECT) {
        // The caller waits for a word before it sends anything.
        return Err(Problem::body_too_large(BODY_MAX));
    }
    let collected = timeout(BODY_TIME, collect(body));
    let late = |_elapsed| Problem::invalid("The body did not arrive within ten seconds.");
    collected.await.map_err(late)?
}

async fn collect<B>(body: B) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut kept = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::invalid("The body is not readable to its end."));
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen <= BODY_MAX {
            kept.extend_from_slice(&data);
        } else if seen > DRAIN_MAX {
            break;
        }
    }
    if seen > BODY_MAX {
        return Err(Problem::body_too_large(BODY_MAX));
    }
    Ok(kept.freeze())
}
