//! Files that tokens are written to, as they are configured.

use super::*;
use crate::spec::{FileSink, SinkFormat};

fn one(more: &str) -> String {
    format!(
        "[integrations.a]\ngrant = \"static\"\ntoken = {{ file = \"/t\" }}\n{more}\n\
         [integrations.b]\ninherit = \"a\"\n"
    )
}

fn file(path: &str, more: &str) -> String {
    one(&format!(
        "[[integrations.a.files]]\npath = \"{path}\"\n{more}"
    ))
}

#[test]
fn files_of_an_integration() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let spec = loaded(&file(&at("./token"), "format = \"raw\"\nmode = \"0400\"")).spec;
    let sink = FileSink {
        integration: "a".parse().unwrap(),
        path: at("token").into(),
        format: SinkFormat::Raw,
        mode: 0o400,
    };
    assert_eq!(spec.sinks, [sink], "not inherited");
    let spec = loaded(&file(&at("token"), "")).spec;
    assert_eq!(spec.sinks[0].mode, 0o440);
    assert_eq!(spec.sinks[0].format, SinkFormat::Json);
}

#[test]
fn files_that_cannot_be_written_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let key = |name: &str| format!("integrations.a.files.0.{name}");
    for (text, name, words) in [
        (
            file("/no/such/folder/token", ""),
            "path",
            "a folder that is there",
        ),
        (file("/", ""), "path", "must name a file"),
        (file(&at("token/.."), ""), "path", "must name a file"),
        (file("", ""), "path", "is missing"),
        (
            one("[[integrations.a.files]]\nformat = \"raw\""),
            "path",
            "is missing",
        ),
        (
            file(&at("token"), "mode = \"4755\""),
            "mode",
            "permission bits",
        ),
        (file(&at("token"), "mode = 440"), "mode", "must be a string"),
        (file(&at("token"), "format = \"xml\""), "format", "must be"),
        (
            file(&at("token"), "fromat = \"raw\""),
            "fromat",
            "did you mean",
        ),
        (
            file(
                &at("token"),
                "format = \"header\"\n[integrations.a.api.headers]\nAuthorization = \"\"",
            ),
            "format",
            "no Authorization",
        ),
    ] {
        refuses(&text, &key(name), words);
    }
    let twice = format!(
        "[[integrations.a.files]]\npath = \"{}\"\n[[integrations.a.files]]\npath = \"{}\"\n",
        at("token"),
        at("./token")
    );
    refuses(
        &one(&twice),
        "integrations.a.files.1.path",
        "needs one of its own",
    );
    let demand = file(&at("token"), "[integrations.a.refresh]\nwhen = \"demand\"");
    refuses(&demand, "integrations.a.files", "asks for nothing");
    refuses(
        &one("files = \"/x\""),
        "integrations.a.files",
        "list of tables",
    );
    let elsewhere = file("/no/such/folder/token", "");
    let options = Options {
        without_secrets: true,
    };
    load_text(
        "test.toml",
        &elsewhere,
        Format::Toml,
        &Env::default(),
        options,
    )
    .unwrap();
}

#[test]
fn two_files_are_not_one_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let alias = folder.path().join("alias");
    std::os::unix::fs::symlink(folder.path(), &alias).unwrap();
    let aliased = format!(
        "[[integrations.a.files]]\npath = \"{}\"\n[[integrations.a.files]]\npath = \"{}\"\n",
        at("token"),
        at("alias/token")
    );
    refuses(
        &one(&aliased),
        "integrations.a.files.1.path",
        "needs one of its own",
    );
}

/// The store's file is there, or is not yet; a link leads to it, or to its folder.
#[test]
fn a_token_never_overwrites_what_the_broker_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::os::unix::fs::symlink(folder.path(), at("alias")).unwrap();
    std::os::unix::fs::symlink(at("behind"), at("link")).unwrap();
    std::fs::write(at("behind"), "s3cret").unwrap();
    let key = "integrations.a.files.0.path";
    let store = format!(
        "[store]\nkind = \"embedded\"\npath = \"{}\"\n",
        at("state.redb")
    );
    for path in ["state.redb", "alias/state.redb"] {
        refuses(
            &format!("{store}{}", file(&at(path), "")),
            key,
            "is the store",
        );
    }
    let socket = format!("[server]\nlisten = \"unix:{}\"\n", at("b.sock"));
    refuses(
        &format!("{socket}{}", file(&at("b.sock"), "")),
        key,
        "is the socket",
    );
    for path in ["link", "behind", "alias/behind"] {
        let secret = file(&at(path), "").replace("/t\"", &format!("{}\"", at("link")));
        refuses(&secret, key, "is the file of a secret");
    }
    let path = folder.path().join("broker.toml");
    std::fs::write(&path, file(&at("alias/broker.toml"), "")).unwrap();
    let problems = load(&path, &Env::default(), Options::default()).unwrap_err();
    let said = problems.to_string();
    assert!(said.contains("is a file of this configuration"), "{said}");
}

#[test]
fn a_mode_for_everybody_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token").display().to_string();
    for (mode, warned) in [("0644", true), ("0440", false), ("0660", false)] {
        let loaded = loaded(&file(&path, &format!("mode = \"{mode}\"")));
        let found = loaded.warnings.iter().any(|one| {
            one.key == "integrations.a.files.0.mode" && one.message.contains("every user")
        });
        assert_eq!(found, warned, "{mode}");
    }
}
