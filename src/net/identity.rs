//! A certificate that a client presents while it connects.

use std::fmt;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::base::{Secret, Zeroizing};

/// A certificate, with those of authorities in between, and its key; both in PEM, and made for each
/// other.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    certificate: Secret,
    key: Secret,
}

/// Why they cannot be used; the first goes on from "the client certificate", the others from "the
/// client key".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("holds no certificate that can be read: give PEM")]
    NoCertificate,
    #[error("is none that can be read: give PEM (PKCS#8, PKCS#1 or SEC1) that is not encrypted")]
    NoKey,
    #[error("is not the one of the certificate")]
    OtherKey,
    #[error(
        "is of a kind that is not supported: use RSA of 2048 bits or more, P-256, P-384 or Ed25519"
    )]
    OtherKind,
}

impl IdentityError {
    /// What the words are about.
    pub fn subject(self) -> &'static str {
        match self {
            Self::NoCertificate => "client certificate",
            Self::NoKey | Self::OtherKey | Self::OtherKind => "client key",
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    pub fn new(certificate: Secret, key: Secret) -> Result<Self, IdentityError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificate.expose().as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(IdentityError::NoCertificate)?;
        let private = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        let private = private.or(Err(IdentityError::NoKey))?;
        let provider = rustls::crypto::ring::default_provider();
        match CertifiedKey::from_der(chain, private, &provider) {
            Ok(_fits) => Ok(Self { certificate, key }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(IdentityError::OtherKey),
            Err(rustls::Error::InvalidCertificate(_)) => Err(IdentityError::NoCertificate),
            Err(_) => Err(IdentityError::OtherKind),
        }
    }

    /// As the HTTP library takes it.
    pub(super) fn as_pem(&self) -> Zeroizing<String> {
        let (key, certificate) = (self.key.expose(), self.certificate.expose());
        Zeroizing::new(format!("{key}\n{certificate}\n"))
    }
}
