//! One integration: its parts, and the policies laid over the global ones.

use std::cell::RefCell;
use std::sync::Arc;

use url::Url;

use super::api::api;
use super::grant::grant;
use super::secret::Secrets;
use super::{Report, View, policy, response, steps};
use crate::config::fill::Parameters;
use crate::config::merge::Definition;
use crate::config::schema::merges;
use crate::config::tree::Table;
use crate::spec::{
    Api, Grant, Integration, Listen, Net, RefreshPolicy, ResponseShape, Steps, Vendor,
};

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
    let before = report.count();
    let mut parameters = Parameters::new(definition, globals.secrets, report);
    let grant = grant(&view, &mut parameters, globals, report);
    let api = api(&view.below("api"), &mut parameters, report);
    // What could not be read is in no request, and that is no reason to take it away.
    let chain = grant.as_ref().and_then(Grant::steps);
    if let Some(chain) = chain.filter(|_| report.count() == before) {
        steps::unused(&view, chain, &parameters, report);
    }
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
    let calls = grant.steps().map(Steps::calls);
    let last = calls.and_then(Iterator::last);
    if response.is_raw && last.is_some_and(|call| !call.success.is_empty()) {
        let message =
            "is \"raw\", a body that is nothing but the token: 'success' finds nothing in it";
        view.below("response").problem("format", message, report);
    }
    let provider = match (&definition.provider, &grant) {
        (Some(provider), _) => provider.id.as_str().into(),
        (None, grant) => match grant.endpoint() {
            Some(endpoint) => endpoint.host().into(),
            None => grant.name().into(),
        },
    };
    let vendor = definition.provider.as_ref().map_or_else(
        || Arc::clone(&globals.no_vendor),
        |it| Arc::clone(&it.vendor),
    );
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
