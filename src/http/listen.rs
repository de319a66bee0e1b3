//! Binding the listeners, before anything else runs.
//!
//! Invariant: nobody can connect to a Unix socket before its mode is set, and nothing that is not
//! a dead socket is ever removed.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::spec::Listen;

/// A listener that is bound and not yet served; a socket file goes with it.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Socket,
    address: Listen,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Where it is; the real port where 0 was asked for.
    pub fn address(&self) -> Listen {
        self.address.clone()
    }
}

/// Says what is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {advice}")]
pub struct BindError {
    address: String,
    advice: String,
    #[source]
    cause: Option<io::Error>,
}

/// Binds all or none. `is_default`: nobody asked for these addresses, so that a host without IPv6
/// goes without.
pub fn bind(
    listen: &[Listen],
    is_default: bool,
    socket_mode: u32,
) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::with_capacity(listen.len());
    for address in listen {
        match address {
            Listen::Tcp(tcp) => match TcpListener::bind(tcp) {
                Ok(listener) => bound.push(tcp_bound(listener, address)?),
                Err(error) if is_default && tcp.is_ipv6() && lacks_ipv6(&error) => {
                    tracing::debug!(address = %tcp, "this host has no ipv6 loopback: not listening there");
                }
                Err(error) => return Err(failed(address, error)),
            },
            Listen::Unix(path) => {
                let (listener, file) = bind_unix(path, socket_mode)?;
                bound.push(Bound {
                    socket: Socket::Unix(listener, file),
                    address: address.clone(),
                });
            }
        }
    }
    if bound.is_empty() {
        return Err(BindError {
            address: "any address".to_owned(),
            advice: "none of the configured ones exists on this host".to_owned(),
            cause: None,
        });
    }
    Ok(bound)
}

/// The standard library's 128 is too few when a pod's workers all ask at once: a connection beyond
/// it is tried again by the caller's kernel only after a second.
const BACKLOG: i32 = 1024;

fn tcp_bound(listener: TcpListener, address: &Listen) -> Result<Bound, BindError> {
    let real = rustix::net::listen(&listener, BACKLOG)
        .map_err(io::Error::from)
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| listener.local_addr());
    let real = real.map_err(|error| failed(address, error))?;
    Ok(Bound {
        socket: Socket::Tcp(listener),
        address: Listen::Tcp(real),
    })
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

struct Shown<'a>(&'a Listen);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn failed(address: &Listen, error: io::Error) -> BindError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process (perhaps another token broker) listens there; stop it, or set another address".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "this user is not allowed to".to_owned(),
        _ => error.to_string(),
    };
    BindError {
        address: Shown(address).to_string(),
        advice,
        cause: Some(error),
    }
}

fn bind_unix(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindError> {
    let refuse = |advice: &str, cause: Option<io::Error>| BindError {
        address: format!("unix:{}", path.display()),
        advice: advice.to_owned(),
        cause,
    };
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(refuse("this is no path of a file", None)),
    };
    if !folder.is_dir() {
        return Err(refuse("its folder does not exist; create it first", None));
    }
    // It is bound under another name first, so the system would not say.
    if let Err(error) = SocketAddr::from_pathname(path) {
        let advice = "the path is too long for a socket (some 100 bytes)";
        return Err(refuse(advice, Some(error)));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(refuse("a file that is no socket is there; remove it", None));
        }
        Ok(_socket) => match UnixStream::connect(path) {
            // A dead process left it: what is bound below takes its place.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let advice = "a socket is there, and whether anybody listens cannot be told";
                return Err(refuse(advice, Some(error)));
            }
            Ok(_alive) => {
                return Err(failed(
                    &Listen::Unix(path.to_owned()),
                    io::ErrorKind::AddrInUse.into(),
                ));
            }
        },
        Err(_nothing_there) => {}
    }
    let bound = bind_aside(folder, path, mode);
    bound.map_err(|error| failed(&Listen::Unix(path.to_owned()), error))
}

/// Binds in a folder only we can enter, sets the mode, and moves the socket to its place.
fn bind_aside(folder: &Path, path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let aside = folder.join(format!(".{:x}", fastrand::u32(..)));
    fs::DirBuilder::new().mode(0o700).create(&aside)?;
    let temporary = aside.join("s");
    let bound = UnixListener::bind(&temporary).and_then(|listener| {
        listener.set_nonblocking(true)?;
        fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
        let inode = fs::symlink_metadata(&temporary)?;
        fs::rename(&temporary, path)?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: (inode.dev(), inode.ino()),
        };
        Ok((listener, file))
    });
    if bound.is_err()
        && let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, path = %temporary.display(), "a temporary socket was left behind");
    }
    if let Err(error) = fs::remove_dir(&aside) {
        tracing::debug!(%error, path = %aside.display(), "a temporary folder was left behind");
    }
    bound
}

/// Removes the socket's file at the end, if it still is the one that was bound.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        let ours = found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the socket could not be removed");
        }
    }
}
