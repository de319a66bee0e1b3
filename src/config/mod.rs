//! Configuration: files and variables in, a valid [`crate::spec::Spec`] out, or every problem at
//! once.
//!
//! Data flows one way: source → tree → overrides → shape → merge → lower. Must know nothing of
//! how the values are used; no raw value leaves this module, and no problem holds one.

mod fill;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod lower;
mod merge;
mod overrides;
mod parse;
mod problem;
mod provider;
mod schema;
mod shape;
mod source;
mod starter;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

pub use parse::Format;
pub use problem::{Problem, Problems};
pub use provider::{Param, Provider, catalogue, provider, providers};
pub use source::{Env, config_path};
pub use starter::starter_config;
pub use watch::{Change, Watch};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spec::Spec;
use problem::Report;
use source::Document;
use tree::Origin;

/// What to leave out while loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Variables that hold secrets need not be set: for `check` where the secrets are not.
    pub without_secrets: bool,
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub spec: Spec,
    /// Worth telling, none of them a reason to stop.
    pub warnings: Vec<Problem>,
    /// `[providers] path`: the folder with the operator's own provider files.
    pub providers_path: Option<PathBuf>,
}

/// Loads a file or a directory, and the overrides of `env`.
pub fn load(path: &Path, env: &Env, options: Options) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let documents = source::read_all(path, &mut report);
    let files = documents.iter().map(|one| PathBuf::from(&*one.name));
    report.configuration = files.collect();
    build(documents, env, options, report)
}

/// Loads one text as if it were a file called `name`.
pub fn load_text(
    name: &str,
    text: &str,
    format: Format,
    env: &Env,
    options: Options,
) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let name: Arc<str> = name.into();
    let origin = Origin::File(Arc::clone(&name));
    let table = parse::parse(text, format, &origin, &name, &mut report);
    let documents = table.map(|table| Document { name, table });
    build(documents.into_iter().collect(), env, options, report)
}

fn build(
    documents: Vec<Document>,
    env: &Env,
    options: Options,
    mut report: Report,
) -> Result<Loaded, Problems> {
    // Files that do not parse would make everything they define look missing.
    if !report.clean() {
        return Err(report.refuse());
    }
    let root = merge::documents(documents, &mut report);
    let resolved = merge::resolve(root, env, &mut report);
    let spec = lower::spec(&resolved, env, options, &mut report);
    let providers_path = report.providers_path.clone();
    let (spec, warnings) = report.finish(Some(spec))?;
    Ok(Loaded {
        spec,
        warnings,
        providers_path,
    })
}
