//! Logs and metrics.

mod metrics;
mod throttle;

pub use metrics::{
    IntegrationCounters, IntegrationSample, Metrics, RefreshLabel, Route, TokenLabel,
};
pub use throttle::{Loudness, Throttle};
