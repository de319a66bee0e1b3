//! What several commands begin with: the configuration, a runtime, the wish to stop.

use std::path::Path;
use std::time::Duration;

use super::output::Exit;
use crate::base::parse_duration;
use crate::config::{self, Env, Loaded, Options, Problems};

/// The configuration, or every problem with it as one text.
pub(super) fn load(flag: Option<&Path>, env: &Env, options: Options) -> Result<Loaded, Exit> {
    let path = config::config_path(flag, env);
    config::load(&path, env, options).map_err(|problems| Exit::Usage(say(&problems)))
}

pub(super) fn say(problems: &Problems) -> String {
    let warnings = problems.warnings().iter();
    let mut lines: Vec<String> = warnings.map(|one| format!("warning: {one}")).collect();
    lines.extend(problems.list().iter().map(|one| format!("error: {one}")));
    lines.push(match problems.list().len() {
        1 => "the configuration has 1 problem".to_owned(),
        count => format!("the configuration has {count} problems"),
    });
    lines.join("\n")
}

/// Runs a command's asynchronous part.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(future))
}

/// Returns at Ctrl-C or SIGTERM.
pub(super) async fn told_to_stop() -> Result<(), Exit> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |error| Exit::Failed(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// For arguments: `1h30m`, `500ms`, or whole seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "use 1h30m, 500ms or whole seconds".to_owned())
}
