//! `/livez`, `/readyz`, `/startupz`: plain text for kubelets and people.

use super::Context;
use super::answer::{self, Answer};
use super::error::probe_status;
use super::health::holds_start_back;

/// One condition of a probe.
struct Check {
    what: String,
    fine: bool,
}

fn check(what: impl Into<String>, fine: bool) -> Check {
    let what = what.into();
    Check { what, fine }
}

pub(super) fn livez(verbose: bool) -> Answer {
    render(true, &[check("process running", true)], verbose)
}

/// What answers has loaded its configuration and bound its listeners; vendors do not matter.
pub(super) fn readyz(context: &Context, verbose: bool) -> Answer {
    let store = if context.health.is_store_held() {
        check("store: held by another broker", false)
    } else {
        check("store open", true)
    };
    let checks = [
        check("configuration loaded", true),
        check("listeners bound", true),
        store,
        check("not shutting down", !context.health.is_stopping()),
    ];
    let fine = checks.iter().all(|check| check.fine);
    render(fine, &checks, verbose)
}

pub(super) fn startupz(context: &Context, verbose: bool) -> Answer {
    let now = context.clock.now();
    let fine = context.health.is_started(&context.directory, now);
    let mut checks = Vec::new();
    if verbose {
        for entry in context.directory.all() {
            if entry.integration.required {
                let what = format!("{} has a first answer", entry.name());
                checks.push(check(what, !holds_start_back(&entry, now)));
            }
        }
    }
    render(fine, &checks, verbose)
}

fn render(fine: bool, checks: &[Check], verbose: bool) -> Answer {
    let mut page = String::new();
    if verbose {
        for check in checks {
            page.push_str(if check.fine { "[+] " } else { "[-] " });
            page.push_str(&check.what);
            page.push_str(if check.fine { ": ok\n" } else { ": not yet\n" });
        }
    }
    page.push_str(if fine { "ok\n" } else { "not ok\n" });
    let mut answer = answer::text("text/plain; charset=utf-8", page);
    *answer.status_mut() = probe_status(fine);
    answer
}
