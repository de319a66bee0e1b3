//! `[refresh]` and `[net]`, global or of one integration.

use std::path::PathBuf;
use std::time::Duration;

use super::View;
use crate::base::{Backoff, Secret, parse_duration};
use crate::config::problem::Report;
use crate::config::source::Env;
use crate::spec::{Net, Proxy, RateLimit, RefreshPolicy, Reissue, When};

const TICK: Duration = Duration::from_millis(1);
/// A caller must not be able to make the broker hammer a vendor.
const LEAST_SPACING: Duration = Duration::from_millis(100);
const TEN_MINUTES: Duration = Duration::from_mins(10);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(366 * 24);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn refresh(view: &View<'_>, report: &mut Report) -> RefreshPolicy {
    let default = RefreshPolicy::default();
    let when = match view.text("when") {
        Some("demand") => When::Demand,
        _ => When::Always,
    };
    let reissue = match view.text("reissue") {
        Some("same") => Reissue::Same,
        Some("extends") => Reissue::Extends,
        Some("replaces") => Reissue::Replaces,
        _ => Reissue::Independent,
    };
    let at = part(view, "at", default.at, (0.05, 0.95), report);
    let mut jitter = part(view, "jitter", default.jitter, (0.0, 0.25), report);
    if jitter >= at {
        if view.has("jitter") {
            view.problem("jitter", "must be less than 'at'", report);
        }
        jitter = at / 2.0;
    }
    let min_interval = view.bounded(
        "min_interval",
        default.min_interval,
        (LEAST_SPACING, DAY),
        report,
    );
    let bounds = (LEAST_SPACING, DAY);
    let mut forced_max_interval = view.bounded(
        "forced_max_interval",
        default.forced_max_interval,
        bounds,
        report,
    );
    if forced_max_interval < min_interval {
        if view.has("forced_max_interval") {
            view.problem(
                "forced_max_interval",
                "must not be less than 'min_interval'",
                report,
            );
        }
        forced_max_interval = min_interval;
    }
    let timeout = view.bounded("timeout", default.timeout, (TICK, TEN_MINUTES), report);
    let connect_timeout = view.bounded(
        "connect_timeout",
        default.connect_timeout,
        (TICK, TEN_MINUTES),
        report,
    );
    RefreshPolicy {
        when,
        at,
        jitter,
        min_interval,
        forced_max_interval,
        timeout,
        connect_timeout,
        backoff: backoff(&view.below("backoff"), default.backoff, report),
        rejected_backoff: backoff(
            &view.below("rejected_backoff"),
            default.rejected_backoff,
            report,
        ),
        reissue,
        rate_limit: rate_limit(view, report),
    }
}

/// `50/12h`: so many requests within so long.
fn rate_limit(view: &View<'_>, report: &mut Report) -> Option<RateLimit> {
    let text = view.text("rate_limit")?;
    let limit = text.split_once('/').and_then(|(requests, per)| {
        let requests: u32 = requests.trim().parse().ok()?;
        let per = parse_duration(per.trim())?;
        let sane = (1..=RateLimit::MOST).contains(&requests) && (SECOND..=YEAR).contains(&per);
        sane.then_some(RateLimit { requests, per })
    });
    if limit.is_none() {
        let message = "must be a number of requests, 1 to 10000, and the time they are for, \
                       from a second to a year: \"50/12h\"";
        view.problem("rate_limit", message, report);
    }
    limit
}

fn part(
    view: &View<'_>,
    key: &str,
    default: f64,
    (least, most): (f64, f64),
    report: &mut Report,
) -> f64 {
    let Some(value) = view.number(key) else {
        return default;
    };
    if (least..=most).contains(&value) {
        return value;
    }
    view.problem(key, format!("must be within {least} and {most}"), report);
    default
}

fn backoff(view: &View<'_>, default: Backoff, report: &mut Report) -> Backoff {
    let initial = view.bounded("initial", default.initial(), (TICK, DAY), report);
    let mut max = view.bounded("max", default.max(), (TICK, DAY), report);
    if initial > max && !view.has("max") {
        max = initial;
    }
    Backoff::new(initial, max).unwrap_or_else(|| {
        view.problem("initial", "must not be more than 'max'", report);
        default
    })
}

pub(super) fn net(view: &View<'_>, env: &Env, report: &mut Report) -> Net {
    let proxy = if view.has("proxy") {
        // An empty one turns the environment's off.
        view.text("proxy").and_then(|text| {
            let url = proxy_url(text);
            if url.is_none() {
                view.problem(
                    "proxy",
                    "must be a URL such as http://proxy.example:3128",
                    report,
                );
            }
            url.map(|url| Proxy {
                url,
                no_proxy: None,
            })
        })
    } else {
        proxy_of(env, report)
    };
    let ca_file = view.text("ca_file").map(PathBuf::from);
    let ca_only = view.boolean("ca_only").unwrap_or(false);
    if ca_only && ca_file.is_none() && !view.has("ca_file") {
        view.problem(
            "ca_only",
            "needs 'ca_file': without one nothing could be trusted",
            report,
        );
    }
    Net {
        proxy,
        ca_file,
        ca_only,
    }
}

fn proxy_of(env: &Env, report: &mut Report) -> Option<Proxy> {
    let set = |name: &'static str| {
        env.get(name)
            .filter(|text| !text.is_empty())
            .map(|text| (name, text))
    };
    let (name, text) = set("https_proxy").or_else(|| set("HTTPS_PROXY"))?;
    let Some(url) = proxy_url(text) else {
        report.problem(
            "environment",
            name,
            "must be a URL such as http://proxy.example:3128",
        );
        return None;
    };
    let no_proxy = set("no_proxy").or_else(|| set("NO_PROXY"));
    Some(Proxy {
        url,
        no_proxy: no_proxy.map(|(_, text)| text.to_owned()),
    })
}

/// Without a scheme it is http, as everywhere.
fn proxy_url(text: &str) -> Option<Secret> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = url::Url::parse(&full).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.query().is_none()
        && url.fragment().is_none();
    fits.then(|| Secret::new(full))
}
