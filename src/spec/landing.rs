//! A value that is put into a URL: where it lands decides what it may be.
//!
//! Invariant: none moves the end of the host, and none climbs out of its path segment.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::url::Endpoint;

/// What RFC 3986 leaves alone.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What would be right where the value lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("must be a whole URL: https, without user, query and fragment")]
    WholeUrl,
    #[error(
        "must be a part of a host name: letters, digits and '-', no dots at the ends, no slashes"
    )]
    Host,
    #[error("must be a name that can stand in a path")]
    Segment,
}

/// The value as it is written behind `before`, the beginning of a URL.
pub fn land(before: &str, value: &str) -> Result<String, Misfit> {
    if before.is_empty() {
        let url = Endpoint::parse(value)
            .ok()
            .filter(|endpoint| endpoint.url().query().is_none() && !value.contains(['?', '#']))
            .ok_or(Misfit::WholeUrl)?;
        return Ok(url.url().as_str().trim_end_matches('/').to_owned());
    }
    let after_scheme = before.split_once("://").map_or(before, |(_, rest)| rest);
    if !after_scheme.contains(['/', '?']) {
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        return value
            .split('.')
            .all(label_ok)
            .then(|| value.to_ascii_lowercase())
            .ok_or(Misfit::Host);
    }
    if !after_scheme.contains('?') && matches!(value, "" | "." | "..") {
        return Err(Misfit::Segment);
    }
    Ok(utf8_percent_encode(value, SEGMENT).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_takes_its_own() {
        for (before, value, landed) in [
            ("", "https://x.example/a/", Ok("https://x.example/a")),
            ("", "x.example", Err(Misfit::WholeUrl)),
            ("", "https://x.example?a", Err(Misfit::WholeUrl)),
            ("https://", "Tenant-1", Ok("tenant-1")),
            ("https://", "a.b", Ok("a.b")),
            ("https://", "a/b", Err(Misfit::Host)),
            ("https://", "a.", Err(Misfit::Host)),
            ("https://", "-a", Err(Misfit::Host)),
            ("https://", "", Err(Misfit::Host)),
            ("https://x/", "a/b?c", Ok("a%2Fb%3Fc")),
            ("https://x/", "..", Err(Misfit::Segment)),
            ("https://x/", "", Err(Misfit::Segment)),
            ("https://x?a=", "..&b", Ok("..%26b")),
            ("https://x?a=", "", Ok("")),
        ] {
            let landed = landed.map(str::to_owned);
            assert_eq!(land(before, value), landed, "{before} {value}");
        }
    }
}
