//! Every host of the world: a proxy that is itself each host it is asked for, with certificates of an
//! authority of its own. So the broker asks the very URLs that it would ask outside. Clients may show
//! certificates of the same authority.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::authority::Authority;
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

/// The authority of the client certificate that lies with the conformance cases.
const FIXED_AUTHORITY: &[u8] = include_bytes!("../../conformance/some.ca.crt");

/// Makes a certificate for each host that is asked for, once.
struct Hosts {
    authority: Arc<Authority>,
    known: Mutex<HashMap<String, TlsAcceptor>>,
}

impl Hosts {
    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let mut known = self.known.lock().unwrap();
        let known = known.entry(host.to_owned());
        known.or_insert_with(|| self.made(host)).clone()
    }

    fn made(&self, host: &str) -> TlsAcceptor {
        let (certificate, key) = self.authority.issue(host);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        for pem in [self.authority.pem.as_bytes(), FIXED_AUTHORITY] {
            roots
                .add(CertificateDer::from_pem_slice(pem).unwrap())
                .unwrap();
        }
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate], key)
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
        let hosts = Arc::new(Hosts {
            authority: Arc::clone(&authority),
            known: Mutex::default(),
        });
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::task::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let hosts = Arc::clone(&hosts);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                connections.spawn(async move {
                    // The peer may have given up; that is its right.
                    let _gone = answer(stream, &hosts, &log, &*script).await;
                });
            }
        });
        Self {
            address,
            authority,
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
        self.authority.issue(name)
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
    hosts: &Hosts,
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
    let asked = asked.unwrap();
    let (host, _port) = asked.rsplit_once(':').unwrap();
    let authority = asked.strip_suffix(":443").unwrap_or(asked);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut stream = hosts.acceptor(host).accept(stream).await?;
    let Some(mut request) = read_request(&mut stream, format!("https://{authority}")).await else {
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
