//! PEM as people have it: with CR LF, in one line with `\n` written out, behind a certificate.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use sha2::{Digest as _, Sha256};

use super::key::KeyError;
use crate::base::Zeroizing;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Whether it looks like PEM at all.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

/// The DER of the first private key in PEM text.
pub(super) fn private_key(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = Zeroizing::new(text.replace("\\r", "").replace("\\n", "\n"));
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((label, rest)) = block.split_once("-----") else {
            continue;
        };
        if !label.ends_with("PRIVATE KEY") {
            continue;
        }
        if label == "OPENSSH PRIVATE KEY" {
            return Err(KeyError::OpenSsh);
        }
        let Some((body, _)) = rest.split_once("-----END ") else {
            return Err(KeyError::Cut);
        };
        // RFC 1421 headers: how OpenSSL encrypted keys before PKCS#8.
        if body.contains("ENCRYPTED") {
            return Err(KeyError::OldEncryption);
        }
        return der(body);
    }
    Err(KeyError::NoPrivateKey)
}

/// Goes on from "the certificate".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds no certificate: give it as PEM, with its BEGIN CERTIFICATE line")]
pub(in crate::exchange) struct CertificateError;

/// SHA-256 of the first certificate in PEM text, in base64url (RFC 7515 section 4.1.8).
pub(super) fn certificate_fingerprint(text: &str) -> Result<String, CertificateError> {
    let text = Zeroizing::new(text.replace("\\r", "").replace("\\n", "\n"));
    let block = text.split_once("-----BEGIN CERTIFICATE-----");
    let body = block.and_then(|(_, rest)| rest.split_once("-----END "));
    let (body, _) = body.ok_or(CertificateError)?;
    let der = der(body).or(Err(CertificateError))?;
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(der.as_slice())))
}

/// Base64 with line breaks, padding and alphabet as they come.
pub(super) fn der(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    match engine.decode(text.as_bytes()) {
        Ok(bytes) if !bytes.is_empty() => Ok(Zeroizing::new(bytes)),
        _ => Err(KeyError::NotAKey),
    }
}
