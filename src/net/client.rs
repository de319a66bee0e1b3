//! HTTP clients, made once for equal settings: a trust store is large and integrations are many.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::base::Zeroizing;
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::OnceCell;
use url::Url;

use super::error::{Error, ErrorKind};
use super::identity::Identity;
use super::resolver::Resolver;
use super::roots;
use crate::spec::{Net, Proxy};

/// At most this much of an answer is read, counted after decompression.
pub const BODY_MAX: usize = 1024 * 1024;
const USER_AGENT: &str = concat!("token-broker/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("ca_file {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("ca_file {} holds no certificate in PEM form", path.display())]
    NoCertificates { path: PathBuf },
    #[error("the proxy's URL is not one: write http://host:port")]
    Proxy,
}

/// What is sent. Headers that hold secrets are marked sensitive by whoever makes them.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Zeroizing<Vec<u8>>,
}

/// Neither path nor query nor headers nor the body: each may hold a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "Request({} {host})", self.method)
    }
}

/// What came back, whole.
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// Makes clients and shares them between equal settings as long as somebody uses them.
#[derive(Debug, Default)]
pub struct Clients {
    made: Mutex<Vec<Weak<Inner>>>,
}

#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    net: Net,
    connect_timeout: Duration,
    identity: Option<Identity>,
    proxy: Option<reqwest::Proxy>,
    authorities: Vec<reqwest::Certificate>,
    /// For `http://`, which is loopback only: needs no trust store.
    plain: OnceLock<Result<reqwest::Client, Error>>,
    /// Made at the first use: reading the system's authorities would hold up the start.
    tls: OnceCell<reqwest::Client>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Clients {
    pub fn new() -> Arc<Self> {
        install_crypto();
        Arc::new(Self::default())
    }

    /// A client for these settings; `loopback` endpoints are never reached through a proxy. Reads
    /// the `ca_file`, and nothing else, before it returns.
    pub fn get(
        &self,
        net: &Net,
        connect_timeout: Duration,
        loopback: bool,
    ) -> Result<Client, ClientError> {
        self.get_as(net, connect_timeout, loopback, None)
    }

    /// The same for a client that presents a certificate of its own.
    pub fn get_as(
        &self,
        net: &Net,
        connect_timeout: Duration,
        loopback: bool,
        identity: Option<&Identity>,
    ) -> Result<Client, ClientError> {
        let mut net = net.clone();
        if loopback {
            net.proxy = None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made.iter().filter_map(Weak::upgrade).find(|inner| {
            inner.connect_timeout == connect_timeout
                && inner.net == net
                && inner.identity.as_ref() == identity
        });
        if let Some(known) = known {
            return Ok(Client(known));
        }
        made.retain(|inner| inner.strong_count() > 0);
        let inner = Arc::new(Inner {
            connect_timeout,
            identity: identity.cloned(),
            proxy: net.proxy.as_ref().map(proxy).transpose()?,
            authorities: match &net.ca_file {
                Some(path) => roots::read(path)?,
                None => Vec::new(),
            },
            net,
            plain: OnceLock::new(),
            tls: OnceCell::new(),
        });
        made.push(Arc::downgrade(&inner));
        Ok(Client(inner))
    }
}

/// The process-wide cryptography of TLS; the library chooses none by itself.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one is installed already: then that one is used.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

fn proxy(proxy: &Proxy) -> Result<reqwest::Proxy, ClientError> {
    #[expect(
        clippy::map_err_ignore,
        reason = "the cause may print the URL, which may hold a password"
    )]
    let mut url = Url::parse(proxy.url.expose()).map_err(|_| ClientError::Proxy)?;
    // The library prints proxies in its debug log: user and password go in as a header instead.
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(ClientError::Proxy);
    }
    #[expect(clippy::map_err_ignore, reason = "the cause may print the URL")]
    let made = reqwest::Proxy::all(url.as_str()).map_err(|_| ClientError::Proxy)?;
    let made = match (user.is_empty(), password.is_empty()) {
        (true, true) => made,
        _ => made.custom_http_auth(basic(&user, &password)?),
    };
    let exceptions = proxy.no_proxy.as_deref();
    Ok(made.no_proxy(exceptions.and_then(reqwest::NoProxy::from_string)))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, ClientError> {
    use base64::Engine as _;
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair.as_bytes());
    #[expect(clippy::map_err_ignore, reason = "base64 is always a header value")]
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).map_err(|_| ClientError::Proxy)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Client {
    /// Sends and reads the whole answer, whatever its status; the caller sets the deadline.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let client = match request.url.scheme() {
            "http" => self.0.plain()?,
            _ => self.0.tls().await?,
        };
        let mut builder = client
            .request(request.method, request.url)
            .headers(request.headers);
        if !request.body.is_empty() {
            builder = builder.body(request.body.to_vec());
        }
        let sent = Box::pin(builder.send()).await;
        let mut answer = sent.map_err(|error| Error::classify(&error))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Zeroizing::new(Vec::new());
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| Error::classify(&error))?
        {
            if body.len() + part.len() > BODY_MAX {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    "the answer is larger than 1 MiB",
                ));
            }
            body.extend_from_slice(&part);
        }
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    /// The proxy a request to `url` takes, without user and password.
    pub fn proxy_for(&self, url: &Url) -> Option<String> {
        if url.scheme() == "http" {
            return None;
        }
        let settings = self.0.net.proxy.as_ref()?;
        let mut proxy = Url::parse(settings.url.expose()).ok()?;
        proxy.set_username("").ok()?;
        proxy.set_password(None).ok()?;
        let proxy = proxy.as_str().trim_end_matches('/').to_owned();
        let matcher = hyper_util::client::proxy::matcher::Matcher::builder()
            .all(proxy.clone())
            .no(settings.no_proxy.clone().unwrap_or_default())
            .build();
        matcher.intercept(&url.as_str().parse().ok()?)?;
        Some(proxy)
    }

    /// Whether both have the same settings.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Inner {
    fn plain(&self) -> Result<reqwest::Client, Error> {
        let made = self.plain.get_or_init(|| {
            let builder = settings(self.connect_timeout).tls_certs_only([]).no_proxy();
            built(builder)
        });
        made.clone()
    }

    async fn tls(&self) -> Result<reqwest::Client, Error> {
        let make = || async {
            let mut builder = settings(self.connect_timeout).https_only(true);
            builder = match &self.proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder.no_proxy(),
            };
            if let Some(identity) = &self.identity {
                let pem = identity.as_pem();
                let identity = reqwest::Identity::from_pem(pem.as_bytes());
                builder = builder.identity(identity.map_err(|error| Error::classify(&error))?);
            }
            let authorities = self.authorities.clone();
            builder = if self.net.ca_only {
                builder.tls_certs_only(authorities)
            } else {
                builder.tls_certs_merge(authorities)
            };
            let made = tokio::task::spawn_blocking(move || built(builder)).await;
            made.unwrap_or_else(|error| Err(Error::new(ErrorKind::Tls, error.to_string())))
        };
        self.tls.get_or_try_init(make).await.cloned()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one builder")]
fn settings(connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(connect_timeout)
        .gzip(true)
        .dns_resolver(Resolver)
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|error| {
        let found = Error::classify(&error);
        Error::new(
            ErrorKind::Tls,
            format!(
                "no TLS: {} (are certificate authorities installed? net.ca_file adds some)",
                found.reason
            ),
        )
    })
}

#[cfg(test)]
mod tests;
