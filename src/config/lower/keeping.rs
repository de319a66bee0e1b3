//! Whether refresh tokens outlive the process, and have one owner each.
//!
//! Owns what only the whole configuration shows: the store beside the grants, and one integration
//! beside another.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{Report, View};
use crate::config::merge::Definition;
use crate::spec::{FirstRefreshToken, Integration, Refreshing, SecretSource, Store};

/// Where a secret comes from: two of the same are the same secret.
#[derive(PartialEq, Eq, Hash)]
enum Source<'a> {
    File(&'a Path),
    Command(&'a [String]),
    Value(&'a str),
}

pub(super) fn check(all: &[(&Definition, Arc<Integration>)], store: &Store, report: &mut Report) {
    let mut owners: HashMap<Source<'_>, (&Integration, bool)> = HashMap::new();
    for (definition, one) in all {
        let Some(refreshing) = one.grant.refreshing() else {
            continue;
        };
        let path = format!("integrations.{}", one.id);
        let view = View::new(&definition.table, path, &definition.file);
        match store {
            Store::Memory {
                allow_losing_refresh_tokens,
            } => lost(&view, refreshing, *allow_losing_refresh_tokens, report),
            Store::Embedded { .. } => {}
        }
        let Some(source) = source(refreshing) else {
            continue;
        };
        let rotates = refreshing.rotates();
        match owners.get(&source) {
            Some((first, first_rotates)) if rotates || *first_rotates => {
                let message = format!(
                    "is also the refresh token of '{}': whichever uses it first ends it for the \
                     other; give each its own, or set refresh_token_rotation = \"never\" in both \
                     if this vendor never changes it",
                    first.id
                );
                view.problem("refresh_token", message, report);
            }
            Some(_) => {}
            None => {
                owners.insert(source, (one, rotates));
            }
        }
    }
}

/// The store is memory: what was received since the start is gone at the end. `may_lose`: the
/// operator said that it may be.
fn lost(view: &View<'_>, refreshing: &Refreshing, may_lose: bool, report: &mut Report) {
    if !refreshing.rotates() {
        if !matches!(refreshing.first, FirstRefreshToken::Configured(_)) {
            let message = "loses its consent when the broker ends, since [store] kind is \
                           \"memory\": a person must log in after every restart";
            view.warning("grant", message, report);
        }
        return;
    }
    if may_lose {
        let message = "loses its refresh token when the broker ends, as [store] \
                       allow_losing_refresh_tokens says: after a restart it needs a new one";
        view.warning("grant", message, report);
        return;
    }
    let message = "needs a store: its refresh token may change with every use, and with [store] \
                   kind = \"memory\" the last one is lost when the broker ends. Set [store] kind = \
                   \"embedded\" and a path; or refresh_token_rotation = \"never\" if this vendor \
                   never changes it; or [store] allow_losing_refresh_tokens = true";
    view.problem("grant", message, report);
}

/// `None` where a login brings it, or where its value is not known here.
fn source(refreshing: &Refreshing) -> Option<Source<'_>> {
    let FirstRefreshToken::Configured(source) = &refreshing.first else {
        return None;
    };
    match source {
        SecretSource::File(path) => Some(Source::File(path)),
        SecretSource::Command(words) => Some(Source::Command(words)),
        // Empty stands for a variable that need not be set here.
        SecretSource::Value(value) => Some(value.expose())
            .filter(|text| !text.is_empty())
            .map(Source::Value),
    }
}
