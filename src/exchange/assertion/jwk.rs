//! JSON Web Keys (RFC 7517, 7518, 8037): private ones only.

use serde::Deserialize;

use super::key::{Curve, KeyError, Material};
use super::pem;
use crate::base::{Secret, Zeroizing};

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    dp: Option<Secret>,
    dq: Option<Secret>,
    qi: Option<Secret>,
    k: Option<Secret>,
}

/// The private parts of an RSA key, decoded.
pub(super) struct RsaParts {
    pub(super) n: Zeroizing<Vec<u8>>,
    pub(super) e: Zeroizing<Vec<u8>>,
    pub(super) d: Zeroizing<Vec<u8>>,
    pub(super) p: Zeroizing<Vec<u8>>,
    pub(super) q: Zeroizing<Vec<u8>>,
    pub(super) dp: Zeroizing<Vec<u8>>,
    pub(super) dq: Zeroizing<Vec<u8>>,
    pub(super) qi: Zeroizing<Vec<u8>>,
}

/// `None` if it is no JWK.
pub(super) fn read(text: &str) -> Option<Result<(Material, Option<String>), KeyError>> {
    let jwk: Jwk = serde_json::from_str(text).ok()?;
    Some(material(&jwk).map(|material| (material, jwk.kid)))
}

fn material(jwk: &Jwk) -> Result<Material, KeyError> {
    let public = |part: &Option<String>| decode(part.as_deref());
    let private = |part: &Option<Secret>| decode(part.as_ref().map(Secret::expose));
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("oct", _) => Ok(Material::Shared(private(&jwk.k)?)),
        ("RSA", _) => Ok(Material::RsaParts(RsaParts {
            n: public(&jwk.n)?,
            e: public(&jwk.e)?,
            d: private(&jwk.d)?,
            p: private(&jwk.p)?,
            q: private(&jwk.q)?,
            dp: private(&jwk.dp)?,
            dq: private(&jwk.dq)?,
            qi: private(&jwk.qi)?,
        })),
        ("EC", Some(crv)) => {
            let curve = match crv {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                _ => return Err(KeyError::OtherCurve),
            };
            let mut point = Zeroizing::new(vec![4]);
            point.extend_from_slice(&public(&jwk.x)?);
            point.extend_from_slice(&public(&jwk.y)?);
            Ok(Material::Ec {
                curve,
                private: private(&jwk.d)?,
                public: Some(point),
            })
        }
        ("OKP", Some("Ed25519")) => Ok(Material::Ed {
            seed: private(&jwk.d)?,
            public: Some(public(&jwk.x)?),
        }),
        ("OKP", _) => Err(KeyError::OtherCurve),
        _ => Err(KeyError::NotAKey),
    }
}

fn decode(part: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    pem::der(part.ok_or(KeyError::HalfAJwk)?).or(Err(KeyError::Damaged))
}
