//! Content negotiation, of which there is one question: is the bare token wanted?

use hyper::header::{ACCEPT, HeaderMap};

/// Whether `Accept` allows text/plain and not JSON.
pub(super) fn wants_raw(headers: &HeaderMap) -> bool {
    // Without the header everything is allowed, JSON too.
    headers.contains_key(ACCEPT)
        && quality(headers, "text", "plain") > 0
        && quality(headers, "application", "json") == 0
}

/// The quality of a type in thousandths: the most specific range that matches decides.
fn quality(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let mut best = (0, 0);
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values.filter_map(|value| value.to_str().ok());
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let Some((a, b)) = parts.next().and_then(|media| media.split_once('/')) else {
            continue;
        };
        let specificity = if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) {
            3
        } else if a.eq_ignore_ascii_case(kind) && b == "*" {
            2
        } else if a == "*" && b == "*" {
            1
        } else {
            continue;
        };
        let weight = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, text)| thousandths(text.trim()));
        // Of equals the better one: the caller allowed it once.
        best = best.max((specificity, weight));
    }
    best.1
}

/// `0`, `0.5`, `1.000`; what is none of these counts as one, as if it were not there.
fn thousandths(text: &str) -> u16 {
    let Ok(value) = text.parse::<f32>() else {
        return 1000;
    };
    if !(0.0..=1.0).contains(&value) {
        return 1000;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0..=1000"
    )]
    let weight = (value * 1000.0).round() as u16;
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_only_where_json_is_not_wanted() {
        for (accept, raw) in [
            ("text/plain", true),
            ("TEXT/Plain; charset=utf-8", true),
            ("text/*", true),
            ("text/plain, application/json;q=0", true),
            ("text/plain, */*;q=0", true),
            ("text/plain, text/html;q=0.5", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("text/plain, */*;q=0.1", false),
            ("text/plain;q=0", false),
            ("text/plain;q=0.000", false),
            ("image/png", false),
            ("text/html", false),
            ("nonsense", false),
            (",;,/;q=", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_raw(&headers), raw, "{accept}");
        }
        assert!(!wants_raw(&HeaderMap::new()));
    }
}
