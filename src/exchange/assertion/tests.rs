//! Every algorithm with every form of key. What has one right signature is compared with OpenSSL's;
//! what is random is verified.

use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, UnparsedPublicKey};
use serde_json::json;

use super::*;
use crate::spec::{Algorithm, Part, SecretCandidate, SecretSource};

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("testdata/", $name))
    };
}

const MESSAGE: &[u8] = b"the input of a signature";
const NOW: i64 = 1_800_000_000;

fn read(text: &str, algorithm: Algorithm) -> Result<Key, KeyError> {
    Key::read(&Secret::new(text), None, algorithm)
}

fn unlocked(text: &str, passphrase: &str) -> Result<Key, KeyError> {
    let passphrase = Secret::new(passphrase);
    Key::read(&Secret::new(text), Some(&passphrase), Algorithm::Rs256)
}

/// The signature OpenSSL made with the same key.
fn vector(algorithm: Algorithm) -> Vec<u8> {
    let all = data!("vectors.txt").lines();
    let mut all = all.filter_map(|line| line.split_once(' '));
    let (_, text) = all.find(|(name, _)| *name == algorithm.as_str()).unwrap();
    STANDARD.decode(text).unwrap()
}

fn der_in_base64(pem: &str) -> String {
    pem.lines()
        .filter(|line| !line.starts_with("---"))
        .collect()
}

fn jwk_member(jwk: &str, name: &str) -> Vec<u8> {
    let jwk: Value = serde_json::from_str(jwk).unwrap();
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

fn point(jwk: &str) -> Vec<u8> {
    [vec![4], jwk_member(jwk, "x"), jwk_member(jwk, "y")].concat()
}

#[test]
fn rsa_keys_in_all_their_forms_sign_as_openssl_does() {
    let single_line = data!("rsa.pem").replace('\n', "\\n");
    let behind = format!("{}\r\n{}", data!("rsa.public.pem"), data!("rsa.pem"));
    let base64 = der_in_base64(data!("rsa.pem"));
    let base64_pkcs1 = der_in_base64(data!("rsa.pkcs1.pem"));
    for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
        for text in [
            data!("rsa.pem"),
            data!("rsa.pkcs1.pem"),
            data!("rsa.jwk"),
            &data!("rsa.pem").replace('\n', "\r\n"),
            &single_line,
            &behind,
            &base64,
            &base64_pkcs1,
        ] {
            let key = read(text, algorithm).unwrap();
            assert_eq!(key.sign(MESSAGE).unwrap(), vector(algorithm));
        }
    }
    assert_eq!(
        read(data!("rsa.jwk"), Algorithm::Rs256).unwrap().kid(),
        Some("rsa-1")
    );
}

#[test]
fn a_key_file_in_json_holds_its_key_as_pem() {
    let json = serde_json::json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k",
        "private_key": data!("rsa.pem"), "client_email": "a@p.example",
    });
    let key = read(&json.to_string(), Algorithm::Rs256).unwrap();
    let plain = read(data!("rsa.pem"), Algorithm::Rs256).unwrap();
    assert_eq!(key.sign(b"x").unwrap(), plain.sign(b"x").unwrap());
    let none = r#"{"type": "service_account", "client_email": "a@p.example"}"#;
    assert_eq!(read(none, Algorithm::Rs256).err(), Some(KeyError::NotAKey));
}

#[test]
fn rsa_with_random_padding() {
    let (n, e) = (
        jwk_member(data!("rsa.jwk"), "n"),
        jwk_member(data!("rsa.jwk"), "e"),
    );
    let public = PublicKeyComponents { n, e };
    for (algorithm, check) in [
        (Algorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
        (Algorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
        (Algorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
    ] {
        let key = read(data!("rsa.pem"), algorithm).unwrap();
        let signed = key.sign(MESSAGE).unwrap();
        public.verify(check, MESSAGE, &signed).unwrap();
        assert_ne!(signed, key.sign(MESSAGE).unwrap());
    }
}

#[test]
fn elliptic_curves() {
    for text in [
        data!("p256.pem"),
        data!("p256.sec1.pem"),
        data!("p256.half.pem"),
        data!("p256.jwk"),
        &der_in_base64(data!("p256.pem")),
    ] {
        let signed = read(text, Algorithm::Es256).unwrap().sign(MESSAGE).unwrap();
        let public = UnparsedPublicKey::new(
            &signature::ECDSA_P256_SHA256_FIXED,
            point(data!("p256.jwk")),
        );
        public.verify(MESSAGE, &signed).unwrap();
    }
    for text in [data!("p384.pem"), data!("p384.sec1.pem"), data!("p384.jwk")] {
        let signed = read(text, Algorithm::Es384).unwrap().sign(MESSAGE).unwrap();
        let public = UnparsedPublicKey::new(
            &signature::ECDSA_P384_SHA384_FIXED,
            point(data!("p384.jwk")),
        );
        public.verify(MESSAGE, &signed).unwrap();
    }
    for text in [data!("ed25519.pem"), data!("ed25519.jwk")] {
        let signed = read(text, Algorithm::EdDsa).unwrap().sign(MESSAGE).unwrap();
        assert_eq!(signed, vector(Algorithm::EdDsa));
    }
}

#[test]
fn shared_secrets() {
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("a shared secret")}).to_string();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        for text in ["a shared secret", &jwk] {
            let key = read(text, algorithm).unwrap();
            assert_eq!(key.sign(MESSAGE).unwrap(), vector(algorithm));
        }
    }
}

#[test]
fn encrypted_keys_need_their_passphrase() {
    for text in [data!("rsa.locked.pem"), data!("rsa.scrypt.pem")] {
        let key = unlocked(text, "swordfish").unwrap();
        assert_eq!(key.sign(MESSAGE).unwrap(), vector(Algorithm::Rs256));
        let wrong = unlocked(text, "sword fish").err();
        assert_eq!(wrong, Some(KeyError::WrongPassphrase));
        assert_eq!(read(text, Algorithm::Rs256).err(), Some(KeyError::Locked));
    }
    let old = unlocked(data!("rsa.old.pem"), "swordfish").err();
    assert_eq!(old, Some(KeyError::OldEncryption));
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    let public_jwk = json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}).to_string();
    let cut = data!("rsa.pem").split("-----END").next().unwrap();
    let damaged = data!("p256.jwk").replace("\"x\":\"", "\"x\":\"AA");
    for (text, algorithm, words) in [
        (
            data!("rsa1024.pem"),
            Algorithm::Rs256,
            "less than 2048 bits",
        ),
        (
            data!("p521.pem"),
            Algorithm::Es384,
            "curve that is not supported",
        ),
        (
            data!("p384.pem"),
            Algorithm::Es256,
            "P-384, which does not fit the algorithm ES256",
        ),
        (
            data!("p256.pem"),
            Algorithm::Rs256,
            "an EC key on P-256, which does not fit",
        ),
        (
            data!("rsa.pem"),
            Algorithm::Es256,
            "an RSA key, which does not fit",
        ),
        (
            data!("rsa.pem"),
            Algorithm::Hs256,
            "an RSA key, which does not fit",
        ),
        (
            data!("ed25519.jwk"),
            Algorithm::Hs256,
            "an Ed25519 key, which does not fit",
        ),
        (
            data!("ed25519.pem"),
            Algorithm::Ps256,
            "an Ed25519 key, which does not fit",
        ),
        (
            data!("rsa.public.pem"),
            Algorithm::Rs256,
            "no private key in it",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            Algorithm::Rs256,
            "ssh-keygen",
        ),
        (cut, Algorithm::Rs256, "cut off"),
        (&public_jwk, Algorithm::Es256, "without its private part"),
        (&damaged, Algorithm::Es256, "do not belong together"),
        ("{}", Algorithm::Rs256, "no key that can be read"),
        ("hunter2", Algorithm::Rs256, "no key that can be read"),
        (
            "aGVsbG8gd29ybGQ=",
            Algorithm::Rs256,
            "no key that can be read",
        ),
        ("", Algorithm::Hs256, "is empty"),
    ] {
        let Err(error) = read(text, algorithm) else {
            panic!("{words}: was read");
        };
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

fn assertion() -> Assertion {
    Assertion {
        key: vec![SecretCandidate {
            source: SecretSource::Value(Secret::new(data!("rsa.pem"))),
            not_before: None,
            expires_at: None,
        }],
        passphrase: None,
        certificate: None,
        algorithm: Algorithm::Rs256,
        kid: Some("k1".to_owned()),
        issuer: Some(Phrase::literal("me")),
        subject: None,
        audience: vec![Phrase::literal("https://auth.example.com/token")],
        lifetime: Duration::from_secs(300),
        issued_at: true,
        backdate: Duration::from_secs(30),
        jti: Jti::Uuid,
        claims: vec![],
        headers: vec![],
    }
}

fn parts(assertion: &Assertion, key: &str) -> (Value, Value) {
    let now = Timestamp::from_unix_seconds(NOW);
    let material = Material {
        key: Secret::new(key),
        passphrase: None,
        certificate: None,
    };
    let jwt = sign(assertion, &material, None, &[], now).unwrap();
    let part = |index: usize| {
        let text = jwt.expose().split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

#[test]
fn what_stands_in_an_assertion() {
    let (header, mut claims) = parts(&assertion(), data!("rsa.pem"));
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let jti = claims["jti"].take();
    assert_eq!(
        claims,
        json!({"iss": "me", "aud": "https://auth.example.com/token", "iat": NOW - 30,
               "exp": NOW + 270, "jti": null})
    );
    let jti = jti.as_str().unwrap().to_owned();
    let shape: Vec<usize> = jti.split('-').map(str::len).collect();
    assert_eq!(shape, [8, 4, 4, 4, 12], "{jti}");
    let at = |index: usize| jti.chars().nth(index);
    assert_eq!(at(14), Some('4'), "{jti}");
    assert!(at(19).is_some_and(|c| "89ab".contains(c)), "{jti}");
    let (_, again) = parts(&assertion(), data!("rsa.pem"));
    assert_ne!(again["jti"], json!(jti));
    let without = Assertion {
        kid: None,
        ..assertion()
    };
    assert_eq!(parts(&without, data!("rsa.jwk")).0["kid"], "rsa-1");
}

#[test]
fn claims_of_every_kind() {
    let text = |text: &str| Draft::Text(Phrase::literal(text));
    let name = |text: &str| Phrase::literal(text);
    let one = Assertion {
        issued_at: false,
        jti: Jti::Integer,
        audience: vec![Phrase::literal("a"), Phrase::literal("b")],
        claims: vec![
            (
                name("https://ims.example/s/ent_campaign_sdk"),
                Draft::Bool(true),
            ),
            (name("nbf"), Draft::Text(Phrase::new([Part::Now(-30)]))),
            (
                Phrase::new([Part::Text("at-".to_owned()), Part::Now(300)]),
                Draft::List(vec![Draft::Integer(1), Draft::Float(1.5), text("")]),
            ),
            (
                name("nested"),
                Draft::Table(vec![(name("id"), Draft::Text(Phrase::new([Part::Uuid])))]),
            ),
            (name("iss"), text("")),
        ],
        headers: vec![(name("typ"), text("at+jwt")), (name("x5t"), text("abc"))],
        ..assertion()
    };
    let (header, mut claims) = parts(&one, data!("rsa.pem"));
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["x5t"], "abc");
    let jti = claims["jti"].take();
    assert!(jti.as_u64().is_some_and(|jti| jti <= INTEGER_BITS), "{jti}");
    assert_eq!(claims["nested"]["id"].take().as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({"aud": ["a", "b"], "exp": NOW + 270, "jti": null,
               "https://ims.example/s/ent_campaign_sdk": true, "nbf": NOW - 30,
               format!("at-{}", NOW + 300): [1, 1.5, ""], "nested": {"id": null}})
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, text in ".{0,200}", at in 0..1700_usize, flip: u8) {
        let mut damaged = data!("rsa.pem").as_bytes().to_vec();
        let at = at.min(damaged.len() - 1);
        damaged[at] ^= flip;
        let damaged = String::from_utf8_lossy(&damaged).into_owned();
        let encoded = STANDARD.encode(&bytes);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
        let jwk = json!({"kty": "RSA", "n": encoded, "e": "AQAB", "d": encoded, "p": encoded,
                         "q": encoded, "dp": encoded, "dq": encoded, "qi": encoded}).to_string();
        let passphrase = Secret::new("p");
        for text in [text, encoded, pem, damaged, jwk] {
            for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
                let read = Key::read(&Secret::new(text.as_str()), Some(&passphrase), algorithm);
                if let Ok(key) = read {
                    let _signed = key.sign(MESSAGE);
                }
            }
        }
    }
}
