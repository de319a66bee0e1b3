//! One integration: grant, answer, API, and the policies laid over the global ones.

use std::cell::RefCell;
use std::sync::Arc;

use url::Url;

use super::assertion::{assertion, bearer};
use super::refreshing::{PARAMETERS, refreshing};
use super::request::{client_id, header_value, token_request};
use super::secret::{Secrets, one_secret};
use super::server::header_name;
use super::{Report, View, policy, response};
use crate::config::fill::{Gap, Parameters};
use crate::config::merge::Definition;
use crate::config::problem::did_you_mean;
use crate::config::schema::merges;
use crate::config::shape::NOT_BUILT;
use crate::config::tree::{Node, Table};
use crate::spec::{
    Api, Bearer, Endpoint, Grant, HostPattern, Integration, Listen, Net, Piece, Proof,
    RefreshPolicy, ResponseShape, StaticToken, Template, Vendor,
};

const GRANTS: [&str; 7] = [
    "client_credentials",
    "refresh_token",
    "authorization_code",
    "device_code",
    "jwt_bearer",
    "signed_jwt",
    "static",
];
const LATER_GRANTS: [&str; 5] = ["token_exchange", "password", "request", "steps", "broker"];
const OF_TOKEN_REQUESTS: [&str; 10] = [
    "token_endpoint",
    "token_endpoint_auth_method",
    "basic_encoding",
    "request_format",
    "method",
    "client_secret",
    "client_secret_expires_at",
    "scope",
    "params",
    "headers",
];
const OF_STATIC: [&str; 3] = ["token", "token_type", "expires_at"];
const OF_ASSERTIONS: [&str; 1] = ["assertion"];
const OF_REFRESHING: [&str; 8] = [
    "refresh_endpoint",
    "refresh_token_rotation",
    "refresh_token_lifetime",
    "refresh_token_idle_lifetime",
    "refresh_token",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "redirect_uri",
];

/// What all integrations share.
pub(super) struct Globals<'a> {
    pub(super) secrets: &'a Secrets<'a>,
    pub(super) sections: &'a Table,
    /// Where a browser finds the broker, if that is known.
    pub(super) callback: Option<Url>,
    pub(super) listen: &'a [Listen],
    pub(super) net: Arc<Net>,
    pub(super) refresh: Arc<RefreshPolicy>,
    pub(super) responses: Pool<ResponseShape>,
    pub(super) apis: Pool<Api>,
    /// Of integrations without a provider.
    pub(super) no_vendor: Arc<Vendor>,
    pub(super) vendors: Pool<Vendor>,
}

/// Equal values once: thousands of integrations at one vendor have the same shape.
#[derive(Debug)]
pub(super) struct Pool<T>(RefCell<Vec<Arc<T>>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: PartialEq> Pool<T> {
    /// Beyond this many different ones a search costs more than it saves.
    const SIZE: usize = 32;

    fn share(&self, value: T) -> Arc<T> {
        let mut pool = self.0.borrow_mut();
        if let Some(same) = pool.iter().find(|known| ***known == value) {
            return Arc::clone(same);
        }
        let value = Arc::new(value);
        if pool.len() < Self::SIZE {
            pool.push(Arc::clone(&value));
        }
        value
    }
}

pub(super) fn integration(
    definition: &Definition,
    globals: &Globals<'_>,
    report: &mut Report,
) -> Option<Integration> {
    let path = format!("integrations.{}", definition.id);
    let view = View::new(&definition.table, path, &definition.file);
    let mut parameters = Parameters::new(definition, globals.secrets, report);
    let grant = grant(&view, &mut parameters, globals, report);
    let api = api(&view.below("api"), &mut parameters, report);
    let response = response::response(&view.below("response"), view.text("token_type"), report);
    let refresh = if let Some(own) = view.below("refresh").table {
        let table = over(globals.sections, "refresh", own);
        let view = View::new(&table, view.path("refresh"), &definition.file);
        Arc::new(policy::refresh(&view, report))
    } else {
        Arc::clone(&globals.refresh)
    };
    let net = if let Some(own) = view.below("net").table {
        let table = over(globals.sections, "net", own);
        let view = View::new(&table, view.path("net"), &definition.file);
        Arc::new(policy::net(&view, globals.secrets.env, report))
    } else {
        Arc::clone(&globals.net)
    };
    let grant = grant?;
    let provider = match (&definition.provider, &grant) {
        (Some(provider), _) => provider.id.as_str().into(),
        (None, grant) => match grant.request() {
            Some(request) => request.endpoint.host().into(),
            None => grant.name().into(),
        },
    };
    let vendor = definition.provider.as_ref().map_or_else(
        || Arc::clone(&globals.no_vendor),
        |it| Arc::clone(&it.vendor),
    );
    let vendor = match &grant {
        Grant::JwtBearer(..) => globals.vendors.share(Vendor {
            proof: Proof::Assertion,
            ..Vendor::clone(&vendor)
        }),
        _ => vendor,
    };
    Some(Integration {
        id: definition.id.clone(),
        provider,
        required: view.boolean("required").unwrap_or(true),
        grant,
        net,
        refresh,
        response: globals.responses.share(response),
        api: globals.apis.share(api),
        vendor,
    })
}

/// The global section with the integration's own table on top.
fn over(sections: &Table, name: &str, own: &Table) -> Table {
    let mut table = sections.table(name).cloned().unwrap_or_default();
    table.overlay(own, &|key| merges(key));
    table
}

fn grant(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    globals: &Globals<'_>,
    report: &mut Report,
) -> Option<Grant> {
    let secrets = globals.secrets;
    let name = view.text("grant");
    let unused: &[&[&str]] = match name {
        Some("client_credentials") => &[&OF_STATIC, &OF_ASSERTIONS, &OF_REFRESHING],
        Some("jwt_bearer") => &[&OF_STATIC, &OF_REFRESHING],
        Some("refresh_token" | "authorization_code" | "device_code") => {
            &[&OF_STATIC, &OF_ASSERTIONS]
        }
        Some("signed_jwt") => &[&OF_TOKEN_REQUESTS, &["token", "expires_at"], &OF_REFRESHING],
        Some("static") => &[&OF_TOKEN_REQUESTS, &OF_ASSERTIONS, &OF_REFRESHING],
        _ => &[],
    };
    refuse_discovery(view, name, report);
    for keys in unused {
        refuse_others(view, keys, name.unwrap_or_default(), report);
    }
    match name {
        Some("client_credentials") => {
            let request = token_request(view, &[], parameters, secrets, report)?;
            Some(Grant::ClientCredentials(Arc::new(request)))
        }
        Some("jwt_bearer") => {
            let parameter = view.below("assertion").text("parameter");
            let parameter = parameter.unwrap_or(Bearer::PARAMETER);
            let request = token_request(view, &[parameter], parameters, secrets, report);
            let bearer = bearer(&view.below("assertion"), parameters, secrets, report);
            Some(Grant::JwtBearer(Arc::new(request?), Arc::new(bearer?)))
        }
        Some(name @ ("refresh_token" | "authorization_code" | "device_code")) => {
            let callback = (globals.callback.as_ref(), globals.listen);
            // First: its client_id may be in a URL.
            let request = token_request(view, &PARAMETERS, parameters, secrets, report);
            let refreshing = refreshing(view, name, callback, parameters, secrets, report);
            Some(Grant::RefreshToken(
                Arc::new(request?),
                Arc::new(refreshing?),
            ))
        }
        Some("signed_jwt") => {
            let inner = view.below("assertion");
            refuse_others(&inner, &["parameter", "grant_type"], "signed_jwt", report);
            client_id(view, parameters, report);
            let assertion = assertion(&inner, parameters, secrets, report)?;
            Some(Grant::SignedJwt(Box::new(assertion)))
        }
        Some("static") => {
            client_id(view, parameters, report);
            let Some(node) = view.node("token") else {
                if !view.has("token") || view.removed("token") {
                    view.problem("token", "is missing", report);
                }
                return None;
            };
            Some(Grant::Static(StaticToken {
                token: one_secret(node, &view.path("token"), secrets, report)?,
                expires_at: view.time("expires_at"),
            }))
        }
        Some(later) if LATER_GRANTS.contains(&later) => {
            let built = GRANTS.join(", ");
            let message = format!("is not built yet in this version, only {built}");
            view.problem("grant", message, report);
            None
        }
        Some(other) => {
            let near = did_you_mean(other, GRANTS.into_iter().chain(LATER_GRANTS));
            view.problem("grant", format!("is not a grant{near}"), report);
            None
        }
        None => {
            if !view.has("grant") || view.removed("grant") {
                view.problem(
                    "grant",
                    "is missing: set 'grant', or 'provider' for one of the catalogue",
                    report,
                );
            }
            None
        }
    }
}

/// Keys of another grant, unless they are only what the provider brings.
/// Where no browser comes back, an issuer could only be there to find endpoints by.
fn refuse_discovery(view: &View<'_>, grant: Option<&str>, report: &mut Report) {
    let is_consent = matches!(grant, Some("authorization_code" | "device_code"));
    if !is_consent && view.node("issuer").is_some_and(|node| !node.is_providers()) {
        view.problem("issuer", NOT_BUILT, report);
    }
}

fn refuse_others(view: &View<'_>, keys: &[&str], grant: &str, report: &mut Report) {
    for key in keys {
        let own = view.node(key).is_some_and(|node| !node.is_providers());
        if own {
            let message = format!("is not used by grant = \"{grant}\": remove it");
            view.problem(key, message, report);
        }
    }
}

fn api(view: &View<'_>, parameters: &mut Parameters<'_>, report: &mut Report) -> Api {
    let mut hosts = Vec::new();
    for text in view.texts("hosts").unwrap_or_default() {
        match HostPattern::parse(text) {
            Some(pattern) => hosts.push(pattern),
            None => view.problem(
                "hosts",
                "must be host names, or \"*.\" and a name of two labels",
                report,
            ),
        }
    }
    let base_url = view
        .node("base_url")
        .and_then(|node| base_url(view, node, &hosts, parameters, report));
    let mut headers = Vec::new();
    let inner = view.below("headers");
    let mut authorization = false;
    for (name, node) in view.entries("headers") {
        if name.eq_ignore_ascii_case("authorization") {
            authorization = true;
        }
        if header_name(name).is_none() {
            inner.problem(name, "is not the name of a header", report);
            continue;
        }
        let Ok(template) = parameters.template(node, &format!("api.headers.{name}"), report) else {
            continue;
        };
        let literal = |piece: &Piece| match piece {
            Piece::Text(text) => header_value(text),
            Piece::Member(_) => true,
        };
        if !template.pieces().iter().all(literal) {
            inner.problem(name, "must be free of control characters", report);
            continue;
        }
        let twice = headers
            .iter()
            .any(|(known, _): &(String, Template)| known.eq_ignore_ascii_case(name));
        if twice {
            inner.problem(name, "is there twice, in upper and lower case", report);
            continue;
        }
        headers.push((name.clone(), template));
    }
    if !authorization && let Ok(template) = Template::parse(Api::AUTHORIZATION) {
        headers.insert(0, ("Authorization".to_owned(), template));
    }
    let mut query = Vec::new();
    for (name, node) in view.entries("query") {
        if let Ok(template) = parameters.template(node, &format!("api.query.{name}"), report) {
            query.push((name.clone(), template));
        }
    }
    Api {
        base_url,
        headers,
        query,
        hosts,
    }
}

fn base_url(
    view: &View<'_>,
    node: &Node,
    hosts: &[HostPattern],
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Template> {
    let template = match parameters.url(node, "api.base_url", true, report) {
        Ok(template) => template,
        Err(Gap::Absent | Gap::Reported) => return None,
    };
    let host_is_open = match template.pieces() {
        [Piece::Member(_), ..] => true,
        [Piece::Text(text), rest @ ..] => {
            let authority = text.split_once("://").map_or("", |(_, rest)| rest);
            !rest.is_empty() && !authority.contains(['/', '?'])
        }
        [] => false,
    };
    if host_is_open && hosts.is_empty() && !view.has("hosts") {
        let message =
            "takes its host from the vendor's answer: name the hosts it may have in api.hosts";
        view.problem("base_url", message, report);
    }
    let stand_in = if matches!(template.pieces(), [Piece::Member(_), ..]) {
        "https://h"
    } else {
        "x"
    };
    let mut first = true;
    let sample = template.render(|_| {
        let text = if first { stand_in } else { "x" };
        first = false;
        Some(text.to_owned())
    });
    if let Err(error) = Endpoint::parse(&sample.unwrap_or_default()) {
        view.problem("base_url", error.to_string(), report);
        return None;
    }
    Some(template)
}
