//! From a successful answer to a token in our own terms. Pure.

use serde_json::Value;

use super::answer::Answer;
use super::granted;
use super::lifetime::{self, Lifetime};
use super::members;
use crate::base::{IntegrationId, Issued, Now, Secret};
use crate::spec::{Path, ResponseShape};

/// The longest access token.
const TOKEN_MAX: usize = 65_536;
/// Types from the OAuth registry, as it writes them (and MAC, which some vendors still issue).
const REGISTERED: [&str; 5] = ["Bearer", "DPoP", "PoP", "N_A", "MAC"];

/// Why a 2xx answer is of no use; completes "the vendor answered 200, but ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the answer is empty")]
    Empty,
    #[error("with an HTML page instead of a token")]
    Html,
    #[error("the answer is not JSON")]
    NotJson,
    #[error("there is no token at '{0}'")]
    NoToken(Path),
    #[error(
        "the token at '{0}' is not 1 to 65536 printable characters without spaces, so it cannot \
         be used in a header"
    )]
    BadToken(Path),
    #[error("the token has no lifetime left")]
    Over,
}

/// A text that can be used as a token: it must fit into a header.
pub(super) fn is_token(text: &str) -> bool {
    (1..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// `Ok` for an answer with a token that is of use. `held`: secrets and refresh tokens we know.
pub(super) fn normalise(
    answer: &Answer,
    id: &IntegrationId,
    shape: &ResponseShape,
    sent_at: Now,
    held: &[Secret],
    secret_in_use: Option<usize>,
) -> Result<Issued, Unreadable> {
    let Some(json) = &answer.json else {
        return Err(match () {
            () if answer.text.expose().trim().is_empty() => Unreadable::Empty,
            () if answer.is_html => Unreadable::Html,
            () => Unreadable::NotJson,
        });
    };
    let token = match shape.access_token.find(json) {
        None | Some(Value::Null) => return Err(Unreadable::NoToken(shape.access_token.clone())),
        Some(Value::String(text)) if is_token(text) => text,
        Some(_) => return Err(Unreadable::BadToken(shape.access_token.clone())),
    };
    let lifetime = match lifetime::find(json, token, shape, answer.answered_at) {
        Lifetime::For(lifetime) => Some(lifetime),
        Lifetime::Never => None,
        Lifetime::Over => return Err(Unreadable::Over),
    };
    let refresh_token = granted::refresh_token(json, id, shape);
    let mut known = held.to_vec();
    if let Some(Value::String(refresh)) = shape.refresh_token.find(json) {
        known.push(Secret::new(refresh.as_str()));
    }
    let members = members::keep(json.clone(), shape, &known).unwrap_or_else(|| {
        tracing::warn!(
            integration.id = %id,
            "more than 16 KiB of further members in the vendor's answer for {id}: all dropped"
        );
        serde_json::Map::new()
    });
    let scope = shape.scope.find(json).and_then(scope);
    let scope = scope.filter(|text| {
        let fits = text.len() <= members::MAX_BYTES;
        if !fits {
            tracing::warn!(
                integration.id = %id,
                "more than 16 KiB of scope in the vendor's answer for {id}: dropped"
            );
        }
        fits
    });
    Ok(Issued {
        access_token: Secret::new(token.as_str()),
        token_type: token_type(json, shape),
        scope,
        members,
        sent_at,
        lifetime,
        secret_in_use,
        refresh_token,
    })
}

/// The answer's, if it is a registered one: beside the token, else at the top.
fn token_type(json: &Value, shape: &ResponseShape) -> String {
    let beside = shape
        .access_token
        .steps()
        .split_last()
        .and_then(|(_, parents)| {
            let parent = parents.iter().try_fold(json, |value, step| match value {
                Value::Object(members) => members.get(step),
                Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            })?;
            parent.get("token_type")
        });
    let said = beside.or_else(|| json.get("token_type"));
    said.and_then(Value::as_str)
        .and_then(|said| {
            REGISTERED
                .iter()
                .find(|known| known.eq_ignore_ascii_case(said.trim()))
        })
        .map_or_else(|| shape.token_type.clone(), |known| (*known).to_owned())
}

fn scope(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => {
            let words: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
            words?.join(" ").trim().to_owned()
        }
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
