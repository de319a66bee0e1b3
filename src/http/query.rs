//! Query parameters, strictly: what is not understood is refused, never ignored.
//!
//! The tables of parameters here are also what the OpenAPI document lists.

use std::time::Duration;

use percent_encoding::percent_decode;

use super::error::Problem;
use crate::base::parse_duration;

/// A query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    /// Of `/token` and `/refresh`.
    TokenFormat,
    /// Of `/headers`.
    HeadersFormat,
    MinTtl,
    Wait,
    Verbose,
}

impl Param {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TokenFormat | Self::HeadersFormat => "format",
            Self::MinTtl => "min_ttl",
            Self::Wait => "wait",
            Self::Verbose => "verbose",
        }
    }

    /// What may be written; empty: a duration.
    pub(super) fn values(self) -> &'static [&'static str] {
        match self {
            Self::TokenFormat => &["json", "raw", "header"],
            Self::HeadersFormat => &["json", "curl"],
            Self::MinTtl | Self::Wait => &[],
            Self::Verbose => &["", "true", "false"],
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::TokenFormat => {
                "json (the default), raw (the token alone), or header (the value of the Authorization header)"
            }
            Self::HeadersFormat => "json (the default), or curl (lines for `curl -K -`)",
            Self::MinTtl => "the least time the token must be good for, such as 5m",
            Self::Wait => {
                "the longest time to wait for a token, at most the configured one; 0 never waits"
            }
            Self::Verbose => "list the checks",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Raw,
    Header,
    Curl,
}

/// What a query said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Query {
    pub(super) format: Option<Format>,
    pub(super) min_ttl: Option<Duration>,
    pub(super) wait: Option<Duration>,
    pub(super) verbose: bool,
}

/// What happens to parameters nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Refused,
    /// SDKs write dummy credentials into the query of their token URL as they do into the body;
    /// `format` means nothing there either.
    Ignored,
}

pub(super) fn parse(
    query: Option<&str>,
    known: &[Param],
    unknown: Unknown,
) -> Result<Query, Problem> {
    let mut parsed = Query::default();
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(parsed);
    };
    let mut seen = Vec::with_capacity(known.len());
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let Some(param) = known.iter().copied().find(|param| param.name() == name) else {
            if unknown == Unknown::Ignored {
                continue;
            }
            return Err(unknown_parameter(&name, known));
        };
        if seen.contains(&param) {
            let name = param.name();
            return Err(Problem::invalid(format!("'{name}' is given twice.")));
        }
        seen.push(param);
        set(&mut parsed, param, &value)?;
    }
    Ok(parsed)
}

fn set(query: &mut Query, param: Param, value: &str) -> Result<(), Problem> {
    let name = param.name();
    let duration = || {
        parse_duration(value).ok_or_else(|| {
            Problem::invalid(format!(
                "'{name}' must be a duration such as 1h30m, 500ms, or whole seconds."
            ))
        })
    };
    let choice = || {
        Problem::invalid(format!(
            "'{name}' must be one of {}.",
            param.values().join(", ").trim_start_matches(", ")
        ))
    };
    match param {
        Param::MinTtl => query.min_ttl = Some(duration()?),
        Param::Wait => query.wait = Some(duration()?),
        Param::TokenFormat => {
            query.format = Some(match value {
                "json" => Format::Json,
                "raw" => Format::Raw,
                "header" => Format::Header,
                _ => return Err(choice()),
            });
        }
        Param::HeadersFormat => {
            query.format = Some(match value {
                "json" => Format::Json,
                "curl" => Format::Curl,
                _ => return Err(choice()),
            });
        }
        Param::Verbose => {
            query.verbose = match value {
                "" | "true" => true,
                "false" => false,
                _ => return Err(choice()),
            };
        }
    }
    Ok(())
}

fn unknown_parameter(name: &str, known: &[Param]) -> Problem {
    let known: Vec<_> = known.iter().map(|param| param.name()).collect();
    // What is not a plain word is not worth repeating.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let what = if !name.is_empty() && name.len() <= 40 && name.chars().all(plain) {
        format!("The query parameter '{name}' is not known here")
    } else {
        "A query parameter is not known here".to_owned()
    };
    Problem::invalid(if known.is_empty() {
        format!("{what}: there are none.")
    } else {
        format!("{what}; those that are: {}.", known.join(", "))
    })
}

/// Form decoding that refuses what it cannot decode.
fn decode(text: &str) -> Result<String, Problem> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(hex(rest.next()) && hex(rest.next())) {
            return Err(Problem::invalid(
                "The query has a '%' that is not followed by two hexadecimal digits.",
            ));
        }
    }
    let spaced: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    match percent_decode(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_not_utf8) => Err(Problem::invalid("The query is not UTF-8.")),
    }
}
