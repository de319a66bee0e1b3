//! The demo's configuration and the sandbox stay in step.

use super::*;
use crate::sandbox::VENDORS;

#[test]
fn the_demo_names_the_sandbox_and_its_credentials() {
    for vendor in VENDORS {
        let endpoint = format!(
            "token_endpoint = \"http://{DEFAULT_ADDRESS}/{}{}\"",
            vendor.name, vendor.token_path
        );
        for line in [
            format!("provider = \"{}\"", vendor.name),
            format!("client_id = \"{}\"", vendor.client_id),
            format!("client_secret = \"{}\"", vendor.client_secret),
            endpoint,
        ] {
            assert!(CONFIG.contains(&line), "{line}");
        }
    }
}

#[test]
fn the_demo_is_a_valid_configuration_on_the_addresses_in_use() {
    let vendors: SocketAddr = "127.0.0.1:4242".parse().unwrap();
    let listen: SocketAddr = "127.0.0.1:4343".parse().unwrap();
    let spec = spec(listen, vendors).unwrap();
    assert_eq!(spec.server.listen, [Listen::Tcp(listen)]);
    assert_eq!(spec.integrations.len(), 3);
    for integration in &spec.integrations {
        let (authority, _client) = integration.quota_key().unwrap();
        assert_eq!(authority, "127.0.0.1:4242", "{}", integration.id);
    }
}

#[test]
fn the_opening_shows_lines_to_paste() {
    let opening = story::opening("http://127.0.0.1:1", "127.0.0.1:2".parse().unwrap());
    for line in [
        "curl http://127.0.0.1:1/token/sfmc",
        "curl http://127.0.0.1:2/control/360learning/fault -d '{\"kind\": \"status\", \"status\": 503}'",
    ] {
        assert!(opening.contains(line), "{line}");
    }
}
