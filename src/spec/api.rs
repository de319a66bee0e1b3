//! What a call to the vendor's API needs besides the token.

use super::template::Template;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    pub base_url: Option<Template>,
    /// Header names as the operator wrote them; `Authorization` is here unless it was removed.
    pub headers: Vec<(String, Template)>,
    pub query: Vec<(String, Template)>,
    /// Hosts a `base_url` made of vendor answers may have; empty: only literal ones.
    pub hosts: Vec<HostPattern>,
}

impl Api {
    /// The `Authorization` header unless the configuration says otherwise.
    pub const AUTHORIZATION: &'static str = "{token_type} {access_token}";
}

/// A host name, or `*.` and a suffix: then any number of labels before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// `None` if it is no host name, with or without the leading `*.`.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let labels_ok = name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        // A bare top-level name behind `*.` would allow half the world.
        let wide = text.starts_with("*.") && !name.contains('.');
        (labels_ok && !wide && name.len() <= 253).then(|| Self(text.to_ascii_lowercase()))
    }

    pub fn matches(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let wide = HostPattern::parse("*.rest.example.com").unwrap();
        assert!(wide.matches("a.rest.example.com") && wide.matches("A.b.REST.example.com."));
        assert!(!wide.matches("rest.example.com") && !wide.matches("evilrest.example.com"));
        assert!(!wide.matches("a.rest.example.com.evil.example"));
        assert!(
            HostPattern::parse("api.example.com")
                .unwrap()
                .matches("API.example.com")
        );
        for bad in ["", "*", "*.", "*.com", "a..b", "-a.b", "a/b", "a.*.b"] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
    }
}
