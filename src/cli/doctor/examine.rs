//! One integration's exchange, and a second one if the credentials may only be in the wrong place.

use std::sync::Arc;

use crate::base::{Clock, Now};
use crate::exchange::{Outcome, Sources, Trace, Variation, variation};
use crate::spec::Integration;

pub(super) struct Examination {
    pub(super) integration: Arc<Integration>,
    pub(super) trace: Trace,
    /// `Err`: nothing could be tried, and why.
    pub(super) result: Result<Outcome, String>,
    pub(super) varied: Option<Varied>,
    pub(super) now: Now,
}

/// The second exchange.
pub(super) struct Varied {
    pub(super) variation: Variation,
    pub(super) trace: Trace,
    pub(super) outcome: Outcome,
}

impl Varied {
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.outcome, Outcome::Issued(_))
    }
}

pub(super) async fn examine(
    integration: Arc<Integration>,
    sources: &Sources,
    clock: &dyn Clock,
) -> Examination {
    let mut trace = Trace::default();
    let result = ask(&integration, sources, &mut trace).await;
    let varied = match &result {
        Ok(_) => vary(&integration, sources, &trace).await,
        Err(_) => None,
    };
    Examination {
        integration,
        trace,
        result,
        varied,
        now: clock.now(),
    }
}

async fn ask(
    integration: &Arc<Integration>,
    sources: &Sources,
    trace: &mut Trace,
) -> Result<Outcome, String> {
    let source = sources.source(integration);
    let source = source.map_err(|error| error.to_string())?;
    Ok(source.examine(trace).await)
}

async fn vary(integration: &Integration, sources: &Sources, trace: &Trace) -> Option<Varied> {
    let (variation, changed) = variation(integration, trace)?;
    let mut trace = Trace::default();
    let outcome = ask(&Arc::new(changed), sources, &mut trace).await.ok()?;
    Some(Varied {
        variation,
        trace,
        outcome,
    })
}
