//! A door for the fuzz targets: what a token answer makes of the configured API call.

use super::api;
use crate::base::Issued;
use crate::snapshot::ApiCall;
use crate::spec::Integration;

/// The call, and the warnings about what was left out of it.
pub fn api_call(integration: &Integration, issued: &Issued) -> (ApiCall, Vec<String>) {
    api::render(&integration.api, &integration.grant, issued)
}
