//! The command as an operator types it, on real files.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::base::{Secret, Timestamp};
use crate::cli::tests::typed;
use crate::store::{Access, Chain, Version, Wait, WaitKind};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Place {
    folder: tempfile::TempDir,
    key: &'static str,
}

fn stamp(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

fn record() -> Record {
    Record {
        chain: Some(Chain {
            refresh_token: Secret::new("canary-refresh"),
            bound_to: BoundTo {
                client_id: "before".to_owned(),
                at: "auth.example.com".to_owned(),
            },
            received_at: stamp(0),
            used_at: Some(stamp(5)),
            expires_at: None,
            idle_lifetime: Some(Duration::from_hours(1)),
            configured: Some([1; 32]),
            intent: Some(stamp(9)),
        }),
        access: Some(Access {
            access_token: Secret::new("canary-access"),
            token_type: "Bearer".to_owned(),
            scope: None,
            members: serde_json::Map::default(),
            sent_at: stamp(0),
            lifetime: Some(Duration::from_mins(10)),
            shaped_by: [0; 32],
            secret_in_use: None,
        }),
        wait: Some(Wait {
            until: stamp(60),
            kind: WaitKind::Refused,
            failures: 0,
            refusals: 2,
            asked: [0; 32],
        }),
    }
}

impl Place {
    fn new(key: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, key };
        place.configure(key);
        place
    }

    fn configure(&self, key: &str) {
        let store = self.path("state.redb");
        let text = format!(
            "[store]\nkind = \"embedded\"\npath = {store:?}\n{key}\n\
             [integrations.crm]\ngrant = \"client_credentials\"\nclient_id = \"now\"\n\
             token_endpoint = \"https://auth.example.com/token\"\n\
             client_secret = {{ env = \"NOT_SET_HERE\" }}\n\
             [integrations.fixed]\ngrant = \"static\"\ntoken = {{ file = \"/x\" }}\n"
        );
        std::fs::write(self.path("broker.toml"), text).unwrap();
        std::fs::write(self.path("store-key"), KEY).unwrap();
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn store(&self) -> Arc<dyn StateStore> {
        let spec = spec::Store::Embedded {
            path: self.path("state.redb").into(),
            encryption_key: None,
        };
        let key = SealingKey::parse(KEY.as_bytes()).unwrap();
        let key = (!self.key.is_empty()).then_some(&key);
        store::open(&spec, key, Arc::new(SystemClock)).unwrap()
    }

    fn fill(&self) {
        let filled = setup::block_on(async {
            let store = self.store();
            for name in ["crm", "gone"] {
                let key = Key::Integration(name.parse().unwrap());
                let saved = store.save(&key, record().encode(), Version(0)).await;
                saved.unwrap();
            }
            let key = Key::quota("auth.example.com:443", "now");
            let quota = store::Quota::default().encode();
            store.save(&key, quota, Version(0)).await.unwrap();
            let key = Key::Integration("odd".parse().unwrap());
            let odd = Secret::new("{\"format\":7,\"x\":\"canary\"}");
            store.save(&key, odd, Version(0)).await.unwrap();
        });
        filled.unwrap();
    }

    fn typed(&self, action: &str) -> (u8, String, String) {
        let config = self.path("broker.toml");
        let env = [("NEW_KEY", KEY)];
        let typed = typed(
            &format!("token-broker store {action} --config {config}"),
            &env,
        );
        assert!(!format!("{typed:?}").contains("canary"), "{typed:?}");
        assert!(!format!("{typed:?}").contains(KEY), "{typed:?}");
        typed
    }
}

#[test]
fn list_shows_everything_but_tokens() {
    let place = Place::new("encryption_key = { env = \"NEW_KEY\" }");
    let (code, _, err) = place.typed("list");
    assert!(code == 1 && err.contains("does not exist yet"), "{err}");
    place.fill();
    let (code, out, err) = place.typed("list");
    assert_eq!((code, err.as_str()), (0, ""));
    for words in [
        "(sealed)",
        "crm",
        "interrupted exchange of 2027-01-15T08:00:09Z",
        "waits after a refusal until 2027-01-15T08:01:00Z",
        "client before at auth.example.com",
        "2027-01-15T09:00:05Z",
        "(quota) auth.example.com:443 now",
        "newer version",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (_, out, _) = place.typed("list --format json");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["sealed"], true);
    let entries = document["entries"].as_array().unwrap();
    let named = |name: &str| entries.iter().find(|one| one["name"] == name).unwrap();
    let crm = named("crm");
    assert_eq!(crm["refresh_token"]["client_id"], "before");
    assert_eq!(crm["refresh_token"]["ends_at"], "2027-01-15T09:00:05Z");
    assert_eq!(crm["access_token"]["expires_at"], "2027-01-15T08:10:00Z");
    assert_eq!(crm["wait"]["kind"], "refused");
    assert_eq!(named("auth.example.com:443 now")["kind"], "quota");
    assert!(named("odd")["problem"].is_string());
}

#[test]
fn forget_says_what_it_removed() {
    let place = Place::new("");
    place.fill();
    let (code, out, _) = place.typed("forget gone");
    assert!(code == 0 && out.contains("gone: refresh token, "), "{out}");
    let (code, _, err) = place.typed("forget gone");
    assert!(
        code == 1 && err.contains("nothing is kept about gone"),
        "{err}"
    );
    let (code, out, _) = place.typed("forget odd");
    assert!(code == 0 && out.contains("newer version"), "{out}");
    let (_, out, _) = place.typed("list");
    assert!(out.contains("crm") && !out.contains("gone") && !out.contains("odd"));
}

#[test]
fn adopt_binds_to_what_is_configured_now() {
    let place = Place::new("");
    place.fill();
    let (code, out, _) = place.typed("adopt crm");
    assert_eq!(code, 0);
    assert!(
        out.contains("client before at auth.example.com")
            && out.contains("client now at auth.example.com"),
        "{out}"
    );
    let (code, out, _) = place.typed("adopt crm");
    assert!(code == 0 && out.contains("nothing to do"), "{out}");
    let kept = setup::block_on(async {
        let key = Key::Integration("crm".parse().unwrap());
        let entry = place.store().load(&key).await.unwrap().unwrap();
        Record::decode(&entry.value).unwrap()
    });
    let mut expected = record();
    "now".clone_into(&mut expected.chain.as_mut().unwrap().bound_to.client_id);
    assert_eq!(kept.unwrap(), expected, "nothing else changes");
    for (name, code, words) in [
        ("gone", 2, "has no integration gone"),
        ("fixed", 2, "its grant is static"),
    ] {
        let (found, _, err) = place.typed(&format!("adopt {name}"));
        assert!(found == code && err.contains(words), "{err}");
    }
}

#[test]
fn rekey_seals_changes_and_takes_off() {
    let place = Place::new("");
    place.fill();
    let sealed = || {
        let bytes = std::fs::read(place.path("state.redb")).unwrap();
        !bytes.windows(6).any(|part| part == b"canary")
    };
    assert!(!sealed());
    std::fs::write(place.path("bad"), "short").unwrap();
    for (action, code, words) in [
        ("rekey --new-key-env UNSET", 2, "not set"),
        (
            &*format!("rekey --new-key-file {}", place.path("bad")),
            1,
            "32 bytes",
        ),
        (
            &*format!("rekey --new-key-file {}", place.path("no")),
            1,
            "does not exist",
        ),
    ] {
        let (found, _, err) = place.typed(action);
        assert!(found == code && err.contains(words), "{err}");
    }
    // With the key in the configuration already, and without.
    place.configure(&format!(
        "encryption_key = {{ file = {:?} }}",
        place.path("store-key")
    ));
    let (code, _, err) = place.typed("list");
    assert!(code == 1 && err.contains("is not sealed although"), "{err}");
    let (code, out, err) = place.typed("rekey --new-key-env NEW_KEY");
    assert!(code == 0 && out.contains("sealed 4 entries"), "{err}");
    assert!(sealed());
    assert_eq!(place.typed("list").0, 0);
    std::fs::remove_file(place.path("store-key")).unwrap();
    let (code, _, err) = place.typed("rekey --plain");
    assert!(
        code == 1 && err.contains("store-key does not exist"),
        "{err}"
    );
    std::fs::write(place.path("store-key"), KEY).unwrap();
    let (code, out, _) = place.typed("rekey --plain");
    assert!(
        code == 0 && out.contains("take encryption_key out"),
        "{out}"
    );
    assert!(!sealed());
}

#[test]
fn a_store_in_use_and_one_in_memory_are_refused() {
    let place = Place::new("");
    place.fill();
    let held = place.store();
    for action in ["list", "forget crm", "adopt crm", "rekey --plain"] {
        let (code, _, err) = place.typed(action);
        let told = err.contains("held by another process") && err.contains("stop the broker");
        assert!(code == 1 && told, "{action}: {err}");
    }
    drop(held);
    assert_eq!(place.typed("list").0, 0);
    std::fs::write(place.path("broker.toml"), "").unwrap();
    let (code, _, err) = place.typed("list");
    assert!(code == 2 && err.contains("kind = \"embedded\""), "{err}");
}
