//! Keys in all their forms, ready to sign with one algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::BitStringRef;
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo, pkcs5};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use ring::{error::KeyRejected, hmac};
use sha2::{Digest as _, Sha256};

use super::jwk::{self, RsaParts};
use super::pem;
use crate::base::{Secret, Zeroizing};
use crate::exchange::phrase::Unmade;
use crate::spec::Algorithm;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Work that a file may ask of us to unlock a key: some seconds, and 256 MiB.
const MAX_ROUNDS: u32 = 20_000_000;
const MAX_SCRYPT: u64 = 256 * 1024 * 1024;

/// Why a key cannot be used; goes on from "the key".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::exchange) enum KeyError {
    #[error(
        "is no key that can be read: give PEM (PKCS#8, PKCS#1 or SEC1, also within JSON), base64 of \
         DER, or a JWK"
    )]
    NotAKey,
    #[error("is PEM, but there is no private key in it")]
    NoPrivateKey,
    #[error("is PEM that was cut off: its END line is missing")]
    Cut,
    #[error("is an OpenSSH key: convert it with 'ssh-keygen -p -m PKCS8 -f FILE'")]
    OpenSsh,
    #[error(
        "is encrypted in an old way: convert it with 'openssl pkcs8 -topk8 -in FILE -out NEW_FILE'"
    )]
    OldEncryption,
    #[error("is encrypted: set the passphrase")]
    Locked,
    #[error("cannot be decrypted: the passphrase is wrong")]
    WrongPassphrase,
    #[error(
        "is encrypted in a way that is not supported: use PBES2 with AES, as 'openssl pkcs8 -topk8' \
         does"
    )]
    OtherEncryption,
    #[error("is encrypted so that unlocking it takes too long or too much memory")]
    TooDear,
    #[error("is a JWK without its private part, or without all of it")]
    HalfAJwk,
    #[error("is on a curve that is not supported: use P-256, P-384 or Ed25519")]
    OtherCurve,
    #[error("is of a kind that is not supported: use RSA, EC or Ed25519")]
    OtherKind,
    #[error("is {kind}, which does not fit the algorithm {algorithm}")]
    DoesNotFit {
        kind: &'static str,
        algorithm: &'static str,
    },
    #[error("is an RSA key of less than 2048 bits, which is not safe: make a longer one")]
    TooSmall,
    #[error("is an RSA key of more than 4096 bits, which is not supported")]
    TooLarge,
    #[error("is an RSA key of an odd length: make one of 2048, 3072 or 4096 bits")]
    OddLength,
    #[error("is damaged: its parts do not belong together")]
    Damaged,
    #[error("is empty")]
    Empty,
}

impl KeyError {
    /// Whether the passphrase is to blame.
    pub(in crate::exchange) fn is_passphrase(self) -> bool {
        matches!(self, Self::Locked | Self::WrongPassphrase)
    }
}

impl From<KeyRejected> for KeyError {
    fn from(error: KeyRejected) -> Self {
        match error.to_string().as_str() {
            "TooSmall" => Self::TooSmall,
            "TooLarge" => Self::TooLarge,
            "PrivateModulusLenNotMultipleOf512Bits" => Self::OddLength,
            _ => Self::Damaged,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

/// What was found, whatever it was wrapped in.
pub(super) enum Material {
    /// PKCS#1.
    Rsa(Zeroizing<Vec<u8>>),
    RsaParts(RsaParts),
    Ec {
        curve: Curve,
        private: Zeroizing<Vec<u8>>,
        public: Option<Zeroizing<Vec<u8>>>,
    },
    Ed {
        seed: Zeroizing<Vec<u8>>,
        public: Option<Zeroizing<Vec<u8>>>,
    },
    /// For HMAC.
    Shared(Zeroizing<Vec<u8>>),
}

impl Material {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) | Self::RsaParts(_) => "an RSA key",
            Self::Ec {
                curve: Curve::P256, ..
            } => "an EC key on P-256",
            Self::Ec {
                curve: Curve::P384, ..
            } => "an EC key on P-384",
            Self::Ed { .. } => "an Ed25519 key",
            Self::Shared(_) => "a shared secret",
        }
    }
}

enum Signer {
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Shared(hmac::Key),
}

/// A key that fits its algorithm.
pub(in crate::exchange) struct Key {
    signer: Signer,
    kid: Option<String>,
}

impl Key {
    /// Reads a key in any form. Blocking: an encrypted one is slow on purpose.
    pub(in crate::exchange) fn read(
        secret: &Secret,
        passphrase: Option<&Secret>,
        algorithm: Algorithm,
    ) -> Result<Self, KeyError> {
        let text = secret.expose();
        let (material, kid) = if is_hmac(algorithm) {
            shared(text)?
        } else {
            private(text, passphrase)?
        };
        Ok(Self {
            signer: signer(material, algorithm)?,
            kid,
        })
    }

    /// SHA-256 of the public half as `SubjectPublicKeyInfo` (RFC 5280), in base64.
    pub(super) fn fingerprint(&self) -> Option<String> {
        let null = pkcs8::der::asn1::AnyRef::from(pkcs8::der::asn1::Null);
        let (oid, parameters, bits) = match &self.signer {
            Signer::Rsa(pair, _) => (RSA, Some(null), pair.public_key().as_ref()),
            Signer::Ec(pair) => {
                let point = pair.public_key().as_ref();
                // Uncompressed: a byte and two coordinates.
                let curve = if point.len() == 65 { &P256 } else { &P384 };
                (EC, Some(curve.into()), point)
            }
            Signer::Ed(pair) => (ED25519, None, pair.public_key().as_ref()),
            Signer::Shared(_) => return None,
        };
        let public = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid, parameters },
            subject_public_key: BitStringRef::from_bytes(bits).ok()?,
        };
        Some(STANDARD.encode(Sha256::digest(public.to_der().ok()?)))
    }

    /// The name that a JWK gives itself.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unmade> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(*padding, &random, message, &mut signature);
                signed.is_ok().then_some(signature).ok_or(Unmade::Random)
            }
            Signer::Ec(pair) => match pair.sign(&random, message) {
                Ok(signature) => Ok(signature.as_ref().to_vec()),
                Err(ring::error::Unspecified) => Err(Unmade::Random),
            },
            Signer::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signer::Shared(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512
    )
}

type Found = (Material, Option<String>);

/// A secret both sides know: a JWK of kind `oct`, or the text itself.
fn shared(text: &str) -> Result<Found, KeyError> {
    if text.trim_start().starts_with('{')
        && let Some(found) = jwk::read(text)
    {
        return found;
    }
    if pem::is_pem(text) {
        return Ok(
            private(text, None).unwrap_or_else(|_| (Material::Rsa(Zeroizing::default()), None))
        );
    }
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    let bytes = Zeroizing::new(text.as_bytes().to_vec());
    Ok((Material::Shared(bytes), None))
}

fn private(text: &str, passphrase: Option<&Secret>) -> Result<Found, KeyError> {
    let text = text.trim();
    // Some vendors hand out JSON with the PEM of a key in it, and whoever has it gives it as it is.
    if text.starts_with('{') && !pem::is_pem(text) {
        return jwk::read(text).unwrap_or(Err(KeyError::NotAKey));
    }
    let der = if pem::is_pem(text) {
        pem::private_key(text)?
    } else {
        pem::der(text)?
    };
    Ok((of_der(&der, passphrase)?, None))
}

/// Which of the four structures it is shows in the first members.
fn of_der(der: &[u8], passphrase: Option<&Secret>) -> Result<Material, KeyError> {
    if let Ok(info) = PrivateKeyInfo::try_from(der) {
        return of_pkcs8(&info);
    }
    if let Ok(locked) = EncryptedPrivateKeyInfo::try_from(der) {
        let passphrase = passphrase.ok_or(KeyError::Locked)?;
        let open = unlock(&locked, passphrase)?;
        #[expect(
            clippy::map_err_ignore,
            reason = "a wrong passphrase can also give noise"
        )]
        let info =
            PrivateKeyInfo::try_from(open.as_bytes()).map_err(|_| KeyError::WrongPassphrase)?;
        return of_pkcs8(&info);
    }
    if let Ok(key) = sec1::EcPrivateKey::try_from(der) {
        return of_sec1(&key, None);
    }
    // SEQUENCE, then version 0: what else can start so is PKCS#1.
    if let Err(error) = RsaKeyPair::from_der(der)
        && error.to_string() == "InvalidEncoding"
    {
        return Err(KeyError::NotAKey);
    }
    Ok(Material::Rsa(Zeroizing::new(der.to_vec())))
}

fn unlock(
    locked: &EncryptedPrivateKeyInfo<'_>,
    passphrase: &Secret,
) -> Result<pkcs8::SecretDocument, KeyError> {
    let scheme = locked
        .encryption_algorithm
        .pbes2()
        .ok_or(KeyError::OtherEncryption)?;
    let affordable = match &scheme.kdf {
        pkcs5::pbes2::Kdf::Pbkdf2(kdf) => kdf.iteration_count <= MAX_ROUNDS,
        pkcs5::pbes2::Kdf::Scrypt(kdf) => {
            let memory = kdf
                .cost_parameter
                .saturating_mul(u64::from(kdf.block_size))
                .saturating_mul(128);
            memory <= MAX_SCRYPT && kdf.parallelization <= 16
        }
        _ => return Err(KeyError::OtherEncryption),
    };
    if !affordable {
        return Err(KeyError::TooDear);
    }
    locked
        .decrypt(passphrase.expose().as_bytes())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::AlgorithmParametersInvalid { .. }
                | pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::NoPbes1CryptSupport,
            ) => KeyError::OtherEncryption,
            _ => KeyError::WrongPassphrase,
        })
}

fn of_pkcs8(info: &PrivateKeyInfo<'_>) -> Result<Material, KeyError> {
    match info.algorithm.oid {
        RSA | RSA_PSS => Ok(Material::Rsa(Zeroizing::new(info.private_key.to_vec()))),
        EC => {
            let named = info.algorithm.parameters_oid().ok();
            match sec1::EcPrivateKey::try_from(info.private_key) {
                Ok(key) => of_sec1(&key, named),
                Err(_) => Err(KeyError::Damaged),
            }
        }
        ED25519 => Ok(Material::Ed {
            // An OCTET STRING of 32 bytes within the OCTET STRING.
            seed: match info.private_key {
                [0x04, 0x20, seed @ ..] => Zeroizing::new(seed.to_vec()),
                _ => return Err(KeyError::Damaged),
            },
            public: info.public_key.map(|key| Zeroizing::new(key.to_vec())),
        }),
        _ => Err(KeyError::OtherKind),
    }
}

fn of_sec1(
    key: &sec1::EcPrivateKey<'_>,
    named: Option<ObjectIdentifier>,
) -> Result<Material, KeyError> {
    let own = key.parameters.and_then(sec1::EcParameters::named_curve);
    let curve = match (named.or(own), key.private_key.len()) {
        (Some(P256), _) | (None, 32) => Curve::P256,
        (Some(P384), _) | (None, 48) => Curve::P384,
        _ => return Err(KeyError::OtherCurve),
    };
    Ok(Material::Ec {
        curve,
        private: Zeroizing::new(key.private_key.to_vec()),
        public: key.public_key.map(|key| Zeroizing::new(key.to_vec())),
    })
}

fn signer(material: Material, algorithm: Algorithm) -> Result<Signer, KeyError> {
    let padding: &'static dyn signature::RsaEncoding = match (&material, algorithm) {
        (Material::Ec { curve, .. }, Algorithm::Es256 | Algorithm::Es384) => {
            let fits = matches!(
                (curve, algorithm),
                (Curve::P256, Algorithm::Es256) | (Curve::P384, Algorithm::Es384)
            );
            return if fits {
                ecdsa(material)
            } else {
                Err(does_not_fit(&material, algorithm))
            };
        }
        (Material::Ed { seed, public }, Algorithm::EdDsa) => {
            return Ok(Signer::Ed(match public {
                Some(public) => Ed25519KeyPair::from_seed_and_public_key(seed, public)?,
                None => Ed25519KeyPair::from_seed_unchecked(seed)?,
            }));
        }
        (Material::Shared(bytes), Algorithm::Hs256) => {
            return Ok(Signer::Shared(hmac::Key::new(hmac::HMAC_SHA256, bytes)));
        }
        (Material::Shared(bytes), Algorithm::Hs384) => {
            return Ok(Signer::Shared(hmac::Key::new(hmac::HMAC_SHA384, bytes)));
        }
        (Material::Shared(bytes), Algorithm::Hs512) => {
            return Ok(Signer::Shared(hmac::Key::new(hmac::HMAC_SHA512, bytes)));
        }
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Rs256) => {
            &signature::RSA_PKCS1_SHA256
        }
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Rs384) => {
            &signature::RSA_PKCS1_SHA384
        }
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Rs512) => {
            &signature::RSA_PKCS1_SHA512
        }
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Ps256) => &signature::RSA_PSS_SHA256,
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Ps384) => &signature::RSA_PSS_SHA384,
        (Material::Rsa(_) | Material::RsaParts(_), Algorithm::Ps512) => &signature::RSA_PSS_SHA512,
        _ => return Err(does_not_fit(&material, algorithm)),
    };
    let pair = match &material {
        Material::RsaParts(parts) => RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents {
                n: parts.n.as_slice(),
                e: parts.e.as_slice(),
            },
            d: parts.d.as_slice(),
            p: parts.p.as_slice(),
            q: parts.q.as_slice(),
            dP: parts.dp.as_slice(),
            dQ: parts.dq.as_slice(),
            qInv: parts.qi.as_slice(),
        })?,
        Material::Rsa(der) => RsaKeyPair::from_der(der)?,
        Material::Ec { .. } | Material::Ed { .. } | Material::Shared(_) => {
            return Err(does_not_fit(&material, algorithm));
        }
    };
    Ok(Signer::Rsa(pair, padding))
}

fn does_not_fit(material: &Material, algorithm: Algorithm) -> KeyError {
    KeyError::DoesNotFit {
        kind: material.kind(),
        algorithm: algorithm.as_str(),
    }
}

fn ecdsa(material: Material) -> Result<Signer, KeyError> {
    let Material::Ec {
        curve,
        private,
        public,
    } = material
    else {
        return Err(KeyError::OtherKind);
    };
    let public = match public {
        Some(public) => public,
        None => public_half(curve, &private).ok_or(KeyError::Damaged)?,
    };
    let algorithm = match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    };
    let random = SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &public, &random)?;
    Ok(Signer::Ec(pair))
}

/// The public point, uncompressed, of a key that comes without it.
fn public_half(curve: Curve, private: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;
    let bytes = match curve {
        Curve::P256 => {
            let key = p256::SecretKey::from_slice(private).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
        Curve::P384 => {
            let key = p384::SecretKey::from_slice(private).ok()?;
            key.public_key().to_encoded_point(false).as_bytes().to_vec()
        }
    };
    Some(Zeroizing::new(bytes))
}
