//! Texts and JSON as they are sent, out of what is known at that moment. Pure but for random numbers.

use std::cell::RefCell;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

use crate::base::{Secret, Timestamp, Zeroizing};
use crate::spec::{Draft, Part, Path, Phrase, SecretSource};

/// Numbers up to 2^53 survive every JSON parser.
pub(super) const INTEGER_BITS: u64 = (1 << 53) - 1;

/// Why a text cannot be made; goes on from "a request".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unmade {
    #[error("cannot be made: this machine gives no random numbers")]
    Random,
    #[error("cannot be made: the key has no public half that could be named")]
    NoKeyFingerprint,
    #[error(
        "cannot be made: there is no certificate whose fingerprint could stand in it: set \
         'certificate' beside 'key', or put the certificate into the key's file"
    )]
    NoCertificate,
    #[error("needs '{path}' of step {step}, and that is not in the answer")]
    NoAnswer { step: usize, path: Path },
    #[error("needs a text at '{path}' of step {step}, and there is an object or a list")]
    NoText { step: usize, path: Path },
    /// The configuration does not let this happen.
    #[error("cannot be made: a secret in it was not read")]
    NoSecret,
}

/// What can be named of the key that signs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fingerprints<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) certificate: Option<&'a str>,
}

/// What is known when something is sent.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// By the clock of whoever will read it, as far as that is known.
    pub(super) now: Timestamp,
    pub(super) client_secret: Option<&'a Secret>,
    pub(super) secrets: &'a [(SecretSource, Secret)],
    /// Of the steps before.
    pub(super) answers: &'a [Value],
    pub(super) fingerprints: Fingerprints<'a>,
    /// Texts made of secrets that are not the secrets themselves, such as their base64.
    derived: RefCell<Vec<Secret>>,
}

impl<'a> Moment<'a> {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            client_secret: None,
            secrets: &[],
            answers: &[],
            fingerprints: Fingerprints::default(),
            derived: RefCell::default(),
        }
    }

    pub(super) fn with_secrets(
        self,
        client_secret: Option<&'a Secret>,
        secrets: &'a [(SecretSource, Secret)],
    ) -> Self {
        Self {
            client_secret,
            secrets,
            ..self
        }
    }

    pub(super) fn with_answers(self, answers: &'a [Value]) -> Self {
        Self { answers, ..self }
    }

    pub(super) fn with_fingerprints(self, fingerprints: Fingerprints<'a>) -> Self {
        Self {
            fingerprints,
            ..self
        }
    }

    /// What must not be shown of what was made so far, besides the secrets themselves.
    pub(super) fn derived(self) -> Vec<Secret> {
        self.derived.into_inner()
    }

    pub(super) fn text(&self, phrase: &Phrase) -> Result<Zeroizing<String>, Unmade> {
        let mut text = Zeroizing::new(String::new());
        for part in phrase.parts() {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Now(offset) => text.push_str(&self.moment(*offset).to_string()),
                Part::Uuid => text.push_str(&uuid()?),
                Part::KeyFingerprint => {
                    text.push_str(self.fingerprints.key.ok_or(Unmade::NoKeyFingerprint)?);
                }
                Part::CertificateFingerprint => {
                    let found = self.fingerprints.certificate;
                    text.push_str(found.ok_or(Unmade::NoCertificate)?);
                }
                Part::ClientSecret => {
                    text.push_str(self.client_secret.ok_or(Unmade::NoSecret)?.expose());
                }
                Part::Secret(source) => text.push_str(self.secret(source)?.expose()),
                Part::Answer { step, path } => text.push_str(&self.answered(*step, path)?),
                Part::Apply(function, inner) => {
                    let made = Zeroizing::new(function.apply(&self.text(inner)?));
                    if is_secret(inner) {
                        self.derived.borrow_mut().push(Secret::new(made.as_str()));
                    }
                    text.push_str(&made);
                }
            }
        }
        Ok(text)
    }

    pub(super) fn json(&self, draft: &Draft) -> Result<Value, Unmade> {
        Ok(match draft {
            Draft::Bool(value) => (*value).into(),
            Draft::Integer(value) => (*value).into(),
            Draft::Float(value) => (*value).into(),
            Draft::Text(phrase) => self.value(phrase)?,
            Draft::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.json(item)).collect();
                items?.into()
            }
            Draft::Table(members) => self.members(members)?.into(),
        })
    }

    pub(super) fn members(
        &self,
        members: &[(Phrase, Draft)],
    ) -> Result<Map<String, Value>, Unmade> {
        let mut made = Map::new();
        for (name, value) in members {
            made.insert(self.text(name)?.as_str().to_owned(), self.json(value)?);
        }
        Ok(made)
    }

    /// Text, or a number if it is nothing but a time, or whatever an answer has there.
    pub(super) fn value(&self, phrase: &Phrase) -> Result<Value, Unmade> {
        match phrase.parts() {
            [Part::Now(offset)] => Ok(self.moment(*offset).into()),
            [Part::Answer { step, path }] => self.answer(*step, path).cloned(),
            _ => Ok(self.text(phrase)?.as_str().into()),
        }
    }

    fn moment(&self, offset: i64) -> i64 {
        self.now.unix_seconds().saturating_add(offset)
    }

    fn secret(&self, source: &SecretSource) -> Result<&Secret, Unmade> {
        let found = self.secrets.iter().find(|(known, _)| known == source);
        found.map(|(_, secret)| secret).ok_or(Unmade::NoSecret)
    }

    fn answer(&self, step: usize, path: &Path) -> Result<&Value, Unmade> {
        let found = self.answers.get(step).and_then(|answer| path.find(answer));
        found
            .filter(|value| !value.is_null())
            .ok_or_else(|| Unmade::NoAnswer {
                step,
                path: path.clone(),
            })
    }

    fn answered(&self, step: usize, path: &Path) -> Result<String, Unmade> {
        match self.answer(step, path)? {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(Unmade::NoText {
                step,
                path: path.clone(),
            }),
        }
    }
}

/// Whether a secret, or what an answer brought, is in it.
fn is_secret(phrase: &Phrase) -> bool {
    let mut found = false;
    phrase.walk(&mut |part| {
        found |= matches!(
            part,
            Part::ClientSecret | Part::Secret(_) | Part::Answer { .. }
        );
    });
    found
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Unmade> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.is_ok().then_some(bytes).ok_or(Unmade::Random)
}

/// RFC 9562, version 4.
pub(super) fn uuid() -> Result<String, Unmade> {
    let mut bits = u128::from_be_bytes(random()?);
    bits = bits & !(0xf << 76) | 0x4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Function;
    use serde_json::json;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn answer(step: usize, at: &str) -> Part {
        let path = path(at);
        Part::Answer { step, path }
    }

    #[test]
    fn secrets_and_what_is_made_of_them() {
        let source = SecretSource::File("/pin".into());
        let (secret, pin) = (Secret::new("s3cret"), Secret::new("4711"));
        let secrets = [(source.clone(), pin)];
        let moment = Moment::new(Timestamp::from_unix_seconds(1_800_000_000))
            .with_secrets(Some(&secret), &secrets);
        let text = |text: &str| Part::Text(text.to_owned());
        let pair = Phrase::new([text("id:"), Part::ClientSecret]);
        let header = Phrase::new([text("ID "), Part::Apply(Function::Base64, pair)]);
        assert_eq!(moment.text(&header).unwrap().as_str(), "ID aWQ6czNjcmV0");
        let whole = Phrase::new([Part::Secret(source)]);
        assert_eq!(moment.text(&whole).unwrap().as_str(), "4711");
        let public = Phrase::new([Part::Apply(Function::Sha256, Phrase::new([Part::Now(1)]))]);
        moment.text(&public).unwrap();
        assert_eq!(moment.derived(), [Secret::new("aWQ6czNjcmV0")]);
        let other = Phrase::new([Part::Secret(SecretSource::File("/other".into()))]);
        let moment = Moment::new(Timestamp::from_unix_seconds(0));
        assert_eq!(moment.text(&other), Err(Unmade::NoSecret));
        let secret = Phrase::new([Part::ClientSecret]);
        assert_eq!(moment.text(&secret), Err(Unmade::NoSecret));
    }

    #[test]
    fn answers_keep_their_kind_where_they_stand_alone() {
        let answers =
            [json!({"id": 7, "url": "https://x.example", "deep": {"list": [true, null]}})];
        let moment = Moment::new(Timestamp::from_unix_seconds(5)).with_answers(&answers);
        let draft = Draft::Table(vec![
            (
                Phrase::literal("id"),
                Draft::Text(Phrase::new([answer(0, "id")])),
            ),
            (
                Phrase::literal("at"),
                Draft::List(vec![
                    Draft::Text(Phrase::new([answer(0, "deep.list.0")])),
                    Draft::Text(Phrase::new([Part::Text("n".into()), answer(0, "id")])),
                    Draft::Text(Phrase::new([Part::Now(-5)])),
                ]),
            ),
        ]);
        assert_eq!(
            moment.json(&draft).unwrap(),
            json!({"id": 7, "at": [true, "n7", 0]})
        );
        for (step, at) in [(0, "deep.list.1"), (0, "none"), (1, "id")] {
            let missing = Phrase::new([answer(step, at)]);
            let wanted = Unmade::NoAnswer {
                step,
                path: path(at),
            };
            assert_eq!(moment.text(&missing), Err(wanted.clone()));
            assert_eq!(moment.value(&missing), Err(wanted));
        }
        let object = Phrase::new([answer(0, "deep")]);
        assert!(moment.text(&object).is_err() && moment.value(&object).is_ok());
    }
}
