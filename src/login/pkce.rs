//! What nobody can guess: state and verifier, and the challenge made of the latter (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest, Sha256};

use crate::base::{Secret, Zeroizing};

/// RFC 7636 section 7.1 asks for 256 bits.
const BYTES: usize = 32;

/// The system gives no random numbers, so no login can be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// 32 random bytes as 43 characters fit for a URL.
pub(super) fn unguessable() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    let filled = SystemRandom::new().fill(bytes.as_mut_slice());
    filled.ok().ok_or(NoRandomness)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// `S256`: what the authorization request shows of the verifier.
pub(super) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn fit_for_a_url_and_never_the_same() {
        let (one, other) = (unguessable().unwrap(), unguessable().unwrap());
        assert_ne!(one, other);
        let text = one.expose();
        assert_eq!(text.len(), 43);
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(text.bytes().all(fit), "{text}");
    }
}
