//! From what the broker began to its end: the browser comes back, somebody pastes, a device is done.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use super::lines::Lines;
use super::{Args, words};
use crate::base::{HumanDuration, Redactor, Secret};
use crate::cli::broker::Broker;
use crate::cli::explain;
use crate::cli::output::{Exit, Output};
use crate::config::Env;

/// What the broker itself may wait for a vendor: two exchanges, and saving what they bring.
pub(super) const VENDOR: Duration = Duration::from_secs(60);
/// How often the broker is asked how far the login is.
const LOOK: Duration = Duration::from_secs(1);
/// After the time is up the broker may still be at it.
const GRACE: Duration = Duration::from_secs(30);

/// What the person has to do, as the broker said; fit to be shown.
#[derive(Debug)]
pub(super) enum Way {
    Browser {
        page: Url,
        redirect_uri: Option<Url>,
        lasts: Duration,
    },
    Device {
        code: String,
        page: Url,
        complete: Option<Url>,
        lasts: Duration,
    },
}

impl Way {
    /// `None`: not what a broker answers.
    pub(super) fn read(begun: &Value) -> Option<Self> {
        let url = |name: &str| {
            let url = Url::parse(begun.get(name)?.as_str()?).ok()?;
            // It is opened, and clicked on.
            matches!(url.scheme(), "https" | "http").then_some(url)
        };
        let seconds = begun.get("expires_in")?.as_u64()?;
        let lasts = Duration::from_secs(seconds);
        if begun.get("authorization_url").is_some() {
            return Some(Self::Browser {
                page: url("authorization_url")?,
                redirect_uri: url("redirect_uri"),
                lasts,
            });
        }
        Some(Self::Device {
            code: Redactor::default().clean(begun.get("user_code")?.as_str()?),
            page: url("verification_uri")?,
            complete: url("verification_uri_complete"),
            lasts,
        })
    }

    fn lasts(&self) -> Duration {
        match self {
            Self::Browser { lasts, .. } | Self::Device { lasts, .. } => *lasts,
        }
    }
}

/// Opens the page where there is a display; whether a program was started for it.
pub(super) fn opens(page: &Url, env: &Env) -> bool {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if env.get("DISPLAY").is_some() || env.get("WAYLAND_DISPLAY").is_some() {
        "xdg-open"
    } else {
        return false;
    };
    let mut command = Command::new(program);
    command.arg(page.as_str());
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // The browser outlives this command, or is no concern of it.
    command.spawn().is_ok()
}

/// Asks the broker until the login is done, and gives it what is pasted meanwhile.
pub(super) async fn to_the_end(
    args: &Args,
    broker: &Broker,
    way: &Way,
    output: &mut Output,
    mut lines: Lines,
) -> Result<(), Exit> {
    let name = &args.integration;
    let ends = Instant::now() + way.lasts();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A device flow takes nothing back.
    let mut listens = matches!(way, Way::Browser { .. });
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            pasted = lines.pasted(), if listens => match pasted {
                Some(pasted) => complete(args, broker, &pasted, output).await?,
                None if args.paste => {
                    return Err(Exit::Failed(format!(
                        "error: {name}: standard input ended before an address was pasted"
                    )));
                }
                None => listens = false,
            },
        }
        let status = broker.json(&format!("/integrations/{name}")).await?;
        if let Some(ended) = ended(name.as_str(), &status) {
            output.progress("");
            ended?;
            return output.line(&words::done(name, &status));
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() && ends.elapsed() > GRACE {
            output.progress("");
            return Err(Exit::Failed(format!(
                "error: {name}: nobody consented in time; begin again"
            )));
        }
        if matches!(way, Way::Device { .. }) {
            let left = HumanDuration(Duration::from_secs(left.as_secs()));
            output.progress(&format!("waiting for your consent: {left} left"));
        }
    }
}

/// Hands over what was pasted. What cannot be used is explained, and another try is possible.
async fn complete(
    args: &Args,
    broker: &Broker,
    pasted: &Secret,
    output: &mut Output,
) -> Result<(), Exit> {
    if pasted.expose().trim().is_empty() {
        return Ok(());
    }
    let path = format!("/login/{}/complete", args.integration);
    let answer = broker.post(&path, pasted, VENDOR).await?;
    let Some(answer) = answer else {
        return Err(broker.not_running());
    };
    // How a login ended, well or not, its state tells.
    if answer.status.is_client_error() {
        output.note(&explain::answer(&answer));
        output.note("paste the address again, or press Ctrl-C");
    }
    Ok(())
}

/// How the login ended; `None`: not yet.
fn ended(name: &str, status: &Value) -> Option<Result<(), Exit>> {
    let login = status.get("login").filter(|login| !login.is_null());
    let Some(login) = login else {
        return Some(Err(Exit::Failed(format!(
            "error: {name}: the broker has forgotten the login: it was restarted, or its configuration changed; \
             begin again"
        ))));
    };
    match login.get("state").and_then(Value::as_str) {
        Some("waiting") => None,
        Some("done") => Some(Ok(())),
        _ => {
            let error = login.get("error").cloned().unwrap_or_default();
            Some(Err(Exit::Failed(explain::problem(&error))))
        }
    }
}
