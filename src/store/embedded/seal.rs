//! How values are sealed: XChaCha20-Poly1305 with the entry's name and version as associated data,
//! so that no entry can be put in the place of another or of an earlier one.
//!
//! Names, versions and sizes are not hidden. Invariant: a nonce is 24 random bytes, used once.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{Key as CipherKey, Tag, XChaCha20Poly1305, XNonce};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::base::Zeroizing;
use crate::store::{StoreError, Version, hex};

const NONCE: usize = 24;
const TAG: usize = 16;
/// What a sealed value is longer than the plain one.
const OVERHEAD: usize = NONCE + TAG;
const DOMAIN: &[u8] = b"token-broker entry\0";
const CHECK_NAME: &str = "key check";
const CHECK_VALUE: &[u8] = b"this is the key";

/// Thirty-two bytes that seal a store.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// Why something is no key; holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "must be 32 bytes: as they are, as 64 hex digits, or in base64 (`openssl rand -hex 32` makes one)"
    )]
    Form,
    #[error("is 32 hex digits, which are 16 bytes only: `openssl rand -hex 32` makes 64")]
    Short,
}

impl SealingKey {
    /// From what a file or a variable holds. A newline at its end is not part of it, unless it is
    /// one of exactly 32 bytes.
    pub fn parse(given: &[u8]) -> Result<Self, KeyError> {
        if let Ok(raw) = <&[u8; 32]>::try_from(given) {
            let hex = raw.iter().all(u8::is_ascii_hexdigit);
            return if hex {
                Err(KeyError::Short)
            } else {
                Ok(Self(Zeroizing::new(*raw)))
            };
        }
        let trimmed = given.strip_suffix(b"\n").unwrap_or(given);
        let trimmed = trimmed.strip_suffix(b"\r").unwrap_or(trimmed);
        if trimmed.len() == 32 {
            return Self::parse(trimmed);
        }
        let text = str::from_utf8(trimmed).unwrap_or_default().trim();
        if let Some(key) = hex::decode32(text) {
            return Ok(Self(Zeroizing::new(key)));
        }
        for form in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            if let Ok(bytes) = form.decode(text).map(Zeroizing::new)
                && let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice())
            {
                return Ok(Self(Zeroizing::new(key)));
            }
        }
        Err(KeyError::Form)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How the values of one store are written.
#[derive(Clone)]
pub(super) enum Seal {
    Plain,
    /// The cipher wipes its key when it is dropped.
    Sealed(Box<XChaCha20Poly1305>),
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Sealed(_) => "Sealed",
        })
    }
}

/// A value was changed, is another entry's, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Seal {
    pub(super) fn new(key: Option<&SealingKey>) -> Self {
        key.map_or(Self::Plain, |key| {
            let key = CipherKey::from_slice(key.0.as_slice());
            Self::Sealed(Box::new(XChaCha20Poly1305::new(key)))
        })
    }

    pub(super) fn seal(
        &self,
        name: &str,
        version: Version,
        value: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let cipher = match self {
            Self::Plain => return Ok(Zeroizing::new(value.to_vec())),
            Self::Sealed(cipher) => cipher,
        };
        let mut nonce = [0; NONCE];
        let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + OVERHEAD));
        let drawn = SystemRandom::new().fill(&mut nonce);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = match (drawn, sealed.get_mut(NONCE..)) {
            (Ok(()), Some(value)) => cipher
                .encrypt_in_place_detached(
                    XNonce::from_slice(&nonce),
                    &associated(name, version),
                    value,
                )
                .ok(),
            _ => None,
        };
        let Some(tag) = tag else {
            let why = "the system gives no random numbers";
            return Err(StoreError::Unavailable(why.to_owned()));
        };
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    pub(super) fn open(
        &self,
        name: &str,
        version: Version,
        stored: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let cipher = match self {
            Self::Plain => return Ok(Zeroizing::new(stored.to_vec())),
            Self::Sealed(cipher) => cipher,
        };
        let (nonce, rest) = stored.split_at_checked(NONCE).ok_or(Broken)?;
        let at = rest.len().checked_sub(TAG).ok_or(Broken)?;
        let (value, tag) = rest.split_at_checked(at).ok_or(Broken)?;
        let mut value = Zeroizing::new(value.to_vec());
        cipher
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                &associated(name, version),
                &mut value,
                Tag::from_slice(tag),
            )
            .map_err(|chacha20poly1305::Error| Broken)?;
        Ok(value)
    }

    /// What a store keeps to tell its key from others; `None` for a plain one.
    pub(super) fn check(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self {
            Self::Plain => Ok(None),
            Self::Sealed(_) => self.seal(CHECK_NAME, Version(0), CHECK_VALUE).map(Some),
        }
    }

    /// Whether `stored` is such a check made with this very key.
    pub(super) fn passes(&self, stored: &[u8]) -> bool {
        let opened = self.open(CHECK_NAME, Version(0), stored);
        opened.is_ok_and(|value| value.as_slice() == CHECK_VALUE)
    }
}

fn associated(name: &str, version: Version) -> Vec<u8> {
    [DOMAIN, &version.0.to_le_bytes(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_three_forms() {
        let raw: [u8; 32] = std::array::from_fn(|n| u8::try_from((n * 7 + 200) & 255).unwrap());
        let hex = hex::encode(&raw).to_uppercase();
        let key = SealingKey::parse(&raw).unwrap();
        let forms = [
            hex.clone(),
            hex.to_lowercase() + "\n",
            STANDARD.encode(raw) + "\r\n",
            STANDARD_NO_PAD.encode(raw),
            URL_SAFE.encode(raw),
            URL_SAFE_NO_PAD.encode(raw),
        ];
        for form in forms {
            assert!(
                SealingKey::parse(form.as_bytes()) == Ok(key.clone()),
                "{form}"
            );
        }
        let with_newline = [raw.as_slice(), b"\n"].concat();
        assert!(SealingKey::parse(&with_newline) == Ok(key.clone()));
        let ends_in_newline = [[1; 31].as_slice(), b"\n"].concat();
        assert!(SealingKey::parse(&ends_in_newline).is_ok());
        assert_eq!(format!("{key:?}"), "[redacted]");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let half = "0123456789abcdef0123456789abcdef";
        assert_eq!(SealingKey::parse(half.as_bytes()), Err(KeyError::Short));
        assert_eq!(
            SealingKey::parse(format!("{half}\n").as_bytes()),
            Err(KeyError::Short)
        );
        for bad in [
            "",
            "\n",
            "short",
            &"x".repeat(31),
            &"g".repeat(64),
            &"0".repeat(63),
        ] {
            assert_eq!(
                SealingKey::parse(bad.as_bytes()),
                Err(KeyError::Form),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_value_opens_only_as_what_it_was_sealed() {
        let seal = Seal::new(Some(&SealingKey::parse(&[9; 32]).unwrap()));
        let other = Seal::new(Some(&SealingKey::parse(&[8; 32]).unwrap()));
        let sealed = seal.seal("a", Version(1), b"canary").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        let opened = seal.open("a", Version(1), &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"canary");
        assert_eq!(seal.open("b", Version(1), &sealed), Err(Broken));
        assert_eq!(seal.open("a", Version(2), &sealed), Err(Broken));
        assert_eq!(other.open("a", Version(1), &sealed), Err(Broken));
        for cut in 0..sealed.len() {
            assert_eq!(seal.open("a", Version(1), &sealed[..cut]), Err(Broken));
            let mut changed = sealed.clone();
            changed[cut] ^= 1;
            assert_eq!(seal.open("a", Version(1), &changed), Err(Broken));
        }
        let again = seal.seal("a", Version(1), b"canary").unwrap();
        assert_ne!(again, sealed, "a nonce is used once");
        let check = seal.check().unwrap().unwrap();
        assert!(seal.passes(&check) && !other.passes(&check) && !seal.passes(&sealed));
    }

    /// A vector of draft-irtf-cfrg-xchacha, so that another program could read a store.
    #[test]
    fn the_cipher_is_the_one_it_is_called() {
        let key: [u8; 32] = std::array::from_fn(|n| 0x80 + u8::try_from(n).unwrap());
        let nonce: [u8; 24] = std::array::from_fn(|n| 0x40 + u8::try_from(n).unwrap());
        let aad = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".to_vec();
        let tag = XChaCha20Poly1305::new(CipherKey::from_slice(&key))
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &aad, &mut text)
            .unwrap();
        assert_eq!(&text[..4], [0xbd, 0x6d, 0x17, 0x9d]);
        assert_eq!(
            tag.as_slice(),
            [
                0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a,
                0xcf, 0x49
            ]
        );
    }
}
