//! The process-wide sections: listeners, logging, access, store.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::secret::SecretSource;

/// Where the main listener is unless the configuration says otherwise.
pub const DEFAULT_LISTEN: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8656),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 8656),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Main listener: loopback addresses and Unix sockets only, at least one.
    pub listen: Vec<Listen>,
    /// `listen` is the default: a host without IPv6 is then no error.
    pub listen_is_default: bool,
    /// Further `Host` names that are accepted, lower case, without port and trailing dot.
    pub hosts: Vec<String>,
    /// The longest a caller without a good token waits.
    pub wait: Duration,
    pub min_ttl: Duration,
    pub startup_wait: Duration,
    pub shutdown_delay: Duration,
    pub shutdown_timeout: Duration,
    /// Permission bits of Unix sockets.
    pub socket_mode: u32,
    /// At least 1; 1 is the single-threaded runtime.
    pub worker_threads: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN.map(Listen::Tcp).to_vec(),
            listen_is_default: true,
            hosts: Vec::new(),
            wait: Duration::from_secs(10),
            min_ttl: Duration::from_secs(5),
            startup_wait: Duration::from_secs(60),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(20),
            socket_mode: 0o600,
            worker_threads: 1,
        }
    }
}

/// `[admin]`: probes and metrics on an address of their own; may bind anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub listen: Vec<Listen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or a list such as `info,token_broker::refresh=debug`; already known to parse.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// A header, lower case, without which a request is refused (probes excepted).
    pub require_header: Option<String>,
}

/// `[store]`: what outlives the process, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Nothing does.
    Memory {
        /// Grants whose refresh token rotates may be used all the same.
        allow_losing_refresh_tokens: bool,
    },
    Embedded {
        /// Of the file; relative ones to the working directory.
        path: PathBuf,
        /// Without it the entries are readable for whoever reads the file.
        encryption_key: Option<SecretSource>,
    },
}

impl Default for Store {
    fn default() -> Self {
        Self::Memory {
            allow_losing_refresh_tokens: false,
        }
    }
}
