//! A door for the fuzz targets: provider files, and values that land in URLs.

use super::problem::{Problems, Report};
use super::provider::{Provider, read_provider};
use super::{Format, fill};
use crate::spec::Misfit;

/// Reads a text as the provider file `acme`.
pub fn provider_file(text: &str, format: Format) -> Result<Provider, Problems> {
    let mut report = Report::default();
    let provider = read_provider("acme", text, format, "acme", &mut report);
    report.finish(provider).map(|(provider, _)| provider)
}

/// A parameter's value as it is written behind `before`, the beginning of a URL.
pub fn land(before: &str, value: &str) -> Result<String, Misfit> {
    fill::land(before, value, false)
}
