//! Text and JSON with parts that are only known when they are sent.

use super::function::Function;
use super::response::Path;
use super::secret::SecretSource;

/// Text in parts; no two texts stand side by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phrase(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// Whole seconds since 1970, and so many more.
    Now(i64),
    Uuid,
    /// SHA-256 of the public half of the key that signs, as `SubjectPublicKeyInfo`, in base64.
    KeyFingerprint,
    /// SHA-256 of the certificate beside that key, in base64url without padding (RFC 7515, `x5t#S256`).
    CertificateFingerprint,
    /// The client secret that is being tried.
    ClientSecret,
    Secret(SecretSource),
    /// What an earlier step brought.
    Answer {
        step: usize,
        path: Path,
    },
    Apply(Function, Phrase),
}

/// A JSON value in such parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Draft {
    Bool(bool),
    Integer(i64),
    /// Finite.
    Float(f64),
    /// A single [`Part::Now`] is written as a number, a single [`Part::Answer`] as what it is.
    Text(Phrase),
    List(Vec<Draft>),
    Table(Vec<(Phrase, Draft)>),
}

impl Part {
    /// Reads what stands between braces, whatever is sent: `now`, `now+300`, `now-30` or `uuid`.
    pub fn parse(hole: &str) -> Option<Self> {
        if hole == "uuid" {
            return Some(Self::Uuid);
        }
        let offset = hole.strip_prefix("now")?;
        if offset.is_empty() {
            return Some(Self::Now(0));
        }
        let digits = offset.strip_prefix(['+', '-'])?;
        let sane = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        sane.then(|| offset.parse().ok().map(Self::Now)).flatten()
    }
}

impl Phrase {
    pub fn literal(text: impl Into<String>) -> Self {
        Self::new([Part::Text(text.into())])
    }

    /// Joins texts, and applies functions to what is known already.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            let part = match part {
                Part::Apply(function, inner) => match inner.known() {
                    Some(text) => Part::Text(function.apply(text)),
                    None => Part::Apply(function, inner),
                },
                part => part,
            };
            match (joined.last_mut(), part) {
                (_, Part::Text(text)) if text.is_empty() => {}
                (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
                (_, part) => joined.push(part),
            }
        }
        Self(joined)
    }

    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The text, if all of it is known.
    pub fn known(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Every part, those inside functions too.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        for part in &self.0 {
            visit(part);
            if let Part::Apply(_, inner) = part {
                inner.walk(visit);
            }
        }
    }
}

impl Draft {
    /// Every part of every text in it, names of members too.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        match self {
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {}
            Self::Text(phrase) => phrase.walk(visit),
            Self::List(items) => {
                for item in items {
                    item.walk(visit);
                }
            }
            Self::Table(members) => {
                for (name, value) in members {
                    name.walk(visit);
                    value.walk(visit);
                }
            }
        }
    }

    /// The text, if it is one and all of it is known.
    pub fn known_text(&self) -> Option<&str> {
        match self {
            Self::Text(phrase) => phrase.known(),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::List(_) | Self::Table(_) => {
                None
            }
        }
    }
}

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self::Text(Phrase::literal(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_of_what_is_sent() {
        for (hole, part) in [
            ("now", Some(Part::Now(0))),
            ("now+300", Some(Part::Now(300))),
            ("now-30", Some(Part::Now(-30))),
            ("uuid", Some(Part::Uuid)),
            ("now+", None),
            ("now300", None),
            ("now+-3", None),
            ("now+1.5", None),
            ("now+99999999999", None),
            ("nowhere", None),
            ("", None),
        ] {
            assert_eq!(Part::parse(hole), part, "{hole}");
        }
    }

    #[test]
    fn what_is_known_is_one_text() {
        let text = |text: &str| Part::Text(text.to_owned());
        let upper = |inner| Part::Apply(Function::Upper, Phrase::new([inner]));
        let known = Phrase::new([text("a"), text(""), upper(text("b")), text("c")]);
        assert_eq!(known.known(), Some("aBc"));
        assert_eq!(Phrase::literal("").known(), Some(""));
        let open = Phrase::new([text("a"), upper(Part::ClientSecret)]);
        assert_eq!(open.known(), None);
        let mut seen = Vec::new();
        open.walk(&mut |part| seen.push(part.clone()));
        assert_eq!(
            seen,
            [text("a"), upper(Part::ClientSecret), Part::ClientSecret]
        );
    }
}
