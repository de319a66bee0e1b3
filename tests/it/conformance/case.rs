//! One provider's case: holds, or says what differs.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use token_broker::base::{
    Backoff, Clock, ErrorCode, HumanDuration, Issued, Now, Secret, Timestamp, TokioClock,
};
use token_broker::config::{Env, Format, Loaded, Options, Problems, load_text};
use token_broker::exchange::{Ask, Outcome, Present, Sources};
use token_broker::net::{Client, Clients};
use token_broker::refresh::render_api_call;
use token_broker::secrets::Vault;
use token_broker::spec::{
    FirstRefreshToken, Integration, Location, RefreshPolicy, Reissue, Rotation, TokenRequest,
};
use toml::Table;

use super::differ::{contains, same};
use super::fixture::{Answer, Api, Consent, Expected, Fixture, Presented};
use super::jwt::same_jwt;
use super::seen::same_call;
use crate::support::{Internet, Reply};

/// The same as a broker's in these tests.
pub(super) fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

/// What is asked does not depend on how long the machine takes to ask it.
#[derive(Debug)]
struct Still(Now);

impl Clock for Still {
    fn now(&self) -> Now {
        self.0
    }
}

/// Vendors that say what they are told to, and what is needed to ask them.
pub(super) struct Bench {
    internet: Internet,
    says: Arc<Mutex<Vec<Reply>>>,
    clients: Arc<Clients>,
    clock: Arc<dyn Clock>,
    /// Keeps what the exchanges share.
    client: Option<Client>,
}

pub(super) fn load(text: &str) -> Result<Loaded, Problems> {
    let env = Env::from_pairs::<&str, &str>([]);
    load_text("test.toml", text, Format::Toml, &env, Options::default())
}

/// A configuration with one integration, `x`.
pub(super) fn config_text(name: &str, keys: &Table, net: &str, providers: Option<&Path>) -> String {
    let mut table = serde_json::to_value(keys).unwrap();
    table["provider"] = name.into();
    let providers = providers.map_or_else(String::new, |path| {
        format!("[providers]\npath = \"{}\"\n", path.display())
    });
    // The exchanges are the matter here, not what is kept of them.
    let store = "[store]\nallow_losing_refresh_tokens = true\n";
    format!(
        "{net}{providers}{store}[integrations]\n{}",
        inline("x", &table)
    )
}

/// Dotted keys with values that are TOML as well as JSON.
fn inline(prefix: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| inline(&format!("{prefix}.\"{key}\""), value))
            .collect(),
        other => format!("{prefix} = {other}\n"),
    }
}

fn reply(answer: &Answer) -> Reply {
    let kind = format!("content-type: {}\r\n", answer.content_type);
    Reply::Full(answer.status, kind, answer.body.clone())
}

/// All that is said until `answer`.
pub(super) fn replies(expected: &Expected, answer: &Answer) -> Vec<Reply> {
    let before = expected.before.iter();
    let before = before.map(|before| Reply::json(200, &before.answer));
    let at = answer.at.unwrap_or(expected.before.len());
    before.take(at).chain([reply(answer)]).collect()
}

impl Bench {
    pub(super) async fn start() -> Self {
        let says = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&says);
        let internet = Internet::start(move |_, number| {
            let told: Vec<Reply> = told.lock().unwrap().clone();
            let last = told.last().cloned();
            told.get(number - 1).cloned().or(last).expect("an answer")
        })
        .await;
        Self {
            internet,
            says,
            clients: Clients::new(),
            clock: Arc::new(Still(TokioClock::starting_at(start()).now())),
            client: None,
        }
    }

    fn integration(
        &self,
        name: &str,
        config: &Table,
        providers: Option<&Path>,
    ) -> Result<Arc<Integration>, String> {
        let text = config_text(name, config, &self.internet.net(), providers);
        let loaded = load(&text).map_err(|problems| problems.to_string())?;
        Ok(Arc::clone(&loaded.spec.integrations[0]))
    }

    /// Whether the provider does all that the fixture says.
    pub(super) async fn holds(
        &mut self,
        fixture: &Fixture,
        name: &str,
        providers: Option<&Path>,
    ) -> Result<(), String> {
        let integration = |config: &Table| self.integration(name, config, providers);
        let usual = integration(fixture.config())?;
        for refused in &fixture.refused {
            let mut config = fixture.config().clone();
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
        let limit = usual.refresh.rate_limit.map(|limit| limit.to_string());
        same("rate_limit", fixture.rate_limit.clone(), limit)?;
        let reissue = match usual.refresh.reissue {
            Reissue::Independent => None,
            Reissue::Same => Some("same"),
            Reissue::Extends => Some("extends"),
            Reissue::Replaces => Some("replaces"),
        };
        same("reissue", fixture.reissue.as_deref(), reissue)?;
        let usually = RefreshPolicy::default();
        let wait = |own: Backoff, usually: Backoff| {
            let initial = own.initial();
            (initial != usually.initial()).then(|| HumanDuration(initial).to_string())
        };
        let found = wait(usual.refresh.backoff, usually.backoff);
        same("wait_after_failure", &fixture.wait_after_failure, &found)?;
        let found = wait(usual.refresh.rejected_backoff, usually.rejected_backoff);
        same("wait_after_refusal", &fixture.wait_after_refusal, &found)?;
        let known = self
            .clients
            .get(&usual.net, usual.refresh.connect_timeout, false);
        self.client = Some(known.map_err(|error| error.to_string())?);

        for signed in &fixture.signed {
            let one = self.integration(name, &signed.config, providers)?;
            let issued = self.issued(&one, Present::Nothing, None).await?;
            same_jwt(&signed.jwt, issued.access_token.expose(), start()..=start())?;
        }
        for (at, expected) in fixture.requests.iter().enumerate() {
            let one = self.integration(name, &expected.config, providers)?;
            let success = fixture.answers.first().ok_or("no answer")?;
            let issued = self.asks_as_expected(expected, &one, success).await?;
            if at == 0 {
                let token = success.token().ok_or("no token is documented")?;
                api(&fixture.api, &one, &issued, &token)?;
            }
        }
        if fixture.requests.is_empty() {
            let issued = self.issued(&usual, Present::Nothing, None).await?;
            let token = issued.access_token.expose().to_owned();
            api(&fixture.api, &usual, &issued, &token)?;
        }
        for answer in &fixture.answers {
            let asked = fixture.requests.get(answer.to).ok_or("no such request")?;
            let one = self.integration(name, &asked.config, providers)?;
            let outcome = self.answered(&one, asked, answer).await;
            let judged = judged(answer, &outcome);
            judged.map_err(|why| format!("{} {}: {why}", answer.status, answer.body))?;
        }
        for state in &fixture.states {
            let one = self.integration(name, &state.config, providers)?;
            let outcome = self.exchange(&one, Present::Nothing, None).await;
            same("outcome", state.outcome.as_str(), outcome.label())?;
            let hint = outcome
                .failure()
                .and_then(|failure| failure.hint.as_deref());
            contains("hint", Some(&state.hint), hint)?;
        }
        Ok(())
    }

    async fn exchange(
        &self,
        one: &Arc<Integration>,
        present: Present,
        held: Option<&str>,
    ) -> Outcome {
        // What was learned of another file must not help this one.
        let vault = Vault::new(Arc::clone(&self.clock));
        let clients = Arc::clone(&self.clients);
        let sources = Sources::new(clients, vault, Arc::clone(&self.clock));
        let source = sources.source(one).unwrap();
        loop {
            let ask = Ask {
                present: present.clone(),
                held: held.map(Secret::new),
                ..Ask::plain()
            };
            if let Some(outcome) = source.ask(ask).await {
                return outcome;
            }
        }
    }

    async fn issued(
        &self,
        one: &Arc<Integration>,
        present: Present,
        held: Option<&str>,
    ) -> Result<Box<Issued>, String> {
        match self.exchange(one, present, held).await {
            Outcome::Issued(issued) => Ok(issued),
            other => Err(format!("no token: {other:?}")),
        }
    }

    async fn answered(
        &self,
        one: &Arc<Integration>,
        expected: &Expected,
        answer: &Answer,
    ) -> Outcome {
        *self.says.lock().unwrap() = replies(expected, answer);
        self.internet.take();
        let present = presented(&expected.present);
        self.exchange(one, present, answer.held.as_deref()).await
    }

    async fn asks_as_expected(
        &self,
        expected: &Expected,
        one: &Arc<Integration>,
        success: &Answer,
    ) -> Result<Box<Issued>, String> {
        if let Some(request) = one.grant.request() {
            same("consent", &expected.consent, &consent(one, request))?;
        }
        let outcome = self.answered(one, expected, success).await;
        judged(success, &outcome)?;
        let seen = self.internet.take();
        let calls = expected.calls();
        same("calls", calls.len(), seen.len())?;
        for (call, seen) in calls.into_iter().zip(&seen) {
            same_call(call, seen, start()..=start())
                .map_err(|why| format!("{} {}: {why}", call.method, call.url))?;
        }
        let Outcome::Issued(issued) = outcome else {
            return Err("no token".to_owned());
        };
        if let Some(wanted) = &expected.base_url {
            let (call, _) = render_api_call(&one.api, &one.grant, &issued);
            same("base_url", Some(wanted), call.base_url.as_ref())?;
        }
        Ok(issued)
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
    let renamed = |standard: &str| {
        let name = request.name(standard);
        (name != standard).then(|| name.to_owned())
    };
    Some(Consent {
        grant: one.grant.name().to_owned(),
        authorization_endpoint,
        issuer: named,
        device_authorization_endpoint,
        scope: request.scope.clone(),
        client_id_name: renamed("client_id"),
        code_name: renamed("code"),
        redirect_uri_sent: request
            .dialect()
            .and_then(|it| it.redirect_uri_sent.clone()),
        without_challenge: request.name("code_verifier").is_empty(),
        rotates: refreshing.rotates(),
        rotates_always: refreshing.rotation == Rotation::Always,
        lifetime: written(refreshing.lifetime),
        idle_lifetime: written(refreshing.idle_lifetime),
    })
}

/// As a rule of a provider file says it.
fn said(outcome: &Outcome) -> &'static str {
    match outcome.failure().map(|failure| failure.code) {
        Some(ErrorCode::RateLimited) => "rate_limited",
        _ => outcome.label(),
    }
}

fn judged(answer: &Answer, outcome: &Outcome) -> Result<(), String> {
    same("outcome", answer.outcome.as_str(), said(outcome))?;
    if let Outcome::Issued(issued) = outcome {
        let token = issued.access_token.expose();
        same("token", answer.token().as_deref(), Some(token))?;
        let lifetime = answer.lifetime.map(Duration::from_secs);
        let lifetime = lifetime.or(answer.lifetime_ms.map(Duration::from_millis));
        same("lifetime", lifetime, issued.lifetime)?;
        if let Some(members) = &answer.members {
            same("members", members, &issued.members)?;
        }
        if answer.scope.is_some() {
            same("scope", &answer.scope, &issued.scope)?;
        }
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

/// The fixture's text with the token in it.
pub(super) fn filled(text: &str, token: &str) -> String {
    text.replace("{access_token}", token)
        .replace("{token_type}", "Bearer")
}

/// What a call needs.
fn api(wanted: &Api, one: &Integration, issued: &Issued, token: &str) -> Result<(), String> {
    let (call, warnings) = render_api_call(&one.api, &one.grant, issued);
    same("warnings", &Vec::new(), &warnings)?;
    same("base_url", &wanted.base_url, &call.base_url)?;
    let pairs = |pairs: &[(String, Secret)]| {
        let pair = |(name, value): &(String, Secret)| (name.clone(), value.expose().to_owned());
        pairs.iter().map(pair).collect()
    };
    let filled = |(name, text): (&String, &String)| (name.clone(), filled(text, token));
    let headers = wanted.headers.iter().map(filled).collect();
    same::<Vec<(String, String)>>("api.headers", sorted(headers), sorted(pairs(&call.headers)))?;
    let query = wanted.query.iter().map(filled).collect();
    same("api.query", sorted(query), sorted(pairs(&call.query)))?;
    let made = one.api.base_url.as_ref();
    if made.is_some_and(|url| url.literal().is_none()) {
        let hosts = &one.api.hosts;
        let allowed = |host: &str| hosts.iter().any(|pattern| pattern.matches(host));
        same("api.hosts", false, allowed("evil.example"))?;
        for host in &wanted.hosts {
            same(host, true, allowed(host))?;
        }
    }
    Ok(())
}

fn sorted(mut pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    pairs.sort();
    pairs
}
