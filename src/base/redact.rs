//! Text from a vendor, made fit for logs, errors and terminals.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::secret::Secret;

/// At most this many characters of vendor text are shown.
pub const VENDOR_TEXT_MAX: usize = 300;
/// At most so much of a text is looked at: it may be as long as an answer.
const READ_MAX: usize = 16 * 1024;
/// Shorter secrets would blank out ordinary words.
const SHORTEST: usize = 4;
const MARK: &str = "[redacted]";
/// What a form encoder leaves alone besides letters and digits.
const FORM_ISH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const LAZY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'+')
    .add(b'&')
    .add(b'=')
    .add(b'%');

/// Knows the secrets one exchange holds and removes them from text in every form they may take.
#[derive(Default)]
pub struct Redactor {
    forms: BTreeSet<Form>,
    is_blind: bool,
}

/// The longest first, or a short form would leave the rest of a longer one behind.
#[derive(PartialEq, Eq)]
struct Form(zeroize::Zeroizing<String>);

impl Ord for Form {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |form: &Self| Reverse(form.0.len());
        key(self)
            .cmp(&key(other))
            .then_with(|| self.0.as_str().cmp(other.0.as_str()))
    }
}

impl PartialOrd for Form {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.add(secret);
        }
        redactor
    }

    pub fn add(&mut self, secret: &Secret) {
        let text = secret.expose();
        if text.len() < SHORTEST {
            return;
        }
        let form = utf8_percent_encode(text, FORM_ISH).to_string();
        let json = serde_json::to_string(text).unwrap_or_default();
        let json = json.trim_matches('"').to_owned();
        let percent = [
            form.replace("%20", "+"),
            form,
            utf8_percent_encode(text, UNRESERVED).to_string(),
            utf8_percent_encode(text, LAZY).to_string(),
        ];
        let ascii = ascii_json(&json, |unit| format!("\\u{unit:04x}"));
        let upper = ascii_json(&json, |unit| format!("\\u{unit:04X}"));
        let forms = [
            text.to_owned(),
            STANDARD.encode(text),
            STANDARD_NO_PAD.encode(text),
            URL_SAFE.encode(text),
            URL_SAFE_NO_PAD.encode(text),
            json.replace('/', "\\/"),
            json,
            ascii.replace('/', "\\/"),
            ascii,
            upper.replace('/', "\\/"),
            upper,
        ];
        let lower = percent.each_ref().map(|form| lower_escapes(form));
        let all = forms.into_iter().chain(percent).chain(lower);
        self.forms
            .extend(all.map(|form| Form(zeroize::Zeroizing::new(form))));
    }

    /// There are more secrets than it can know: no text is shown from now on.
    pub fn blind(&mut self) {
        self.is_blind = true;
    }

    /// Whether `text` holds a known secret in any form.
    pub fn finds_in(&self, text: &str) -> bool {
        self.is_blind || self.forms.iter().any(|form| text.contains(form.0.as_str()))
    }

    /// The beginning of a long text, cut through no secret.
    fn beginning<'a>(&self, text: &'a str) -> &'a str {
        if text.len() <= READ_MAX {
            return text;
        }
        let longest = self.forms.first().map_or(0, |form| form.0.len());
        let mut end = text.floor_char_boundary(READ_MAX.saturating_sub(longest));
        let read = text
            .get(..text.floor_char_boundary(READ_MAX))
            .unwrap_or_default();
        // A secret that begins before the end is read whole; so it is cut behind it.
        for form in &self.forms {
            for (at, found) in read.match_indices(form.0.as_str()) {
                if at < end {
                    end = end.max(at + found.len());
                }
            }
        }
        read.get(..end).unwrap_or_default()
    }

    /// `text` without secrets, queries of URLs, control and bidi characters, cut to
    /// [`VENDOR_TEXT_MAX`] characters.
    pub fn clean(&self, text: &str) -> String {
        if self.is_blind && !text.is_empty() {
            return MARK.to_owned();
        }
        let mut text = self.beginning(text).to_owned();
        for Form(form) in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), MARK);
            }
        }
        let text = drop_url_queries(&text);
        let mut shown = String::new();
        let mut count = 0;
        for c in text.chars() {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c.is_control() || is_invisible(c) || (c == ' ' && shown.ends_with(' ')) {
                continue;
            }
            if count == VENDOR_TEXT_MAX {
                shown.push('…');
                break;
            }
            shown.push(c);
            count += 1;
        }
        shown.trim().to_owned()
    }
}

/// JSON text as the encoders write it that leave nothing outside ASCII.
fn ascii_json(json: &str, escape: impl Fn(u16) -> String) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&escape(*unit));
        }
    }
    text
}

/// `%2B` as some libraries write it: `%2b`.
fn lower_escapes(percent: &str) -> String {
    let mut escape = 0;
    let lower = |c: char| {
        escape = if c == '%' {
            2
        } else {
            i32::max(escape - 1, -1)
        };
        if escape >= 0 {
            c.to_ascii_lowercase()
        } else {
            c
        }
    };
    percent.chars().map(lower).collect()
}

/// Bidi controls, zero-width characters and the like: they can make a line read as another.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cuts `?...` off every URL: queries may carry secrets in forms we do not know.
fn drop_url_queries(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let end = |from: usize| {
            rest.get(from..)
                .and_then(|tail| {
                    tail.find(|c: char| {
                        c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')')
                    })
                })
                .map_or(rest.len(), |n| from + n)
        };
        let url_end = end(at);
        let url = rest.get(..url_end).unwrap_or_default();
        match url.get(at..).and_then(|tail| tail.find(['?', '#'])) {
            Some(n) => {
                kept.push_str(url.get(..=at + n).unwrap_or_default());
                kept.push('…');
            }
            None => kept.push_str(url),
        }
        rest = rest.get(url_end..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_ascii_and_in_lower_case_are_known_too() {
        let redactor = Redactor::new([&Secret::new("s3cr\u{e9}t/+\u{1f511}AbC")]);
        for form in [
            r"s3cr\u00e9t/+\ud83d\udd11AbC",
            r"s3cr\u00E9t/+\uD83D\uDD11AbC",
            r"s3cr\u00e9t\/+\ud83d\udd11AbC",
            "s3cr%c3%a9t%2f%2b%f0%9f%94%91AbC",
            "s3cr%C3%A9t%2F%2B%F0%9F%94%91AbC",
        ] {
            assert_eq!(redactor.clean(&format!("<{form}>")), "<[redacted]>");
        }
    }

    #[test]
    fn removes_secrets_in_every_form() {
        let redactor = Redactor::new([&Secret::new("s3cret/+ \"é")]);
        for form in [
            "s3cret/+ \"é",
            "s3cret%2F%2B%20%22%C3%A9",
            "s3cret%2F%2B+%22%C3%A9",
            &STANDARD.encode("s3cret/+ \"é"),
            &URL_SAFE_NO_PAD.encode("s3cret/+ \"é"),
            r#"s3cret/+ \"é"#,
            r#"s3cret\/+ \"é"#,
        ] {
            let shown = redactor.clean(&format!("bad secret {form}!"));
            assert_eq!(shown, "bad secret [redacted]!", "{form}");
        }
    }

    #[test]
    fn removes_what_could_fool_a_reader() {
        let redactor = Redactor::default();
        assert_eq!(
            redactor.clean("a\u{202e}b\u{7}c\r\nd\u{1b}[31m"),
            "abc d[31m"
        );
        assert_eq!(redactor.clean(&"é".repeat(400)).chars().count(), 301);
        assert_eq!(
            redactor.clean("see https://v.example/x?code=1&t=2 and http://w.example/y now"),
            "see https://v.example/x?… and http://w.example/y now"
        );
    }

    #[test]
    fn a_long_text_is_cut_through_no_secret() {
        let secret = "s3cret-of-some-length-0123456789";
        let redactor = Redactor::new([&Secret::new(secret)]);
        // Nothing is to be seen but the secret, wherever the text is cut.
        for before in READ_MAX - 2 * secret.len()..READ_MAX + 3 {
            let text = format!("{}{secret}{}", " ".repeat(before), " ".repeat(READ_MAX));
            let shown = redactor.clean(&text);
            assert!(matches!(shown.as_str(), "" | MARK), "{before}: {shown}");
        }
    }

    #[test]
    fn more_secrets_than_can_be_known_leave_nothing_to_show() {
        let mut redactor = Redactor::default();
        redactor.blind();
        assert_eq!(redactor.clean("anything"), MARK);
        assert_eq!(redactor.clean(""), "");
        assert!(redactor.finds_in("anything"));
    }

    proptest::proptest! {
        #[test]
        fn a_secret_never_survives(
            secret in "[ -~é]{8,40}", before in ".{0,20}", after in ".{0,20}"
        ) {
            let redactor = Redactor::new([&Secret::new(secret.clone())]);
            proptest::prop_assume!(!before.contains(&secret) && !after.contains(&secret));
            let shown = redactor.clean(&format!("{before}{secret}{after}"));
            proptest::prop_assert!(!shown.contains(&secret));
        }
    }
}
