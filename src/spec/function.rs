//! What a template can do to a text: a small fixed set.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// What RFC 3986 leaves alone.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// RFC 4648 section 4, with padding.
    Base64,
    Upper,
    Lower,
    /// RFC 3986: everything but unreserved characters is percent-encoded.
    UrlEncode,
    /// In lower-case hexadecimal digits.
    Sha256,
}

impl Function {
    const ALL: [Self; 5] = [
        Self::Base64,
        Self::Upper,
        Self::Lower,
        Self::UrlEncode,
        Self::Sha256,
    ];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::UrlEncode => "urlencode",
            Self::Sha256 => "sha256",
        }
    }

    /// All of them, for a sentence.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    pub fn apply(self, text: &str) -> String {
        match self {
            Self::Base64 => STANDARD.encode(text),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::UrlEncode => utf8_percent_encode(text, UNRESERVED).to_string(),
            Self::Sha256 => Sha256::digest(text)
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    // Writing to a string cannot fail.
                    let _infallible = write!(hex, "{byte:02x}");
                    hex
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_them() {
        for (function, made) in [
            (Function::Base64, "QcOpK2I="),
            (Function::Upper, "AÉ+B"),
            (Function::Lower, "aé+b"),
            (Function::UrlEncode, "A%C3%A9%2Bb"),
        ] {
            assert_eq!(Function::parse(function.as_str()), Some(function));
            assert_eq!(function.apply("Aé+b"), made);
        }
        assert_eq!(
            Function::Sha256.apply("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Function::parse("md5"), None);
    }
}
