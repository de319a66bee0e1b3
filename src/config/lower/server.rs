//! The process-wide sections.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::View;
use super::secret::{Secrets, one_secret};
use crate::config::problem::Report;
use crate::spec::{
    Access, Admin, HostPattern, Listen, Log, LogFormat, SecretPolicy, Server, Store,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// What the kernel leaves of `sun_path`, its closing zero taken off; macOS has the smaller one.
const MAX_SOCKET_PATH: usize = 103;
const MAX_WORKERS: i64 = 256;

pub(super) fn server(view: &View<'_>, report: &mut Report) -> Server {
    let default = Server::default();
    let listen = listen(view, report, |address| {
        let ip = match address.ip() {
            IpAddr::V6(ip) => ip.to_canonical(),
            ip @ IpAddr::V4(_) => ip,
        };
        ip.is_loopback()
    });
    let any = Duration::ZERO;
    let least = Duration::from_millis(1);
    let mut bounded = |key, default, bounds| view.bounded(key, default, bounds, report);
    let wait = bounded("wait", default.wait, (any, HOUR));
    let min_ttl = bounded("min_ttl", default.min_ttl, (any, DAY));
    let startup_wait = bounded("startup_wait", default.startup_wait, (any, HOUR));
    let shutdown_delay = bounded("shutdown_delay", default.shutdown_delay, (any, HOUR));
    let shutdown_timeout = bounded("shutdown_timeout", default.shutdown_timeout, (least, HOUR));
    Server {
        listen_is_default: listen.is_none(),
        listen: listen.unwrap_or(default.listen),
        hosts: hosts(view, report),
        wait,
        min_ttl,
        startup_wait,
        shutdown_delay,
        shutdown_timeout,
        socket_mode: permission_bits(view, "socket_mode", report).unwrap_or(default.socket_mode),
        worker_threads: worker_threads(view, report).unwrap_or(default.worker_threads),
    }
}

pub(super) fn admin(view: &View<'_>, report: &mut Report) -> Option<Admin> {
    listen(view, report, |_| true).map(|listen| Admin { listen })
}

fn listen(
    view: &View<'_>,
    report: &mut Report,
    allowed: impl Fn(SocketAddr) -> bool,
) -> Option<Vec<Listen>> {
    let texts = view.texts("listen")?;
    if texts.is_empty() {
        view.problem("listen", "must have at least one address", report);
        return None;
    }
    let mut all = Vec::new();
    for text in texts {
        let one = match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() <= MAX_SOCKET_PATH => {
                Listen::Unix(PathBuf::from(path))
            }
            Some(_) => {
                let message = "must name a socket by an absolute path of at most 103 bytes: unix:/run/broker.sock";
                view.problem("listen", message, report);
                continue;
            }
            None => match text.parse::<SocketAddr>() {
                Ok(address) if allowed(address) => Listen::Tcp(address),
                Ok(_) => {
                    let message = "must be a loopback address or a Unix socket: listening wider needs [callers], which is not built yet";
                    view.problem("listen", message, report);
                    continue;
                }
                Err(_not_an_address) => {
                    let message = "must be an address and port such as \"127.0.0.1:8656\" or \"[::1]:8656\", or \"unix:/path\"";
                    view.problem("listen", message, report);
                    continue;
                }
            },
        };
        let port_zero = matches!(&one, Listen::Tcp(address) if address.port() == 0);
        if all.contains(&one) && !port_zero {
            view.problem("listen", "names one address twice", report);
        }
        all.push(one);
    }
    (!all.is_empty()).then_some(all)
}

fn hosts(view: &View<'_>, report: &mut Report) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in view.texts("hosts").unwrap_or_default() {
        let host = text.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let named = !host.starts_with('*') && HostPattern::parse(&host).is_some();
        if named || bare.parse::<IpAddr>().is_ok() {
            hosts.push(bare.to_owned());
        } else {
            let message = "must be host names without scheme, port and path";
            view.problem("hosts", message, report);
        }
    }
    hosts
}

/// In octal, in quotes: a number in TOML is decimal.
pub(super) fn permission_bits(view: &View<'_>, key: &str, report: &mut Report) -> Option<u32> {
    let text = view.text(key)?;
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o777);
    if mode.is_none() {
        let message = "must be permission bits in octal, in quotes, such as \"0660\"";
        view.problem(key, message, report);
    }
    mode
}

fn worker_threads(view: &View<'_>, report: &mut Report) -> Option<usize> {
    let count = view.integer("worker_threads")?;
    if !(1..=MAX_WORKERS).contains(&count) {
        view.problem("worker_threads", "must be within 1 and 256", report);
        return None;
    }
    usize::try_from(count).ok()
}

pub(super) fn log(view: &View<'_>, report: &mut Report) -> Log {
    let mut log = Log::default();
    if let Some(level) = view.text("level") {
        if level_is_valid(level) {
            level.clone_into(&mut log.level);
        } else {
            let message = "must be off, error, warn, info, debug or trace, or a list such as \"info,token_broker::refresh=debug\"";
            view.problem("level", message, report);
        }
    }
    if view.text("format") == Some("json") {
        log.format = LogFormat::Json;
    }
    log
}

fn level_is_valid(text: &str) -> bool {
    let level = |word: &str| {
        let word = word.to_ascii_lowercase();
        matches!(
            word.as_str(),
            "off" | "error" | "warn" | "info" | "debug" | "trace"
        )
    };
    let target = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
    };
    text.split(',')
        .all(|part| match part.trim().split_once('=') {
            Some((name, wanted)) => target(name) && level(wanted),
            None => level(part.trim()),
        })
}

pub(super) fn access(view: &View<'_>, report: &mut Report) -> Access {
    let require_header = view.text("require_header").and_then(|text| {
        let name = header_name(text);
        match &name {
            None => view.problem("require_header", "must be the name of a header", report),
            Some(name) if is_everywhere(name) => {
                let message = "must be a header that ordinary requests do not have";
                view.problem("require_header", message, report);
            }
            Some(_) => {}
        }
        name
    });
    Access { require_header }
}

/// Headers that a request made by somebody else's mistake or malice has, too.
fn is_everywhere(name: &str) -> bool {
    matches!(
        name,
        "host" | "connection" | "user-agent" | "referer" | "cookie" | "cache-control"
    ) || name.starts_with("accept")
        || name.starts_with("content-")
        || name.starts_with("sec-")
}

/// A header's name in lower case, if it is one (RFC 9110 section 5.1).
pub(super) fn header_name(text: &str) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let valid = !text.is_empty() && text.len() <= 128 && text.bytes().all(token);
    valid.then(|| text.to_ascii_lowercase())
}

pub(super) fn secret_policy(view: &View<'_>, report: &mut Report) -> SecretPolicy {
    let files: Vec<String> = view
        .texts("files")
        .unwrap_or_default()
        .into_iter()
        .map(str::to_owned)
        .collect();
    if files.iter().any(String::is_empty) || (files.is_empty() && view.node("files").is_some()) {
        view.problem("files", "must name at least one file or pattern", report);
    }
    SecretPolicy {
        files,
        commands: view.boolean("commands").unwrap_or(false),
    }
}

pub(super) fn store(view: &View<'_>, secrets: &Secrets<'_>, report: &mut Report) -> Store {
    let key = view.node("encryption_key");
    let key = key.and_then(|node| one_secret(node, &view.path("encryption_key"), secrets, report));
    let belongs = |names: &[&str], kind: &str, report: &mut Report| {
        for name in names.iter().filter(|name| view.has(name)) {
            view.problem(name, format!("is for kind = \"{kind}\" only"), report);
        }
    };
    match view.text("kind") {
        Some("embedded") => {
            belongs(&["allow_losing_refresh_tokens"], "memory", report);
            let path = view.text("path").filter(|path| !path.contains('\0'));
            if path.is_none() {
                let message = if view.has("path") {
                    "must be the path of a file"
                } else {
                    "is missing: the file to keep tokens in, such as \"/var/lib/token-broker/state.redb\""
                };
                view.problem("path", message, report);
            }
            Store::Embedded {
                path: PathBuf::from(path.unwrap_or_default()),
                encryption_key: key,
            }
        }
        kind => {
            match kind {
                None | Some("memory") => {
                    belongs(&["path", "encryption_key"], "embedded", report);
                }
                Some("postgres") => {
                    let message =
                        "is not built yet in this version: \"memory\" and \"embedded\" are";
                    view.problem("kind", message, report);
                }
                Some(_) => {
                    view.problem("kind", "must be \"memory\" or \"embedded\"", report);
                }
            }
            let allowed = view.boolean("allow_losing_refresh_tokens");
            Store::Memory {
                allow_losing_refresh_tokens: allowed.unwrap_or(false),
            }
        }
    }
}
