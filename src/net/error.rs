//! Why no answer came, in classes and plain words. Holds no URL, no header and no body.

use std::error::Error as StdError;
use std::io;

use super::resolver::DnsError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    Timeout,
    Connect,
    Dns,
    Tls,
    /// The connection broke or the peer does not speak HTTP.
    Reset,
    /// More than [`super::BODY_MAX`] bytes.
    TooLarge,
}

impl ErrorKind {
    /// As hints and error rules name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::TooLarge => "too_large",
        }
    }
}

/// What is wrong with the peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    Expired,
    NotYetValid,
    UnknownIssuer,
    /// It is for other names.
    OtherName,
    Unfit,
}

/// The others are as often about the name that was asked for, or about versions and ciphers.
fn is_about_ours(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

impl Certificate {
    fn trouble(error: &rustls::Error) -> Option<Self> {
        use rustls::CertificateError as Cause;
        let rustls::Error::InvalidCertificate(cause) = error else {
            return None;
        };
        Some(match cause {
            Cause::Expired | Cause::ExpiredContext { .. } => Self::Expired,
            Cause::NotValidYet | Cause::NotValidYetContext { .. } => Self::NotYetValid,
            Cause::UnknownIssuer => Self::UnknownIssuer,
            Cause::NotValidForName | Cause::NotValidForNameContext { .. } => Self::OtherName,
            _ => Self::Unfit,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Error {
    pub kind: ErrorKind,
    /// A few lower-case words: `connection refused`.
    pub reason: String,
    /// The connection was not there yet: nothing was sent.
    pub while_connecting: bool,
    pub certificate: Option<Certificate>,
    /// The peer misses a certificate of ours, or does not take it.
    pub is_about_ours: bool,
}

impl Error {
    pub fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            while_connecting: matches!(kind, ErrorKind::Connect | ErrorKind::Dns | ErrorKind::Tls),
            certificate: None,
            is_about_ours: false,
        }
    }

    /// The caller's deadline passed.
    pub fn timeout() -> Self {
        Self::new(ErrorKind::Timeout, "no answer in time")
    }

    /// Finds the cause in the chain; the outer layers are left out since they print URLs.
    pub(super) fn classify(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        let mut innermost = None;
        while let Some(inner) = cause {
            if let Some(found) = known(inner) {
                // The same cause may end a connection over which a request was sent already.
                let while_connecting = error.is_connect();
                return Self {
                    while_connecting,
                    ..found
                };
            }
            innermost = Some(inner);
            // An io error answers `source()` with what lies under its own inner error.
            let wrapped = inner
                .downcast_ref::<io::Error>()
                .and_then(|error| error.get_ref());
            cause = match wrapped {
                Some(wrapped) => Some(wrapped),
                None => inner.source(),
            };
        }
        let kind = match error {
            _ if error.is_timeout() => ErrorKind::Timeout,
            _ if error.is_dns() => ErrorKind::Dns,
            _ if error.is_connect() => ErrorKind::Connect,
            _ => ErrorKind::Reset,
        };
        match (kind, innermost) {
            (ErrorKind::Timeout, _) if error.is_connect() => Self {
                while_connecting: true,
                ..Self::new(kind, "no connection in time")
            },
            (ErrorKind::Timeout, _) => Self::timeout(),
            (_, Some(inner)) => Self::new(kind, inner.to_string()),
            (_, None) => Self::new(kind, "the request could not be sent"),
        }
    }
}

fn known(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(dns) = error.downcast_ref::<DnsError>() {
        return Some(Error::new(ErrorKind::Dns, dns.to_string()));
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(Error {
            certificate: Certificate::trouble(tls),
            is_about_ours: matches!(tls, rustls::Error::AlertReceived(alert) if is_about_ours(*alert)),
            ..Error::new(ErrorKind::Tls, tls.to_string())
        });
    }
    if let Some(http) = error.downcast_ref::<hyper::Error>()
        && http.is_incomplete_message()
    {
        return Some(Error::new(
            ErrorKind::Reset,
            "the connection was closed before the answer was complete",
        ));
    }
    let kind = error.downcast_ref::<io::Error>()?.kind();
    let (kind, reason) = match kind {
        io::ErrorKind::ConnectionRefused => (ErrorKind::Connect, "connection refused"),
        io::ErrorKind::HostUnreachable => (ErrorKind::Connect, "no route to the host"),
        io::ErrorKind::NetworkUnreachable => (ErrorKind::Connect, "the network is unreachable"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            (ErrorKind::Reset, "connection reset")
        }
        io::ErrorKind::UnexpectedEof => (
            ErrorKind::Reset,
            "the connection was closed before the answer was complete",
        ),
        _ => return None,
    };
    Some(Error::new(kind, reason))
}
