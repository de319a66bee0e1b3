//! What the holes of a URL can do to its host.
//!
//! A parameter is somebody's word, and an answer is the vendor's: neither may lead a request that
//! carries secrets to a host that nobody named.

use crate::spec::{Piece, Template};

/// What decides where a URL leads, besides what is written out in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Opening {
    /// Parameters at the most.
    Closed,
    /// Its host is made of what comes in an answer.
    Answer,
}

/// Walks a URL up to the end of its host. `chosen`: holes whose texts are written in the provider
/// file itself; `answered`: those that an answer fills. The error says what would be right.
pub(in crate::config) fn opening(
    template: &Template,
    chosen: impl Fn(&str) -> bool,
    answered: impl Fn(&str) -> bool,
) -> Result<Opening, &'static str> {
    let mut so_far = String::new();
    // What stands before a hole, or before the first of several.
    let mut behind = None;
    let mut opening = Opening::Closed;
    let pieces = template.pieces();
    for (index, piece) in pieces.iter().enumerate() {
        if host_ended(&so_far) {
            break;
        }
        if let Piece::Text(text) = piece {
            so_far.push_str(text);
            behind = text.chars().next_back();
            continue;
        }
        let from_answer = Template::of(vec![piece.clone()])
            .holes()
            .into_iter()
            .any(&answered);
        if from_answer {
            opening = Opening::Answer;
        }
        let trusted = matches!(piece, Piece::Member(name) if chosen(name));
        if trusted {
            behind = None;
        }
        let first = so_far.is_empty();
        if !first && !so_far.contains("://") {
            return Err(BEGINNING);
        }
        so_far.push_str(if first { "https://h" } else { "h" });
        let next = match pieces.get(index + 1) {
            None => None,
            Some(Piece::Text(text)) => text.chars().next(),
            // Whatever stands behind that one is looked at in its turn.
            Some(_) if !first => continue,
            Some(_) => Some('{'),
        };
        match next {
            _ if trusted => {}
            None | Some('/' | '?' | ':') if !first && !matches!(behind, Some('.' | '/' | ':')) => {
                return Err(
                    "has a hole at the end of its host, so '.' or '//' must be before it: else the \
                            host could become one of another domain",
                );
            }
            None | Some('/' | '?') => {}
            _ if first => {
                return Err(
                    "begins with a whole URL, so '/' or '?' must follow: else what follows \
                            could become another host",
                );
            }
            Some('.' | ':') => {}
            Some(_) => {
                return Err(
                    "has a hole in its host, so '.', ':', '/' or '?' must follow: else the \
                            host could become one of another domain",
                );
            }
        }
    }
    let begins = so_far.starts_with("https://") || so_far.starts_with("http://");
    if !begins {
        return Err(BEGINNING);
    }
    Ok(opening)
}

const BEGINNING: &str = "must begin with https://, or with a hole for a whole URL";

fn host_ended(so_far: &str) -> bool {
    let rest = so_far.split_once("://").map_or("", |(_, rest)| rest);
    rest.contains(['/', '?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Opening, &'static str> {
        let template = Template::parse(text).unwrap();
        opening(
            &template,
            |hole| hole == "region",
            |hole| hole.starts_with("steps."),
        )
    }

    #[test]
    fn no_hole_may_become_another_domain() {
        for (text, words) in [
            ("https://{x}example.com/t", "another domain"),
            ("https://a.{x}example.com/t", "another domain"),
            ("https://{x}-example.com/t", "another domain"),
            ("https://{lower({x})}example.com/t", "another domain"),
            ("https://{x}@example.com/t", "another domain"),
            ("https://example.com{x}/t", "another domain"),
            ("https://example.com{x}", "another domain"),
            ("https://a.b-{x}{y}:8443/t", "another domain"),
            ("https://example{region}{x}/t", "another domain"),
            ("{x}.example.com/t", "another host"),
            ("{x}{y}/t", "another host"),
            ("http{x}://example.com/t", "must begin"),
            ("{x}example.com", "another host"),
            ("example.com/{x}", "must begin"),
            ("ftp://example.com/", "must begin"),
            ("", "must begin"),
        ] {
            let found = of(text);
            assert!(
                found.is_err_and(|why| why.contains(words)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn what_holes_may_be() {
        for text in [
            "https://example.com/{x}{y}z",
            "https://{x}.example.com/t",
            "https://a-{x}.example.com",
            "https://{x}{y}.example.com/",
            "https://{x}/t",
            "https://login.{x}?a=b",
            "https://login.{x}{y}",
            "https://{x}:8443/t",
            "https://{x}:{y}/t",
            "https://example.com:{x}/t",
            "https://login{region}example.com/",
            "{x}/t",
            "{x}",
            "http://127.0.0.1:1/{x}",
        ] {
            assert_eq!(of(text), Ok(Opening::Closed), "{text}");
        }
        for text in ["{steps.0.url}/t", "https://{steps.0.dc}.example.com/t"] {
            assert_eq!(of(text), Ok(Opening::Answer), "{text}");
        }
        assert_eq!(of("https://x.example/{steps.0.id}"), Ok(Opening::Closed));
    }
}
