//! The demo's configuration and the sandbox stay in step.

use super::*;
use crate::cli::tests::Page;
use crate::sandbox::VENDORS;

#[test]
fn the_demo_names_the_sandbox_and_its_credentials() {
    for vendor in VENDORS {
        let (id, secret) = (vendor.client_id, vendor.client_secret);
        let at = format!("http://{DEFAULT_ADDRESS}/{}", vendor.name);
        let mut lines = vec![
            format!("provider = \"{}\"", vendor.name),
            format!("base_url = \"{at}"),
        ];
        if vendor.standing_token {
            lines.push(format!("api_key = \"{id}\"\ntoken = \"{secret}\""));
        } else {
            lines.push(format!(
                "client_id = \"{id}\"\nclient_secret = \"{secret}\""
            ));
            lines.push(format!("token_endpoint = \"{at}{}\"", vendor.token_path));
        }
        for line in lines {
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
    // One for each vendor, and another business unit.
    assert_eq!(spec.integrations.len(), VENDORS.len() + 1);
    for integration in &spec.integrations {
        match integration.quota_key() {
            Some((authority, _client)) => {
                assert_eq!(authority, "127.0.0.1:4242", "{}", integration.id);
            }
            None => assert_eq!(integration.grant.name(), "static"),
        }
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

#[tokio::test]
async fn the_demo_gets_a_token_of_every_integration_and_says_so() {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let args = Args {
        listen: free,
        sandbox_listen: free,
    };
    let page = Page::default();
    let mut output = Output::new(page.clone(), page.clone());
    let told = async {
        while page.text().matches("first token").count() < VENDORS.len() + 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = demo(&args, &mut output) => panic!("{ended:?}"),
        () = told => {}
    }
    let text = page.text();
    assert!(
        text.contains("7 vendors are emulated on http://127.0.0.1:"),
        "{text}"
    );
    assert!(
        !text.contains(DEFAULT_ADDRESS) && !text.contains(":8656"),
        "{text}"
    );
}

#[tokio::test]
async fn a_taken_port_is_named_and_another_suggested() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for (listen, sandbox_listen, flag) in [
        (taken.1, free, "--listen"),
        (free, taken.1, "--sandbox-listen"),
    ] {
        let args = Args {
            listen,
            sandbox_listen,
        };
        let mut output = Output::new(Page::default(), Page::default());
        let Err(Exit::Failed(said)) = demo(&args, &mut output).await else {
            panic!("it ran")
        };
        assert!(said.contains(&taken.1.to_string()), "{said}");
        assert!(said.contains(&format!("another: {flag}")), "{said}");
    }
}
