//! Strings with holes, filled once and never expanded again.

use super::function::Function;

/// A string with holes: `{name}`, and `{function(text)}`, whose text may have holes of its own.
///
/// In an `api` table provider parameters and configuration values have been put in already; what is
/// left are members of the token answer: `{access_token}`, `{token_type}`, `{scope}`, or a dotted path
/// into what the vendor sent along (`{rest_instance_url}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// A hole, by name; in an `api` table a member of the answer, by dotted path.
    Member(String),
    Apply(Function, Template),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("has a '{{' without '}}' (write '{{{{' for a brace itself)")]
    Unclosed,
    #[error("has a '}}' without '{{' (write '}}}}' for a brace itself)")]
    Unopened,
    #[error("has a hole whose name is not letters, digits, '_', '-' and '.'")]
    BadName,
    /// Its name, if it is one: anything else may be part of a value.
    #[error("has an unknown function{0}: there are {names}", names = Function::names())]
    UnknownFunction(String),
    #[error("has functions in one another more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Functions in one another.
const MAX_DEPTH: usize = 4;

impl Template {
    /// Parses `{name}` and `{function(...)}` holes; `{{` and `}}` are braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_names(text, is_name_char)
    }

    /// The same for what is made when it is sent, whose holes may be sums: `{now+300}`.
    pub fn parse_phrase(text: &str) -> Result<Self, TemplateError> {
        Self::parse_names(text, |c| is_name_char(c) || c == '+')
    }

    fn parse_names(text: &str, in_name: fn(char) -> bool) -> Result<Self, TemplateError> {
        let mut parser = Parser {
            chars: text.chars().peekable(),
            in_name,
        };
        parser.template(0)
    }

    /// Texts side by side become one, and functions of what is known already their texts.
    pub fn of(pieces: Vec<Piece>) -> Self {
        Self(pieces).fill(|_| None)
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The names of all holes, those inside functions too.
    pub fn holes(&self) -> Vec<&str> {
        let holes = |piece| match piece {
            &Piece::Text(_) => Vec::new(),
            Piece::Member(name) => vec![name.as_str()],
            Piece::Apply(_, inner) => inner.holes(),
        };
        self.0.iter().flat_map(holes).collect()
    }

    /// Puts text in place of the holes that `known` knows; the text is taken literally.
    #[must_use]
    pub fn fill(self, mut known: impl FnMut(&str) -> Option<String>) -> Self {
        self.fill_with(&mut known)
    }

    fn fill_with(self, known: &mut dyn FnMut(&str) -> Option<String>) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.0.len());
        for piece in self.0 {
            let piece = match piece {
                Piece::Member(name) => known(&name).map_or(Piece::Member(name), Piece::Text),
                Piece::Apply(function, inner) => {
                    let inner = inner.fill_with(known);
                    match inner.literal() {
                        Some(text) => Piece::Text(function.apply(text)),
                        None => Piece::Apply(function, inner),
                    }
                }
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
        self.render_with(&mut lookup)
    }

    fn render_with(
        &self,
        lookup: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Member(name) => text.push_str(&lookup(name).ok_or_else(|| name.clone())?),
                Piece::Apply(function, inner) => {
                    text.push_str(&function.apply(&inner.render_with(lookup)?));
                }
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

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    in_name: fn(char) -> bool,
}

impl Parser<'_> {
    /// Up to the end of the text, or inside a function to its `)}`.
    fn template(&mut self, depth: usize) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        loop {
            match self.chars.next() {
                None if depth > 0 => return Err(TemplateError::Unclosed),
                None => break,
                Some(')') if depth > 0 && self.chars.next_if_eq(&'}').is_some() => break,
                Some('{') if self.chars.next_if_eq(&'{').is_some() => literal.push('{'),
                Some('}') if self.chars.next_if_eq(&'}').is_some() => literal.push('}'),
                Some('}') => return Err(TemplateError::Unopened),
                Some('{') => {
                    let hole = self.hole(depth)?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(hole);
                }
                Some(c) => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Template(pieces))
    }

    fn hole(&mut self, depth: usize) -> Result<Piece, TemplateError> {
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some('}') if !name.is_empty() && name.chars().all(self.in_name) => {
                    return Ok(Piece::Member(name));
                }
                Some('}') => return Err(TemplateError::BadName),
                Some('(') => {
                    let Some(function) = Function::parse(&name) else {
                        return Err(TemplateError::UnknownFunction(shown(&name)));
                    };
                    if depth == MAX_DEPTH {
                        return Err(TemplateError::TooDeep);
                    }
                    return Ok(Piece::Apply(function, self.template(depth + 1)?));
                }
                Some(c) => name.push(c),
                None => return Err(TemplateError::Unclosed),
            }
        }
    }
}

/// ` 'name'`, or nothing where it is none.
fn shown(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= 20 && name.chars().all(is_plain) {
        format!(" '{name}'")
    } else {
        String::new()
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
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
    fn functions_take_texts_with_holes() {
        let text = "ID {base64({id}:{secret})} {upper(a{lower({id})}(b))}";
        let template = Template::parse(text).unwrap();
        assert_eq!(template.holes(), ["id", "secret", "id"]);
        let half = template
            .clone()
            .fill(|name| (name == "id").then(|| "Ab".to_owned()));
        assert_eq!(half.holes(), ["secret"]);
        assert_eq!(
            half.render(|_| Some("s".to_owned())),
            Ok("ID QWI6cw== AAB(B)".to_owned())
        );
        let whole = template.fill(|_| Some("x".to_owned()));
        assert_eq!(whole.literal(), Some("ID eDp4 AX(B)"));
        assert_eq!(
            Template::parse("{base64(a").unwrap_err(),
            TemplateError::Unclosed
        );
    }

    #[test]
    fn refuses_what_is_not_a_template() {
        for (text, error) in [
            ("{a", TemplateError::Unclosed),
            ("a}", TemplateError::Unopened),
            ("{}", TemplateError::BadName),
            ("{a b}", TemplateError::BadName),
            (
                "{rot13(a)}",
                TemplateError::UnknownFunction(" 'rot13'".into()),
            ),
            (
                "{S3cret p@ss(a)}",
                TemplateError::UnknownFunction(String::new()),
            ),
            ("{(a)}", TemplateError::UnknownFunction(String::new())),
            ("{base64(a)", TemplateError::Unclosed),
            ("{base64({a)}", TemplateError::BadName),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        let deep = "{upper(".repeat(5) + &")}".repeat(5);
        assert_eq!(Template::parse(&deep), Err(TemplateError::TooDeep));
        let said = TemplateError::UnknownFunction(shown("rot13")).to_string();
        assert!(said.contains("'rot13': there are base64, upper"), "{said}");
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

        #[test]
        fn what_is_rendered_at_once_or_in_two_goes_is_the_same(
            text in "[a{}()b]{0,30}|(\\{(upper|base64|sha256)\\([a-c{}]{0,9}\\)\\}|\\{a\\}|b){0,5}",
        ) {
            if let Ok(template) = Template::parse(&text) {
                let value = |name: &str| Some(format!("<{name}>"));
                let at_once = template.render(value);
                let filled = template.fill(|name| value(name).filter(|_| name == "a"));
                proptest::prop_assert_eq!(filled.render(value), at_once);
            }
        }
    }
}
