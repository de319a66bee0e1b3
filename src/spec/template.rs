//! Strings with holes, filled once and never expanded again.

use super::secret::SecretSource;

/// A string of an `api` table. Provider parameters and configuration values have been put in
/// already; what is left are members of the token answer: `{access_token}`, `{token_type}`,
/// `{scope}`, or a dotted path into what the vendor sent along (`{rest_instance_url}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// A member of the answer, by dotted path.
    Member(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("has a '{{' without '}}' (write '{{{{' for a brace itself)")]
    Unclosed,
    #[error("has a '}}' without '{{' (write '}}}}' for a brace itself)")]
    Unopened,
    #[error("has '{{{0}}}': a name in braces is letters, digits, '_', '-' and '.'")]
    BadName(String),
}

impl Template {
    /// Parses `{name}` holes; `{{` and `}}` are braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_names(text, is_name_char)
    }

    /// The same for claims, whose holes may be sums: `{now+300}`.
    pub fn parse_claim(text: &str) -> Result<Self, TemplateError> {
        Self::parse_names(text, |c| is_name_char(c) || c == '+')
    }

    fn parse_names(text: &str, in_name: impl Fn(char) -> bool) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' if chars.next_if_eq(&'{').is_some() => literal.push('{'),
                '}' if chars.next_if_eq(&'}').is_some() => literal.push('}'),
                '}' => return Err(TemplateError::Unopened),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(TemplateError::Unclosed),
                        }
                    }
                    if name.is_empty() || !name.chars().all(&in_name) {
                        return Err(TemplateError::BadName(name.chars().take(40).collect()));
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Member(name));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Puts text in place of the holes that `known` knows; the text is taken literally.
    #[must_use]
    pub fn fill(self, mut known: impl FnMut(&str) -> Option<String>) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.0.len());
        for piece in self.0 {
            let piece = match piece {
                Piece::Member(name) => known(&name).map_or(Piece::Member(name), Piece::Text),
                text @ Piece::Text(_) => text,
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
                (_, piece) => pieces.push(piece),
            }
        }
        Self(pieces)
    }

    /// The finished text; the name of the first hole that `lookup` cannot fill as the error.
    pub fn render(&self, mut lookup: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Member(name) => text.push_str(&lookup(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(text)
    }

    /// The text, if there are no holes.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A value of a token request: text, with secrets read when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestValue {
    Text(String),
    Secret(SecretSource),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_once() {
        let template = Template::parse("{{x}} {a}-{b.c}").unwrap();
        let filled = template.fill(|name| (name == "a").then(|| "{b.c}".to_owned()));
        assert_eq!(
            filled.render(|name| Some(name.to_uppercase())),
            Ok("{x} {b.c}-B.C".to_owned())
        );
        assert_eq!(filled.render(|_| None), Err("b.c".to_owned()));
    }

    #[test]
    fn refuses_what_is_not_a_template() {
        for (text, error) in [
            ("{a", TemplateError::Unclosed),
            ("a}", TemplateError::Unopened),
            ("{}", TemplateError::BadName(String::new())),
            ("{a b}", TemplateError::BadName("a b".to_owned())),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_text_without_braces_is_literal(text in ".{0,60}") {
            let parsed = Template::parse(&text);
            if !text.contains(['{', '}']) {
                let parsed = parsed.unwrap();
                proptest::prop_assert_eq!(parsed.literal(), Some(text.as_str()));
            }
        }
    }
}
