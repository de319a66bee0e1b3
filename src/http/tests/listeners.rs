//! Binding.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::http::bind;
use crate::spec::Listen;

fn unix(path: &Path) -> [Listen; 1] {
    [Listen::Unix(path.to_owned())]
}

#[test]
fn an_address_in_use_is_an_error_a_person_can_act_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(&[Listen::Tcp(address)], true, 0o600)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("another process"),
        "{error}"
    );
}

#[test]
fn an_address_of_another_host_is_an_error_unless_it_is_the_default_ipv6() {
    let foreign = Listen::Tcp("192.0.2.1:0".parse().unwrap());
    assert!(bind(std::slice::from_ref(&foreign), true, 0o600).is_err());
    let here = Listen::Tcp("127.0.0.1:0".parse().unwrap());
    let foreign_v6 = Listen::Tcp("[2001:db8::1]:0".parse().unwrap());
    let both = [here, foreign_v6];
    assert!(bind(&both, false, 0o600).is_err());
    assert_eq!(bind(&both, true, 0o600).unwrap().len(), 1);
}

#[test]
fn a_socket_has_its_mode_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let bound = bind(&unix(&path), false, 0o640).unwrap();
    assert_eq!(bound[0].address(), Listen::Unix(path.clone()));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(UnixStream::connect(&path).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(bound);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn only_a_dead_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let alive = UnixListener::bind(&path).unwrap();
    let error = bind(&unix(&path), false, 0o600).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(alive);
    let bound = bind(&unix(&path), false, 0o600).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
    // Somebody else's socket in the same place is not ours to remove.
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
    drop(other);
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, "precious").unwrap();
    let error = bind(&unix(&path), false, 0o600).unwrap_err().to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn impossible_paths_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let error = bind(&unix(&folder.path().join("no/broker.sock")), false, 0o600).unwrap_err();
    assert!(
        error.to_string().contains("folder does not exist"),
        "{error}"
    );
    let long = folder.path().join("x".repeat(150));
    let error = bind(&unix(&long), false, 0o600).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
