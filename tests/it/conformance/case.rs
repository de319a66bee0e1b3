//! One provider's case: holds, or says what differs.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use token_broker::base::{Clock, Now, Timestamp, TokioClock};
use token_broker::base::{HumanDuration, Secret};
use token_broker::config::{Env, Format, Loaded, Options, Problems, load_text};
use token_broker::exchange::{Ask, Outcome, Present, Sources};
use token_broker::net::Clients;
use token_broker::secrets::Vault;
use token_broker::spec::{
    Endpoint, FirstRefreshToken, Grant, Integration, Location, Template, TokenRequest,
};

use super::fixture::{Answer, Assertion, Consent, Expected, Fixture, Presented};
use crate::support::{Reply, Request, Vendor};

/// The same as a broker's in these tests.
pub(super) fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

/// The key pair of `tests/conformance/adobe-jwt.key`, which protects nothing.
const PUBLIC_KEY: &str = include_str!("../../../src/sandbox/adobe_jwt.pub");

/// What is asked does not depend on how long the machine takes to ask it.
#[derive(Debug)]
struct Still(Now);

impl Clock for Still {
    fn now(&self) -> Now {
        self.0
    }
}

/// A vendor that says what it is told to, and what is needed to ask it.
pub(super) struct Bench {
    vendor: Vendor,
    says: Arc<Mutex<(u16, String)>>,
    sources: Sources,
}

pub(super) fn load(text: &str) -> Result<Loaded, Problems> {
    let env = Env::from_pairs::<&str, &str>([]);
    load_text("test.toml", text, Format::Toml, &env, Options::default())
}

/// A configuration with one integration, `x`.
pub(super) fn config_text(name: &str, keys: &toml::Table, providers: Option<&Path>) -> String {
    let mut table = serde_json::to_value(keys).unwrap();
    table["provider"] = name.into();
    let providers = providers.map_or_else(String::new, |path| {
        format!("[providers]\npath = \"{}\"\n", path.display())
    });
    // The exchanges are the matter here, not what is kept of them.
    let store = "[store]\nallow_losing_refresh_tokens = true\n";
    format!("{providers}{store}[integrations]\n{}", inline("x", &table))
}

/// Dotted keys with values that are TOML as well as JSON.
fn inline(prefix: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| inline(&format!("{prefix}.{key}"), value))
            .collect(),
        other => format!("{prefix} = {other}\n"),
    }
}

pub(super) fn first_config(fixture: &Fixture) -> toml::Table {
    let first = fixture.requests.first();
    first.map_or_else(
        || fixture.config.clone(),
        |expected| expected.config.clone(),
    )
}

/// A member of an answer as text.
pub(super) fn member(answer: &Value, name: &str) -> Option<String> {
    answer.get(name)?.as_str().map(str::to_owned)
}

fn differ(what: &str, wanted: impl std::fmt::Debug, found: impl std::fmt::Debug) -> String {
    format!("{what}: wanted {wanted:?}, found {found:?}")
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, found: T) -> Result<(), String> {
    if wanted == found {
        Ok(())
    } else {
        Err(differ(what, wanted, found))
    }
}

impl Bench {
    pub(super) async fn start() -> Self {
        let says = Arc::new(Mutex::new((500, String::new())));
        let told = Arc::clone(&says);
        let vendor = Vendor::start(move |_, _| {
            let (status, body) = told.lock().unwrap().clone();
            Reply::json(status, &body)
        })
        .await;
        let clock: Arc<dyn Clock> = Arc::new(Still(TokioClock::starting_at(start()).now()));
        let vault = Vault::new(Arc::clone(&clock));
        let sources = Sources::new(Clients::new(), vault, Arc::clone(&clock));
        Self {
            vendor,
            says,
            sources,
        }
    }

    /// Whether the provider does all that the fixture says.
    pub(super) async fn holds(
        &self,
        fixture: &Fixture,
        name: &str,
        providers: Option<&Path>,
    ) -> Result<(), String> {
        let integration = |config: &toml::Table| -> Result<Integration, String> {
            let text = config_text(name, config, providers);
            let loaded = load(&text).map_err(|problems| problems.to_string())?;
            Ok((*loaded.spec.integrations[0]).clone())
        };
        let usual = integration(&first_config(fixture))?;
        for refused in &fixture.refused {
            let mut config = first_config(fixture);
            config.insert(refused.key.clone(), refused.value.clone().into());
            if integration(&config).is_ok() {
                return Err(format!("{} takes {:?}", refused.key, refused.value));
            }
        }
        for silence in &fixture.silence {
            let hints = &usual.vendor.hints;
            let fits = hints
                .iter()
                .find(|hint| hint.when.matches(None, Some(&silence.kind), ""));
            let advice = fits.map(|hint| hint.advice.clone());
            contains(&silence.kind, Some(&silence.hint), advice.as_deref())?;
        }
        let success = fixture.answers.first();
        let members: Value = success.map_or(Value::Null, |answer| {
            serde_json::from_str(&answer.body).unwrap()
        });
        api(fixture, &usual, &members)?;
        let limit = usual.refresh.rate_limit.map(|limit| limit.to_string());
        same("rate_limit", fixture.rate_limit.clone(), limit)?;
        for expected in &fixture.requests {
            let one = integration(&expected.config)?;
            if let Some(wanted) = &expected.base_url {
                let found = one.api.base_url.as_ref().map(|url| render(url, &members));
                same("base_url", Some(wanted.clone()), found)?;
            }
            self.asks_as_expected(expected, one, success.unwrap())
                .await?;
        }
        for answer in &fixture.answers {
            self.says(answer.status, &answer.body);
            let asked = fixture.requests.get(answer.to).ok_or("no such request")?;
            let one = self.at_our_vendor(integration(&asked.config)?)?;
            let judged = judged(answer, &self.exchange(one, asked).await);
            judged.map_err(|why| format!("{} {}: {why}", answer.status, answer.body))?;
        }
        for state in &fixture.states {
            let one = integration(&state.config)?;
            let outcome = self
                .sources
                .source(&Arc::new(one))
                .unwrap()
                .exchange()
                .await;
            same("outcome", state.outcome.as_str(), outcome.label())?;
            let hint = outcome
                .failure()
                .and_then(|failure| failure.hint.as_deref());
            contains("hint", Some(&state.hint), hint)?;
        }
        Ok(())
    }

    fn says(&self, status: u16, body: &str) {
        *self.says.lock().unwrap() = (status, body.to_owned());
    }

    async fn exchange(&self, one: Integration, expected: &Expected) -> Outcome {
        let source = self.sources.source(&Arc::new(one)).unwrap();
        loop {
            let ask = Ask {
                present: presented(&expected.present),
                ..Ask::plain()
            };
            if let Some(outcome) = source.ask(ask).await {
                return outcome;
            }
        }
    }

    /// The same integration, its endpoint's host replaced by ours.
    fn at_our_vendor(&self, mut one: Integration) -> Result<Integration, String> {
        let (Grant::ClientCredentials(request)
        | Grant::JwtBearer(request, _)
        | Grant::RefreshToken(request, _)) = &mut one.grant
        else {
            return Err("another grant".to_owned());
        };
        let (_, path) = super::split(request.endpoint.nearest().url().as_str());
        let url = format!("http://{}{path}", self.vendor.address);
        Arc::make_mut(request).endpoint = Endpoint::parse(&url)
            .map_err(|error| error.to_string())?
            .into();
        Ok(one)
    }

    async fn asks_as_expected(
        &self,
        expected: &Expected,
        one: Integration,
        success: &Answer,
    ) -> Result<(), String> {
        let request = one.grant.request().ok_or("another grant")?;
        same("consent", &expected.consent, &consent(&one, request))?;
        same(
            "url",
            expected.url.as_str(),
            request.endpoint.nearest().url().as_str(),
        )?;
        self.says(success.status, &success.body);
        let one = self.at_our_vendor(one)?;
        judged(success, &self.exchange(one, expected).await)?;
        same_request(expected, &self.vendor.last().unwrap(), start()..=start())
    }
}

fn presented(present: &Presented) -> Present {
    match present {
        Presented::Nothing => Present::Nothing,
        Presented::RefreshToken(token) => Present::RefreshToken(Secret::new(token.as_str())),
        Presented::Code {
            code,
            verifier,
            redirect_uri,
        } => Present::Code {
            code: Secret::new(code.as_str()),
            verifier: Secret::new(verifier.as_str()),
            redirect_uri: redirect_uri.clone(),
        },
        Presented::DeviceCode(code) => Present::DeviceCode(Secret::new(code.as_str())),
    }
}

/// Where consent begins in truth, and what becomes of it.
fn consent(one: &Integration, request: &TokenRequest) -> Option<Consent> {
    let refreshing = one.grant.refreshing()?;
    let written = |duration: Option<Duration>| duration.map(|it| HumanDuration(it).to_string());
    let url = |endpoint: &Location| Some(endpoint.nearest().url().to_string());
    let mut named = None;
    let (authorization_endpoint, device_authorization_endpoint) = match &refreshing.first {
        FirstRefreshToken::Configured(_) => (None, None),
        FirstRefreshToken::AuthorizationCode {
            authorization_endpoint,
            issuer,
            ..
        } => {
            named.clone_from(issuer);
            (url(authorization_endpoint), None)
        }
        FirstRefreshToken::DeviceCode {
            device_authorization_endpoint,
        } => (None, url(device_authorization_endpoint)),
    };
    Some(Consent {
        grant: one.grant.name().to_owned(),
        authorization_endpoint,
        issuer: named,
        device_authorization_endpoint,
        scope: request.scope.clone(),
        rotates: refreshing.rotates(),
        lifetime: written(refreshing.lifetime),
        idle_lifetime: written(refreshing.idle_lifetime),
    })
}

fn form(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Compares member by member: nothing missing, nothing more. `made`: when, as far as that is known.
pub(super) fn same_request(
    expected: &Expected,
    seen: &Request,
    made: RangeInclusive<Timestamp>,
) -> Result<(), String> {
    let (_, path) = super::split(&expected.url);
    let wanted = format!("{} {path} HTTP/1.1", expected.method);
    let (line, query) = match seen.line.split_once('?') {
        Some((before, after)) => {
            let (query, version) = after.split_once(' ').ok_or("no request line")?;
            (format!("{before} {version}"), form(query.as_bytes()))
        }
        None => (seen.line.clone(), BTreeMap::new()),
    };
    same("request line", wanted, line)?;
    same("query", &expected.query, &query)?;
    let kind = expected.content_type.as_deref();
    same("content-type", kind, seen.header("content-type"))?;
    let authorization = expected.authorization.as_deref();
    same("authorization", authorization, seen.header("authorization"))?;
    same("accept", Some("application/json"), seen.header("accept"))?;
    let mut body: BTreeMap<String, String> = if kind == Some("application/json") {
        let members: Value =
            serde_json::from_str(seen.text()).map_err(|error| error.to_string())?;
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let members = members.as_object().ok_or("no JSON object")?;
        members
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    } else {
        form(&seen.body)
    };
    if let Some(assertion) = &expected.assertion {
        let token = body.remove(&assertion.parameter).ok_or("no assertion")?;
        same_assertion(assertion, &token, made)?;
    }
    same("body", &expected.body, &body)
}

/// Verified by a library that did not sign it, against the public half of the fixture's key.
fn same_assertion(
    expected: &Assertion,
    token: &str,
    made: RangeInclusive<Timestamp>,
) -> Result<(), String> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    same("alg", &expected.algorithm, &format!("{:?}", header.alg))?;
    let public: String = PUBLIC_KEY.split_whitespace().collect();
    let key = DecodingKey::from_rsa_der(&STANDARD.decode(public).unwrap());
    let mut validation = Validation::new(Algorithm::RS256);
    // The fixture says what the claims are, by the test's own clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let verified = jsonwebtoken::decode::<Value>(token, &key, &validation);
    let mut claims = verified.map_err(|error| error.to_string())?.claims;
    let exp = claims
        .as_object_mut()
        .and_then(|claims| claims.remove("exp"));
    let exp = exp.and_then(|exp| exp.as_i64());
    let soonest = made.start().unix_seconds() + 1;
    let latest = made.end().unix_seconds() + 300;
    let fits = exp.is_some_and(|exp| (soonest..=latest).contains(&exp));
    same("exp", true, fits)?;
    same("claims", &expected.claims, &claims)
}

fn contains(what: &str, wanted: Option<&str>, found: Option<&str>) -> Result<(), String> {
    match (wanted, found) {
        (None, None) => Ok(()),
        (Some(wanted), Some(found)) if found.contains(wanted) => Ok(()),
        _ => Err(differ(what, wanted, found)),
    }
}

fn judged(answer: &Answer, outcome: &Outcome) -> Result<(), String> {
    same("outcome", answer.outcome.as_str(), outcome.label())?;
    if let Outcome::Issued(issued) = outcome {
        let lifetime = answer.lifetime.map(Duration::from_secs);
        let lifetime = lifetime.or(answer.lifetime_ms.map(Duration::from_millis));
        same("lifetime", lifetime, issued.lifetime)?;
        let found = issued.refresh_token.as_ref();
        let token = found.map(|found| found.token.expose());
        same("refresh_token", answer.refresh_token.as_deref(), token)?;
        let lifetime = answer.refresh_token_lifetime.map(Duration::from_secs);
        let found = found.and_then(|found| found.lifetime);
        return same("refresh_token_lifetime", lifetime, found);
    }
    let failure = outcome.failure().ok_or("no failure")?;
    let vendor = failure.vendor.as_ref().ok_or("no answer of the vendor")?;
    same("error", answer.error.as_deref(), vendor.error.as_deref())?;
    if answer.says.is_some() {
        contains(
            "description",
            answer.says.as_deref(),
            vendor.error_description.as_deref(),
        )?;
    }
    let retry_after = answer.retry_after.map(Duration::from_secs);
    same("retry_after", retry_after, failure.retry_after)?;
    contains("hint", answer.hint.as_deref(), failure.hint.as_deref())
}

fn render(template: &Template, members: &Value) -> String {
    let filled = template.render(|name| match name {
        "token_type" => Some("{token_type}".to_owned()),
        "access_token" => Some("{access_token}".to_owned()),
        name => member(members, name),
    });
    let text = filled.unwrap_or_else(|hole| format!("a hole: {hole:?}"));
    text.trim_end_matches('/').to_owned()
}

/// What a call needs, with the token left as a hole.
fn api(fixture: &Fixture, one: &Integration, members: &Value) -> Result<(), String> {
    let wanted = &fixture.api;
    let base_url = one.api.base_url.as_ref().ok_or("no base_url")?;
    same(
        "base_url",
        wanted.base_url.clone(),
        render(base_url, members),
    )?;
    if base_url.literal().is_none() {
        let (host, _) = super::split(&wanted.base_url);
        let host = host.split_once("://").unwrap().1;
        let hosts = &one.api.hosts;
        same(
            "api.hosts",
            true,
            hosts.iter().any(|pattern| pattern.matches(host)),
        )?;
        same(
            "api.hosts",
            false,
            hosts.iter().any(|pattern| pattern.matches("evil.example")),
        )?;
        for host in &wanted.hosts {
            let allowed = hosts.iter().any(|pattern| pattern.matches(host));
            same(host, true, allowed)?;
        }
    }
    let render_all = |entries: &[(String, Template)]| -> BTreeMap<String, String> {
        let one = |(name, value): &(String, Template)| (name.clone(), render(value, members));
        entries.iter().map(one).collect()
    };
    same(
        "api.headers",
        &wanted.headers,
        &render_all(&one.api.headers),
    )?;
    same("api.query", &wanted.query, &render_all(&one.api.query))
}
