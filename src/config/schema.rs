//! Every key a configuration may have, and what belongs there.
//!
//! One table serves the check for unknown keys, the typing of overrides from the environment and
//! the test that a typo in any key is refused. What a value means is `lower`'s business.

use Kind::{
    Bool, Choice, Choices, Duration, Free, Integer, Later, List, Map, Number, Scalars, Secret,
    Secrets, Text, TextOrList, Time,
};

/// What belongs at a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    Bool,
    Integer,
    Number,
    Duration,
    /// RFC 3339.
    Time,
    /// Strings, nothing else: the only kind a variable's commas can fill.
    List,
    TextOrList,
    /// One secret.
    Secret,
    /// One secret, or a list of them in the order to try.
    Secrets,
    /// Names of the operator's choosing, each with a string.
    Map,
    /// Names of the operator's choosing, each with a string, whole number or boolean.
    Scalars,
    /// Names of the operator's choosing, each with any JSON value but null.
    Free,
    Table(&'static [Key]),
    /// In a provider file only: request parameters (values) and definitions (tables).
    Params,
    /// Names of a provider file's choosing, each with a string, or with a table of names and strings.
    Choices,
    /// A list of tables.
    Rules(&'static [Key]),
    /// Part of the design, refused by name until it is built.
    Later,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

pub(super) const SECTIONS: &[Key] = &[
    key("server", Kind::Table(SERVER)),
    key("admin", Kind::Table(ADMIN)),
    key("log", Kind::Table(LOG)),
    key("net", Kind::Table(NET)),
    key("access", Kind::Table(ACCESS)),
    key("secrets", Kind::Table(SECRETS)),
    key("store", Kind::Table(STORE)),
    key("providers", Kind::Table(PROVIDERS)),
    key("refresh", Kind::Table(REFRESH)),
    key("callers", Later),
];

const SERVER: &[Key] = &[
    key("listen", TextOrList),
    key("hosts", List),
    key("wait", Duration),
    key("min_ttl", Duration),
    key("startup_wait", Duration),
    key("shutdown_delay", Duration),
    key("shutdown_timeout", Duration),
    key("socket_mode", Text),
    key("worker_threads", Integer),
];

const ADMIN: &[Key] = &[key("listen", TextOrList)];

const LOG: &[Key] = &[key("level", Text), key("format", Choice(&["text", "json"]))];

const NET: &[Key] = &[
    key("proxy", Text),
    key("ca_file", Text),
    key("ca_only", Bool),
];

const ACCESS: &[Key] = &[key("require_header", Text)];

const SECRETS: &[Key] = &[key("files", List), key("commands", Bool)];

const STORE: &[Key] = &[
    key("kind", Text),
    key("path", Text),
    key("encryption_key", Secret),
    key("allow_losing_refresh_tokens", Bool),
];

const PROVIDERS: &[Key] = &[key("path", Text)];

const BACKOFF: &[Key] = &[key("initial", Duration), key("max", Duration)];

const REFRESH: &[Key] = &[
    key("when", Choice(&["always", "demand"])),
    key("at", Number),
    key("jitter", Number),
    key("min_interval", Duration),
    key("forced_max_interval", Duration),
    key("timeout", Duration),
    key("connect_timeout", Duration),
    key("backoff", Kind::Table(BACKOFF)),
    key("rejected_backoff", Kind::Table(BACKOFF)),
    key(
        "reissue",
        Choice(&["independent", "same", "extends", "replaces"]),
    ),
    key("rate_limit", Text),
];

const RESPONSE: &[Key] = &[
    key("format", Choice(&["json", "raw"])),
    key("access_token", TextOrList),
    key("expires_in", TextOrList),
    key(
        "expires_in_unit",
        Choice(&["seconds", "milliseconds", "minutes", "d:hh:mm", "unix_time"]),
    ),
    key("zero_means_never", Bool),
    key("expires_at", TextOrList),
    key("issued_at", Text),
    key("default_lifetime", Duration),
    key("max_lifetime", Duration),
    key("token_type", Text),
    key("success", Scalars),
    key("extended", Scalars),
    key("error", TextOrList),
    key("error_description", TextOrList),
    key("scope", TextOrList),
    key("refresh_token", TextOrList),
    key("refresh_token_expires_in", TextOrList),
    key("retry_after", Text),
    key("urls", List),
];

const API: &[Key] = &[
    key("base_url", Text),
    key("headers", Map),
    key("query", Map),
    key("hosts", List),
];

const ASSERTION: &[Key] = &[
    key("key", Secrets),
    key("passphrase", Secret),
    key("certificate", Secret),
    key("algorithm", Text),
    key("kid", Text),
    key("issuer", Text),
    key("subject", Text),
    key("audience", TextOrList),
    key("lifetime", Duration),
    key("issued_at", Bool),
    key("backdate", Duration),
    key("jti", Choice(&["uuid", "integer", "none"])),
    key("claims", Free),
    key("headers", Free),
    key("parameter", Text),
    key("grant_type", Text),
];

/// The keys of `ASSERTION` that hold secrets come first: they are the operator's alone.
const SECRETS_OF_ASSERTIONS: usize = 3;
/// Those that say how a bearer is sent come last.
const SENDING_OF_ASSERTIONS: usize = 2;

const CLIENT_ASSERTION: &[Key] = ASSERTION
    .split_at(ASSERTION.len() - SENDING_OF_ASSERTIONS)
    .0;
const ASSERTION_OF_PROVIDERS: &[Key] = ASSERTION.split_at(SECRETS_OF_ASSERTIONS).1;
const CLIENT_ASSERTION_OF_PROVIDERS: &[Key] = CLIENT_ASSERTION.split_at(SECRETS_OF_ASSERTIONS).1;

/// Parameters of the standards that a vendor may call otherwise.
pub(super) const PARAMETER_NAMES: &[Key] = &[
    key("grant_type", Text),
    key("client_id", Text),
    key("client_secret", Text),
    key("client_assertion", Text),
    key("client_assertion_type", Text),
    key("scope", Text),
    key("refresh_token", Text),
    key("code", Text),
    key("redirect_uri", Text),
    key("code_verifier", Text),
    key("device_code", Text),
    key("username", Text),
    key("password", Text),
    key("subject_token", Text),
    key("subject_token_type", Text),
    key("requested_token_type", Text),
    key("actor_token", Text),
    key("actor_token_type", Text),
];

const REQUEST: &[Key] = &[
    key("method", Choice(&["POST", "GET"])),
    key("url", Text),
    key("headers", Map),
    key("query", Map),
    key("form", Map),
    key("json", Free),
    key("success", Scalars),
    key("hosts", List),
];

const STEP: &[Key] = &[
    key("request", Kind::Table(REQUEST)),
    key("assertion", Kind::Table(CLIENT_ASSERTION)),
];

const STEP_OF_PROVIDERS: &[Key] = &[
    key("request", Kind::Table(REQUEST)),
    key("assertion", Kind::Table(CLIENT_ASSERTION_OF_PROVIDERS)),
];

const FILE: &[Key] = &[
    key("path", Text),
    key("format", Choice(&["json", "raw", "header"])),
    key("mode", Text),
];

pub(super) const INTEGRATION: &[Key] = &[
    key("inherit", Text),
    key("provider", Text),
    key("required", Bool),
    key("grant", Text),
    key("issuer", Text),
    key("token_endpoint", Text),
    key("token_endpoint_auth_method", Text),
    key("basic_encoding", Choice(&["form", "raw"])),
    key(
        "request_format",
        Choice(&["form", "json", "query", "multipart"]),
    ),
    key("method", Choice(&["POST", "GET"])),
    key("client_id", Text),
    key("client_secret", Secrets),
    key("client_secret_expires_at", Time),
    key("client_assertion", Kind::Table(CLIENT_ASSERTION)),
    key("client_assertion_file", Text),
    key("client_certificate", Secret),
    key("client_key", Secret),
    key("scope", TextOrList),
    key("scope_separator", Text),
    key("params", Free),
    key("headers", Map),
    key("parameter_names", Kind::Table(PARAMETER_NAMES)),
    key("query_parameters", List),
    key("token", Secret),
    key("token_type", Text),
    key("expires_at", Time),
    key("response", Kind::Table(RESPONSE)),
    key("api", Kind::Table(API)),
    key("refresh", Kind::Table(REFRESH)),
    key("net", Kind::Table(NET)),
    key("assertion", Kind::Table(ASSERTION)),
    key("files", Kind::Rules(FILE)),
    key("refresh_token", Secret),
    key("refresh_endpoint", Text),
    key(
        "refresh_token_rotation",
        Choice(&["maybe", "always", "never"]),
    ),
    key("refresh_sends", List),
    key("refresh_token_lifetime", Duration),
    key("refresh_token_idle_lifetime", Duration),
    key("authorization_endpoint", Text),
    key("device_authorization_endpoint", Text),
    key("redirect_uri", Text),
    key("redirect_uri_sent", Text),
    key("subject_token", Secret),
    key("subject_token_type", Text),
    key("requested_token_type", Text),
    key("actor_token", Secret),
    key("actor_token_type", Text),
    key("username", Text),
    key("password", Secret),
    key("request", Kind::Table(REQUEST)),
    key("steps", Kind::Rules(STEP)),
    key("dpop", Later),
    key("url", Later),
    key("caller_token", Later),
];

/// A definition under `[params]` of a provider file.
pub(super) const PARAM: &[Key] = &[
    key("description", Text),
    key("required", Bool),
    key("pattern", Text),
    key("default", Text),
    key("example", Text),
    key("secret", Bool),
    key("choices", Choices),
    key("sent_as", Text),
];

const ERROR_RULE: &[Key] = &[
    key("status", Integer),
    key("error", Text),
    key("text", Text),
    key(
        "outcome",
        Choice(&[
            "transient",
            "rate_limited",
            "bad_credential",
            "bad_request",
            "dead_grant",
        ]),
    ),
];

const HINT: &[Key] = &[
    key("status", Integer),
    key("error", Text),
    key("text", Text),
    key("advice", Text),
];

/// What a provider file has of its own; the rest are keys of an integration.
pub(super) const PROVIDER_OWN: &[Key] = &[
    key("name", Text),
    key("docs", Text),
    key("checked", Text),
    key("status", Choice(&["verified", "documented", "unverified"])),
    key("params", Kind::Params),
    key("errors", Kind::Rules(ERROR_RULE)),
    key("hints", Kind::Rules(HINT)),
];

/// Keys of an integration that are the operator's alone.
const NOT_IN_PROVIDERS: &[&str] = &[
    "inherit",
    "provider",
    "required",
    "client_secret",
    "client_secret_expires_at",
    "client_assertion_file",
    "client_certificate",
    "client_key",
    "token",
    "refresh_token",
    "subject_token",
    "actor_token",
    "password",
    "expires_at",
    "params",
    "net",
    "files",
];

/// The keys of a provider file.
pub(super) fn provider_file() -> Vec<Key> {
    INTEGRATION
        .iter()
        .filter(|key| !NOT_IN_PROVIDERS.contains(&key.name))
        .chain(PROVIDER_OWN)
        .map(|key| {
            let kind = match key.name {
                "assertion" => Kind::Table(ASSERTION_OF_PROVIDERS),
                "client_assertion" => Kind::Table(CLIENT_ASSERTION_OF_PROVIDERS),
                "steps" => Kind::Rules(STEP_OF_PROVIDERS),
                _ => key.kind,
            };
            Key { kind, ..*key }
        })
        .collect()
}

/// Whether tables at this key are merged key by key. Secrets are tables too, but one value each:
/// half of one laid over half of another would be neither.
pub(super) fn merges(name: &str) -> bool {
    matches!(
        name,
        "params"
            | "headers"
            | "response"
            | "success"
            | "extended"
            | "api"
            | "assertion"
            | "client_assertion"
            | "parameter_names"
            | "request"
            | "form"
            | "json"
            | "claims"
            | "query"
            | "refresh"
            | "backoff"
            | "rejected_backoff"
            | "net"
    )
}
