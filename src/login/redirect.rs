//! What comes back from the vendor's page: the redirect's query, or what a person copied of it.
//!
//! Hostile input: bounded, read strictly where it matters, and never repeated but for the vendor's
//! own words, which are made fit to be shown.

use percent_encoding::percent_decode;

use crate::base::{Redactor, Secret, Zeroizing};

/// The longest redirect that is read.
pub const REDIRECT_MAX: usize = 16 * 1024;

/// A redirect's parameters (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirect {
    pub code: Option<Secret>,
    pub state: Option<Secret>,
    pub issuer: Option<String>,
    /// Fit to be shown, as is the description.
    pub error: Option<String>,
    pub error_description: Option<String>,
}

/// Why nothing can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("nothing was given: paste the whole address at which the browser ended")]
    Empty,
    #[error("it is longer than an address can be ({} KiB)", REDIRECT_MAX / 1024)]
    TooLong,
    #[error(
        "this is the address of the vendor's page: open it, consent, and give the address at which \
             the browser ends"
    )]
    NotYetVisited,
    #[error(
        "it has neither a code nor an error: copy the whole address at which the browser ended, \
             from http to its end"
    )]
    NoAnswer,
    #[error("'{0}' is in it twice: copy the address once, from http to its end")]
    Twice(&'static str),
    #[error("'{0}' in it is not readable: copy the whole address again, as it is")]
    Garbled(&'static str),
}

impl Redirect {
    /// Reads a whole URL, its query, or either as somebody pasted it: in quotes, with spaces around
    /// it, broken into lines. `code_name`: what the vendor calls `code`.
    pub fn read(text: &str, code_name: &str) -> Result<Self, Unreadable> {
        let (redirect, visited) = Self::parse(text, code_name)?;
        redirect.answered(visited)
    }

    /// Whose it is, for who does not yet know what the vendor calls `code`.
    pub fn state(text: &str) -> Result<Option<Secret>, Unreadable> {
        let (redirect, visited) = Self::parse(text, "code")?;
        if visited && redirect.state.is_some() {
            return Ok(redirect.state);
        }
        Ok(redirect.answered(visited)?.state)
    }

    /// Also whether the vendor's page was visited.
    fn parse(text: &str, code_name: &str) -> Result<(Self, bool), Unreadable> {
        if text.len() > REDIRECT_MAX {
            return Err(Unreadable::TooLong);
        }
        let text = joined(text);
        let query = query(&text);
        if query.is_empty() {
            return Err(Unreadable::Empty);
        }
        let mut redirect = Self::default();
        let mut visited = true;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = name.trim();
            // What a terminal or a mail program broke apart.
            let whole = || Zeroizing::new(value.split_whitespace().collect::<String>());
            match name {
                name if name == code_name => {
                    let code = Secret::new(text_of("code", &whole())?.as_str());
                    once("code", redirect.code.replace(code).is_some())?;
                }
                "state" => {
                    let state = Secret::new(text_of("state", &whole())?.as_str());
                    once("state", redirect.state.replace(state).is_some())?;
                }
                "iss" => {
                    let issuer = text_of("iss", &whole())?.as_str().to_owned();
                    once("iss", redirect.issuer.replace(issuer).is_some())?;
                }
                "error" => {
                    let error = shown("error", &whole())?;
                    once("error", redirect.error.replace(error).is_some())?;
                }
                "error_description" => {
                    let said = shown("error_description", value)?;
                    once(
                        "error_description",
                        redirect.error_description.replace(said).is_some(),
                    )?;
                }
                "response_type" | "code_challenge" => visited = false,
                _unknown => {}
            }
        }
        Ok((redirect, visited))
    }

    fn answered(self, visited: bool) -> Result<Self, Unreadable> {
        let empty = |secret: &Option<Secret>| secret.as_ref().is_none_or(Secret::is_empty);
        if self.error.as_deref().unwrap_or_default().is_empty() && empty(&self.code) {
            return Err(if visited {
                Unreadable::NoAnswer
            } else {
                Unreadable::NotYetVisited
            });
        }
        Ok(self)
    }
}

/// One line, without what people put around an address.
fn joined(text: &str) -> Zeroizing<String> {
    // A line broken by a terminal goes on where it stopped, or after the next line's indent.
    let lines = text.lines().map(str::trim);
    let line = Zeroizing::new(lines.collect::<String>());
    let around = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>()“”‘’«»\\".contains(c);
    Zeroizing::new(line.trim_matches(around).to_owned())
}

/// What follows the `?` of a URL, up to the fragment; all of it where it is no URL.
fn query(text: &str) -> &str {
    let before = text.split('#').next().unwrap_or_default();
    // A query may hold a `?` and a URL in a value, so only what comes before the first `=` tells.
    let start = before.split('=').next().unwrap_or_default();
    match start.find('?') {
        Some(at) => before.get(at + 1..).unwrap_or_default(),
        None if start.contains("://") => "no-query",
        None => before.trim_start_matches('&'),
    }
}

fn once(name: &'static str, again: bool) -> Result<(), Unreadable> {
    if again {
        return Err(Unreadable::Twice(name));
    }
    Ok(())
}

/// Form decoding that refuses what it cannot decode, and what RFC 6749 does not allow.
fn text_of(name: &'static str, value: &str) -> Result<Zeroizing<String>, Unreadable> {
    let decoded = decode(value).ok_or(Unreadable::Garbled(name))?;
    if decoded.chars().all(|c| matches!(c, ' '..='~')) {
        Ok(decoded)
    } else {
        Err(Unreadable::Garbled(name))
    }
}

/// Words of the vendor; the query it came in is anybody's.
fn shown(name: &'static str, value: &str) -> Result<String, Unreadable> {
    let decoded = decode(value).ok_or(Unreadable::Garbled(name))?;
    Ok(Redactor::default().clean(decoded.trim()))
}

fn decode(value: &str) -> Option<Zeroizing<String>> {
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(hex(rest.next()) && hex(rest.next())) {
            return None;
        }
    }
    let spaced = value
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte });
    let spaced = Zeroizing::new(spaced.collect::<Vec<u8>>());
    let decoded = percent_decode(&spaced).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

#[cfg(test)]
mod tests;
