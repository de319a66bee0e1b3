//! From a successful answer to a token in our own terms. Pure.

use serde_json::Value;

use super::answer::Answer;
use super::granted;
use super::lifetime::{self, Lifetime, Oddity};
use super::members;
use crate::base::{IntegrationId, Issued, Now, Secret};
use crate::spec::{Path, ResponseShape, Scalar, find_any};

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
    #[error("there is no token at {}", quoted(.0))]
    NoToken(Vec<Path>),
    /// Of a step before the last.
    #[error("there is nothing at '{0}', which a later step needs")]
    NoMember(Path),
    #[error("what later steps take of it is longer than can be kept")]
    TooMuchTaken,
    #[error("the body is no token of 1 to 65536 printable characters without spaces")]
    NotRaw,
    #[error(
        "the token at '{0}' is not 1 to 65536 printable characters without spaces, so it cannot \
         be used in a header"
    )]
    BadToken(Path),
    #[error("the token has no lifetime left")]
    Over,
}

fn quoted(paths: &[Path]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
    quoted.join(" or ")
}

/// A text that can be used as a token: it must fit into a header.
pub(super) fn is_token(text: &str) -> bool {
    (1..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// What is known besides the answer.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) id: &'a IntegrationId,
    pub(super) shape: &'a ResponseShape,
    pub(super) sent_at: Now,
    /// Secrets and refresh tokens we know.
    pub(super) held: &'a [Secret],
    pub(super) secret_in_use: Option<usize>,
    /// The token that a good answer without one prolongs.
    pub(super) prolongs: Option<&'a Secret>,
}

/// `Ok` for an answer with a token that is of use, and what is strange about its lifetime.
pub(super) fn normalise(
    answer: &Answer,
    reading: Reading<'_>,
) -> Result<(Issued, Option<Oddity>), Unreadable> {
    let Reading {
        id,
        shape,
        sent_at,
        held,
        secret_in_use,
        prolongs,
    } = reading;
    let found = if shape.is_raw {
        whole_body(answer)?
    } else {
        member(answer, shape, prolongs)?
    };
    let nothing = Value::Null;
    let json = found.json.unwrap_or(&nothing);
    let token = found.text;
    let (lifetime, oddity) = lifetime::find(json, token, shape, answer.answered_at);
    let lifetime = match lifetime {
        Lifetime::For(lifetime) => Some(lifetime),
        Lifetime::Never => None,
        Lifetime::Over => return Err(Unreadable::Over),
    };
    let refresh_token = granted::refresh_token(json, id, shape, answer.answered_at);
    let mut known = held.to_vec();
    known.extend(refresh_token.as_ref().map(|found| found.token.clone()));
    let ours = members::Echoes::of(&known);
    let members = members::keep(json.clone(), shape, &ours).unwrap_or_else(|| {
        tracing::warn!(
            integration.id = %id,
            "more than 16 KiB of further members in the vendor's answer for {id}: all dropped"
        );
        serde_json::Map::new()
    });
    let scope = find_any(&shape.scope, json).and_then(scope);
    let scope = scope.filter(|text| !ours.are_in(text));
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
    let issued = Issued {
        access_token: Secret::new(token),
        token_type: token_type(json, found.path, shape),
        scope,
        members,
        sent_at,
        lifetime,
        secret_in_use,
        refresh_token,
    };
    Ok((issued, oddity))
}

/// A token, and what came with it.
struct Token<'a> {
    text: &'a str,
    json: Option<&'a Value>,
    /// Where in it.
    path: Option<&'a Path>,
}

/// An answer that is JSON, or why there is none.
pub(super) fn json(answer: &Answer) -> Result<&Value, Unreadable> {
    answer.json.as_ref().ok_or(match () {
        () if answer.text.expose().trim().is_empty() => Unreadable::Empty,
        () if answer.is_html => Unreadable::Html,
        () => Unreadable::NotJson,
    })
}

/// Whether every member equals what it must.
pub(super) fn holds(members: &[(Path, Scalar)], json: &Value) -> bool {
    let holds =
        |(path, wanted): &(Path, Scalar)| path.find(json).is_some_and(|found| wanted.holds(found));
    members.iter().all(holds)
}

fn member<'a>(
    answer: &'a Answer,
    shape: &'a ResponseShape,
    prolongs: Option<&'a Secret>,
) -> Result<Token<'a>, Unreadable> {
    let json = json(answer)?;
    let found = shape.access_token.iter().find_map(|path| {
        let value = path.find(json).filter(|value| !value.is_null())?;
        Some((path, value))
    });
    let (path, token) = match (found, prolongs) {
        (Some((path, Value::String(text))), _) if is_token(text) => (Some(path), text.as_str()),
        (Some((path, _)), _) => return Err(Unreadable::BadToken(path.clone())),
        (None, Some(token)) if !shape.extended.is_empty() && holds(&shape.extended, json) => {
            (None, token.expose())
        }
        (None, _) => return Err(Unreadable::NoToken(shape.access_token.clone())),
    };
    Ok(Token {
        text: token,
        json: Some(json),
        path,
    })
}

/// As it is, or as a JSON string; an object is no token, however short.
fn whole_body(answer: &Answer) -> Result<Token<'_>, Unreadable> {
    let token = match &answer.json {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_)) => {
            return Err(Unreadable::NotRaw);
        }
        Some(Value::Number(_)) | None => answer.text.expose().trim(),
    };
    if token.is_empty() {
        return Err(Unreadable::Empty);
    }
    if answer.is_html {
        return Err(Unreadable::Html);
    }
    if !is_token(token) {
        return Err(Unreadable::NotRaw);
    }
    Ok(Token {
        text: token,
        json: None,
        path: None,
    })
}

/// The answer's, if it is a registered one: beside the token, else at the top.
fn token_type(json: &Value, path: Option<&Path>, shape: &ResponseShape) -> String {
    let steps = path.map(Path::steps).unwrap_or_default();
    let beside = steps.split_last().and_then(|(_, parents)| {
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
