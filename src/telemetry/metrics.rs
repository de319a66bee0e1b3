//! Counters, histograms and the page Prometheus reads. Labels are enums and configured names: a
//! caller can invent none.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, Histogram, HistogramOpts, HistogramVec, TextEncoder};

/// How a request for a token ended: the label `outcome` of `token_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLabel {
    Served,
    /// 502: nothing changes until someone acts.
    Refused,
    /// 503: no valid token right now.
    Unavailable,
    /// 400 and 403: the request itself.
    Invalid,
}

/// How an exchange ended: the label `outcome` of `refreshes_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshLabel {
    Issued,
    Transient,
    BadCredential,
    BadRequest,
    DeadGrant,
    Expired,
    SecretUnavailable,
    /// The worker itself failed and was restarted.
    Panicked,
}

/// The label `route` of `http_request_duration_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Token,
    Refresh,
    Headers,
    Login,
    Integrations,
    Probe,
    Metrics,
    OpenApi,
    /// Everything that matched no route.
    Other,
}

macro_rules! labels {
    ($name:ident: $($variant:ident = $text:literal),+ $(,)?) => {
        impl $name {
            const EACH: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];
            pub const ALL: &[Self] = &Self::EACH;

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

labels!(TokenLabel: Served = "served", Refused = "refused", Unavailable = "unavailable",
    Invalid = "invalid");
labels!(RefreshLabel: Issued = "issued", Transient = "transient", BadCredential = "bad_credential",
    BadRequest = "bad_request", DeadGrant = "dead_grant", Expired = "expired",
    SecretUnavailable = "secret_unavailable", Panicked = "panicked");
labels!(Route: Token = "/token/{integration}", Refresh = "/refresh/{integration}",
    Headers = "/headers/{integration}", Login = "/login", Integrations = "/integrations", Probe = "/livez|/readyz|/startupz",
    Metrics = "/metrics", OpenApi = "/openapi.json", Other = "other");

/// The counters of one integration: a few words of memory, as there may be many integrations.
#[derive(Debug, Default)]
pub struct IntegrationCounters {
    token_requests: [AtomicU64; TokenLabel::ALL.len()],
    refreshes: [AtomicU64; RefreshLabel::ALL.len()],
}

impl IntegrationCounters {
    pub fn token_request(&self, label: TokenLabel) {
        if let Some(counter) = self.token_requests.get(label as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn refresh(&self, label: RefreshLabel) {
        if let Some(counter) = self.refreshes.get(label as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One integration at the moment of a scrape. Times are Unix seconds; `None` leaves the series out.
#[derive(Debug, Clone, Copy)]
pub struct IntegrationSample<'a> {
    pub name: &'a str,
    pub counters: &'a IntegrationCounters,
    pub state: &'a str,
    pub valid: bool,
    pub expires_at: Option<i64>,
    pub last_success_at: Option<i64>,
    pub consecutive_failures: u32,
    pub secret_expires_at: Option<i64>,
    pub refresh_token_expires_at: Option<i64>,
    /// Something of it is not in the store.
    pub unsaved: bool,
}

/// The process-wide metrics.
pub struct Metrics {
    refresh_duration: HistogramVec,
    http_duration: HistogramVec,
    /// The series of `http_duration` by [`Route`]: looking labels up for each answer costs more
    /// than counting it.
    by_route: [Histogram; Route::ALL.len()],
    reloads_worked: AtomicU64,
    reloads_failed: AtomicU64,
    last_reload_successful: std::sync::atomic::AtomicBool,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    #[expect(
        clippy::expect_used,
        reason = "names and labels below are literals that are valid"
    )]
    fn default() -> Self {
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let opts =
                HistogramOpts::new(format!("token_broker_{name}"), help).buckets(buckets.to_vec());
            HistogramVec::new(opts, labels).expect("a valid histogram")
        };
        let http_duration = histogram(
            "http_request_duration_seconds",
            "Time of answers to local callers.",
            &["route"],
            &[
                0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0,
            ],
        );
        Self {
            refresh_duration: histogram(
                "refresh_duration_seconds",
                "Time of exchanges with vendors.",
                &["provider", "outcome"],
                &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0],
            ),
            by_route: Route::EACH.map(|route| http_duration.with_label_values(&[route.as_str()])),
            http_duration,
            reloads_worked: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
            last_reload_successful: true.into(),
        }
    }
}

impl Metrics {
    /// `provider` must be a configured name.
    pub fn refreshed(&self, provider: &str, label: RefreshLabel, took: Duration) {
        self.refresh_duration
            .with_label_values(&[provider, label.as_str()])
            .observe(took.as_secs_f64());
    }

    pub fn answered(&self, route: Route, took: Duration) {
        if let Some(series) = self.by_route.get(route as usize) {
            series.observe(took.as_secs_f64());
        }
    }

    pub fn config_reloaded(&self, worked: bool) {
        let counter = if worked {
            &self.reloads_worked
        } else {
            &self.reloads_failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_reload_successful.store(worked, Ordering::Relaxed);
    }

    /// The page in the Prometheus text format. `states` are all values `state` can have.
    pub fn render(&self, states: &[&str], samples: &[IntegrationSample<'_>]) -> String {
        let unsaved = samples.iter().filter(|sample| sample.unsaved);
        // Not `sum`, which of nothing makes -0.
        let unsaved = unsaved.fold(0.0, |count, _| count + 1.0);
        let mut families = vec![
            gauge(
                "build_info",
                "The running version.",
                [(labels(&[("version", VERSION)]), 1.0)],
            ),
            counter(
                "config_reloads_total",
                "Loads of a changed configuration.",
                [
                    ("success", &self.reloads_worked),
                    ("failure", &self.reloads_failed),
                ]
                .map(|(outcome, count)| {
                    (
                        labels(&[("outcome", outcome)]),
                        count.load(Ordering::Relaxed),
                    )
                }),
            ),
            gauge(
                "config_last_reload_successful",
                "1 if the last load worked.",
                {
                    let worked = self.last_reload_successful.load(Ordering::Relaxed);
                    [(Vec::new(), f64::from(u8::from(worked)))]
                },
            ),
            gauge(
                "store_unsaved",
                "Integrations with something that the store does not hold yet.",
                [(Vec::new(), unsaved)],
            ),
        ];
        families.extend(integration_families(states, samples));
        families.extend(self.refresh_duration.collect());
        families.extend(self.http_duration.collect());
        families.extend(process());
        let mut page = Vec::new();
        for family in families {
            // The encoder refuses a family without series.
            if family.get_metric().is_empty() {
                continue;
            }
            let mark = page.len();
            if TextEncoder::new().encode(&[family], &mut page).is_err() {
                page.truncate(mark);
            }
        }
        String::from_utf8(page).unwrap_or_default()
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are floats")]
fn integration_families(states: &[&str], samples: &[IntegrationSample<'_>]) -> Vec<MetricFamily> {
    let named = |sample: &IntegrationSample<'_>| labels(&[("integration", sample.name)]);
    let each = |name: &str, help: &str, value: &dyn Fn(&IntegrationSample<'_>) -> Option<f64>| {
        gauge(
            name,
            help,
            samples
                .iter()
                .filter_map(|s| value(s).map(|value| (named(s), value))),
        )
    };
    let outcomes = |s: &IntegrationSample<'_>, label: &str, count: &AtomicU64| {
        (
            labels(&[("integration", s.name), ("outcome", label)]),
            count.load(Ordering::Relaxed),
        )
    };
    let seconds = |time: Option<i64>| time.map(|time| time as f64);
    vec![
        counter(
            "token_requests_total",
            "Requests for a token, by how they ended.",
            samples.iter().flat_map(|s| {
                let pairs = TokenLabel::ALL.iter().zip(&s.counters.token_requests);
                pairs.map(move |(label, count)| outcomes(s, label.as_str(), count))
            }),
        ),
        counter(
            "refreshes_total",
            "Exchanges with the vendor, by how they ended.",
            samples.iter().flat_map(|s| {
                let pairs = RefreshLabel::ALL.iter().zip(&s.counters.refreshes);
                pairs.map(move |(label, count)| outcomes(s, label.as_str(), count))
            }),
        ),
        gauge(
            "integration_state",
            "1 for the state the integration is in.",
            samples.iter().flat_map(|s| {
                states.iter().map(move |state| {
                    let here = f64::from(u8::from(*state == s.state));
                    (labels(&[("integration", s.name), ("state", state)]), here)
                })
            }),
        ),
        each("token_valid", "1 while a valid token is held.", &|s| {
            Some(f64::from(u8::from(s.valid)))
        }),
        each(
            "token_expiry_timestamp_seconds",
            "Expiry of the held token.",
            &|s| seconds(s.expires_at),
        ),
        each(
            "last_success_timestamp_seconds",
            "Last exchange that worked.",
            &|s| seconds(s.last_success_at),
        ),
        each("consecutive_failures", "Failed exchanges in a row.", &|s| {
            Some(f64::from(s.consecutive_failures))
        }),
        each(
            "secret_expiry_timestamp_seconds",
            "Configured expiry of the secret in use.",
            &|s| seconds(s.secret_expires_at),
        ),
        each(
            "refresh_token_expiry_timestamp_seconds",
            "Expiry of the refresh token.",
            &|s| seconds(s.refresh_token_expires_at),
        ),
    ]
}

#[cfg(target_os = "linux")]
fn process() -> Vec<MetricFamily> {
    prometheus::process_collector::ProcessCollector::for_self().collect()
}

#[cfg(not(target_os = "linux"))]
fn process() -> Vec<MetricFamily> {
    Vec::new()
}

fn labels(pairs: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    pairs.iter().map(pair).collect()
}

fn gauge(
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Vec<LabelPair>, f64)>,
) -> MetricFamily {
    family(name, help, MetricType::GAUGE, series, |metric, value| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are floats")]
fn counter(
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Vec<LabelPair>, u64)>,
) -> MetricFamily {
    family(name, help, MetricType::COUNTER, series, |metric, value| {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        metric.set_counter(counter);
    })
}

fn family<V>(
    name: &str,
    help: &str,
    kind: MetricType,
    series: impl IntoIterator<Item = (Vec<LabelPair>, V)>,
    set: impl Fn(&mut Metric, V),
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("token_broker_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    let metrics = series.into_iter().map(|(labels, value)| {
        let mut metric = Metric::default();
        metric.set_label(labels);
        set(&mut metric, value);
        metric
    });
    family.set_metric(metrics.collect());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_its_own_series() {
        let metrics = Metrics::default();
        for (times, route) in Route::ALL.iter().enumerate() {
            for _ in 0..times {
                metrics.answered(*route, Duration::from_micros(1));
            }
        }
        let page = metrics.render(&[], &[]);
        for (times, route) in Route::ALL.iter().enumerate() {
            let line = format!(
                "token_broker_http_request_duration_seconds_count{{route=\"{}\"}} {times}\n",
                route.as_str()
            );
            assert!(page.contains(&line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn the_page_has_the_documented_names() {
        let metrics = Metrics::default();
        metrics.refreshed("acme", RefreshLabel::Issued, Duration::from_millis(20));
        metrics.answered(Route::Token, Duration::from_micros(80));
        let counters = IntegrationCounters::default();
        counters.token_request(TokenLabel::Served);
        counters.refresh(RefreshLabel::Issued);
        let sample = IntegrationSample {
            name: "sfmc",
            counters: &counters,
            state: "valid",
            valid: true,
            expires_at: Some(1_800_000_000),
            last_success_at: None,
            consecutive_failures: 0,
            secret_expires_at: Some(1),
            refresh_token_expires_at: None,
            unsaved: true,
        };
        let page = metrics.render(&["valid", "pending"], &[sample]);
        for line in [
            "# TYPE token_broker_token_requests_total counter",
            r#"token_broker_token_requests_total{integration="sfmc",outcome="served"} 1"#,
            r#"token_broker_refreshes_total{integration="sfmc",outcome="issued"} 1"#,
            r#"token_broker_integration_state{integration="sfmc",state="valid"} 1"#,
            r#"token_broker_integration_state{integration="sfmc",state="pending"} 0"#,
            r#"token_broker_token_valid{integration="sfmc"} 1"#,
            r#"token_broker_token_expiry_timestamp_seconds{integration="sfmc"} 1800000000"#,
            r#"token_broker_consecutive_failures{integration="sfmc"} 0"#,
            r#"token_broker_refresh_duration_seconds_count{outcome="issued",provider="acme"} 1"#,
            r#"token_broker_http_request_duration_seconds_count{route="/token/{integration}"} 1"#,
            "token_broker_config_last_reload_successful 1",
            "token_broker_store_unsaved 1",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        let nothing = metrics.render(&[], &[]);
        assert!(
            nothing.contains("token_broker_store_unsaved 0\n"),
            "{nothing}"
        );
        assert!(
            !page.contains("last_success_timestamp_seconds{"),
            "unknown values are left out"
        );
        let page = metrics.render(&[], &[]);
        assert!(page.contains("token_broker_store_unsaved 0"), "not -0");
        #[cfg(target_os = "linux")]
        assert!(page.contains("process_resident_memory_bytes"));
    }
}
