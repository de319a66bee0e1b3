//! Every host of the world: a proxy that is itself each host it is asked for, with certificates of an
//! authority of its own. So the broker asks the very URLs that it would ask outside. Clients may show
//! certificates of the same authority.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::vendor::{Reply, Request, Script, read_request};

pub(crate) struct Internet {
    address: SocketAddr,
    authority: Arc<Authority>,
    /// Holds the authority's certificate.
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a certificate for each host that is asked for, once.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    roots: Arc<RootCertStore>,
    hosts: Mutex<HashMap<String, TlsAcceptor>>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let pem = own.pem();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        Self {
            roots: Arc::new(roots),
            issuer: Issuer::new(params, key),
            pem,
            hosts: Mutex::default(),
        }
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let mut hosts = self.hosts.lock().unwrap();
        let known = hosts.entry(host.to_owned());
        known.or_insert_with(|| self.made(host)).clone()
    }

    fn made(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::clone(&self.roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Internet {
    /// `script` gets each request and its number, from 1.
    pub(crate) async fn start(
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = Arc::new(Authority::new());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let issuer = Arc::clone(&authority);
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::task::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let authority = Arc::clone(&authority);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                connections.spawn(async move {
                    // The peer may have given up; that is its right.
                    let _gone = answer(stream, &authority, &log, &*script).await;
                });
            }
        });
        Self {
            address,
            authority: issuer,
            folder,
            seen,
            task,
        }
    }

    /// What a broker's configuration needs to get here.
    pub(crate) fn net(&self) -> String {
        let ca_file = self.folder.path().join("ca.pem");
        format!(
            "[net]\nproxy = \"http://{}\"\nca_file = \"{}\"\nca_only = true\n",
            self.address,
            ca_file.display()
        )
    }

    /// A certificate that the hosts accept, and its key, both in PEM.
    pub(crate) fn client(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// All that was asked since it was last taken.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn answer(
    mut stream: TcpStream,
    authority: &Authority,
    log: &Mutex<Vec<Request>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8(head).unwrap();
    let asked = head.strip_prefix("CONNECT ").unwrap().split(' ').next();
    let host = asked.unwrap().strip_suffix(":443").unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut stream = authority.acceptor(host).accept(stream).await?;
    let Some(mut request) = read_request(&mut stream, format!("https://{host}")).await else {
        return Ok(());
    };
    let shown = stream.get_ref().1.peer_certificates();
    request.certificate = shown.map(|chain| chain[0].to_vec());
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len()
    };
    let Reply::Full(status, headers, body) = script(&request, number) else {
        unreachable!("whole answers only")
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
