//! How a refused exchange could be tried otherwise: vendors differ in where they look for the
//! client's credentials and whether they decode them. Pure.

use std::sync::Arc;

use super::Trace;
use crate::spec::{BasicEncoding, ClientAuth, Grant, Integration, TokenRequest};

/// One change of how the client names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variation {
    Post,
    Basic,
    BasicForm,
    BasicRaw,
}

impl Variation {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
            Self::BasicForm => "basic_encoding form",
            Self::BasicRaw => "basic_encoding raw",
        }
    }

    /// The line of the configuration that makes it so.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Post => "token_endpoint_auth_method = \"client_secret_post\"",
            Self::Basic => "token_endpoint_auth_method = \"client_secret_basic\"",
            Self::BasicForm => "basic_encoding = \"form\"",
            Self::BasicRaw => "basic_encoding = \"raw\"",
        }
    }

    /// What else a vendor could want, where only the encoding was tried.
    pub fn left(self) -> Option<&'static str> {
        match self {
            Self::BasicForm | Self::BasicRaw => {
                Some("token_endpoint_auth_method = \"client_secret_post\"")
            }
            Self::Post | Self::Basic => None,
        }
    }

    fn auth(self) -> ClientAuth {
        match self {
            Self::Post => ClientAuth::Post,
            Self::Basic | Self::BasicForm => ClientAuth::Basic(BasicEncoding::Form),
            Self::BasicRaw => ClientAuth::Basic(BasicEncoding::Raw),
        }
    }
}

/// The one variation that is most likely to be taken, if the vendor refused the client, with the
/// first secret that was tried.
pub fn variation(integration: &Integration, trace: &Trace) -> Option<(Variation, Integration)> {
    let Grant::ClientCredentials(request) = &integration.grant else {
        return None;
    };
    let refused = trace.attempts.iter().all(|attempt| {
        let failure = attempt.failure.as_ref();
        let vendor = failure.and_then(|failure| failure.vendor.as_ref());
        let error = vendor.and_then(|vendor| vendor.error.as_deref());
        match attempt.outcome {
            "bad_credential" => !matches!(error, Some("invalid_grant" | "unauthorized_client")),
            "bad_request" => error == Some("invalid_request"),
            _ => false,
        }
    });
    let first = trace.attempts.first().filter(|_| refused)?;
    let asked_for_more = first.outcome == "bad_request";
    let variation = match request.auth {
        // A vendor that read the header would not miss a parameter.
        ClientAuth::Basic(_) if asked_for_more => Variation::Post,
        ClientAuth::Basic(BasicEncoding::Form) if first.encoding_matters => Variation::BasicRaw,
        ClientAuth::Basic(BasicEncoding::Raw) if first.encoding_matters => Variation::BasicForm,
        ClientAuth::Basic(_) => Variation::Post,
        ClientAuth::Post => Variation::Basic,
        ClientAuth::Assertion(_) | ClientAuth::AssertionFile(_) | ClientAuth::None => return None,
    };
    let candidate = request.client_secret.get(first.secret_index?)?;
    let request = TokenRequest {
        auth: variation.auth(),
        client_secret: vec![candidate.clone()],
        ..(**request).clone()
    };
    let varied = Integration {
        grant: Grant::ClientCredentials(Arc::new(request)),
        ..integration.clone()
    };
    Some((variation, varied))
}
