//! Logs and metrics.

mod logging;
mod metrics;
mod throttle;

pub use logging::{init_logging, set_log_level};
pub use metrics::{
    IntegrationCounters, IntegrationSample, Metrics, RefreshLabel, Route, TokenLabel,
};
pub use throttle::{Loudness, Throttle};
