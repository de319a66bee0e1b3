//! One integration's exchange, and a second one if the credentials may only be in the wrong place.

use std::sync::Arc;

use serde_json::Value;

use super::super::broker::Broker;
use super::super::output::Exit;
use crate::base::{Clock, Now};
use crate::exchange::{Outcome, Sources, Trace, Variation, variation};
use crate::spec::Integration;

pub(super) struct Examination {
    pub(super) integration: Arc<Integration>,
    pub(super) trace: Trace,
    /// `Err`: nothing could be tried, and why.
    pub(super) result: Result<Outcome, String>,
    pub(super) varied: Option<Varied>,
    /// What the running broker says of a grant that only it may ask with, or why it says nothing.
    pub(super) status: Option<Result<Value, String>>,
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
        status: None,
        now: clock.now(),
    }
}

/// For a grant that only the running broker may ask with: its word for it.
pub(super) async fn consult(
    integration: Arc<Integration>,
    broker: &Result<Broker, Exit>,
    clock: &dyn Clock,
) -> Examination {
    let status = match broker {
        Ok(broker) => broker
            .json(&format!("/integrations/{}", integration.id))
            .await
            .map_err(|exit| exit.gist().to_owned()),
        Err(exit) => Err(exit.gist().to_owned()),
    };
    Examination {
        integration,
        trace: Trace::default(),
        result: Err("only the running broker may ask with its refresh token".to_owned()),
        varied: None,
        status: Some(status),
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
