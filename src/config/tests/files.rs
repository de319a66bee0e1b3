//! Files, formats and text that is none.

use super::*;

#[test]
fn every_format_says_the_same() {
    let yaml = "integrations:\n  billing:\n    grant: client_credentials\n    token_endpoint: https://auth.example.com/oauth/token\n    client_id: abc\n    client_secret: {file: /run/secrets/billing}\n";
    let json = r#"{"integrations":{"billing":{"grant":"client_credentials","token_endpoint":"https://auth.example.com/oauth/token","client_id":"abc","client_secret":{"file":"/run/secrets/billing"}}}}"#;
    let env = Env::default();
    let options = Options::default();
    let want = loaded(BILLING).spec;
    assert_eq!(
        load_text("a.yaml", yaml, Format::Yaml, &env, options)
            .unwrap()
            .spec,
        want
    );
    assert_eq!(
        load_text("a.json", json, Format::Json, &env, options)
            .unwrap()
            .spec,
        want
    );
    assert!(load_text("a.yaml", "# nothing\n", Format::Yaml, &env, options).is_ok());
    assert!(load_text("a.yaml", &"[".repeat(100_000), Format::Yaml, &env, options).is_err());
    assert!(load_text("a.yaml", &"- ".repeat(100_000), Format::Yaml, &env, options).is_err());
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let problems = refused(
        r#"
[server]
wait = "soon"
socket_mode = 600
[integrations.a]
grant = "client_credentials"
client_id = 5
[integrations.B]
grant = "static"
"#,
    );
    let keys: Vec<_> = problems.list().iter().map(|one| one.key.as_str()).collect();
    for key in [
        "server.wait",
        "server.socket_mode",
        "integrations.a.token_endpoint",
        "integrations.a.client_id",
        "integrations.B",
    ] {
        assert!(keys.contains(&key), "{key} in {problems}");
    }
    assert!(
        problems.list().iter().all(|one| one.file == "test.toml"),
        "{problems}"
    );
}

#[test]
fn directories_define_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let load_all = || load(folder.path(), &Env::default(), Options::default());
    write("a.toml", BILLING);
    write("b.yaml", "server: {wait: 3s}\n");
    write("c.json", "{\"log\": {\"level\": \"debug\"}}");
    write(".hidden.toml", "nonsense");
    write("notes.txt", "nonsense");
    std::fs::create_dir(folder.path().join("d.toml")).unwrap();
    let loaded = load_all().unwrap();
    assert_eq!(loaded.spec.server.wait, Duration::from_secs(3));
    assert_eq!(loaded.spec.log.level, "debug");
    write("e.toml", &format!("log.level = \"info\"\n{BILLING}"));
    let problems = load_all().unwrap_err();
    assert_eq!(problems.list().len(), 2, "{problems}");
    for (one, first) in problems.list().iter().zip(["c.json", "a.toml"]) {
        assert!(
            one.file.ends_with("e.toml") && one.message.contains(first),
            "{problems}"
        );
    }
    // A base in another file would let one team lend another's secret.
    write("e.toml", "[integrations.x]\ninherit = \"billing\"\n");
    assert!(load_all().unwrap_err().to_string().contains("same file"));
}

#[test]
fn depth_is_bounded() {
    let deep = 50_000;
    for (format, text) in [
        (Format::Toml, format!("a = {}", "[".repeat(deep))),
        (Format::Toml, format!("{}a = 1", "a.".repeat(deep))),
        (Format::Toml, format!("[{}a]", "a.".repeat(deep))),
        (Format::Toml, format!("a = {}", "{a=".repeat(deep))),
        (
            Format::Toml,
            format!("a = {{ {}a = 1 }}", "a.".repeat(deep)),
        ),
        (Format::Json, "[".repeat(deep)),
        (Format::Json, "{\"a\":".repeat(deep)),
        (Format::Yaml, "[".repeat(deep)),
        (Format::Yaml, "{a: ".repeat(deep)),
        (Format::Yaml, "- ".repeat(deep)),
        (Format::Yaml, "? ".repeat(deep)),
    ] {
        let result = load_text("f", &text, format, &Env::default(), Options::default());
        assert!(result.is_err());
    }
}

#[test]
fn missing_and_huge_files() {
    let env = Env::from_pairs([("TOKEN_BROKER_CONFIG", "/nowhere/x.toml")]);
    let path = config_path(None, &env);
    let problems = load(&path, &env, Options::default()).unwrap_err();
    assert!(problems.to_string().contains("is not there"), "{problems}");
    assert_eq!(
        config_path(None, &Env::default()),
        Path::new("/etc/token-broker/config.toml")
    );
    assert_eq!(config_path(Some(Path::new("x")), &env), Path::new("x"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.toml");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(17 << 20)
        .unwrap();
    let problems = load(&file, &env, Options::default()).unwrap_err();
    assert!(problems.to_string().contains("16 MiB"));
    let wrong = load(Path::new("x.ini"), &env, Options::default()).unwrap_err();
    assert!(wrong.to_string().contains(".toml"));
}

#[test]
fn syntax_errors_tell_the_place_and_nothing_else() {
    let env = Env::default();
    for (format, text, place) in [
        (Format::Toml, "a = 1\nclient_secret = \"canary\n", "line 2"),
        (Format::Yaml, "a: 1\nb: \"canary\n", "YAML"),
        (Format::Yaml, "a: [canary\n", "YAML"),
        (Format::Yaml, "canary", "one table"),
        (Format::Json, "{\"a\": \"canary\",\n x", "line 2, column 2"),
        (Format::Json, "[\"canary\"]", "one table"),
        (
            Format::Json,
            "{\"a\": 1,\n\"a\": \"canary\"}",
            "twice in one table, at line 2",
        ),
        (Format::Yaml, "a: 1\na: canary\n", "YAML"),
        (Format::Toml, "canary = 99999999999999999999", "TOML"),
    ] {
        let problems = load_text("f", text, format, &env, Options::default()).unwrap_err();
        let said = format!("{problems} {}", problems.to_json());
        assert!(said.contains(place) && !said.contains("canary"), "{said}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_text_never_panics(text in "[ -~\n]{0,200}") {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _result = load_text("f", &text, format, &Env::default(), Options::default());
        }
    }

    /// Whatever is put wherever: no problem and no warning repeats a value.
    #[test]
    fn values_are_never_told(index in 0_usize..200, shape in 0_u8..6) {
        let mut keys = Vec::new();
        all_keys("", SECTIONS, &mut keys);
        all_keys("integrations.billing.", INTEGRATION, &mut keys);
        let (prefix, name) = &keys[index % keys.len()];
        let value = match shape {
            0 => "\"CanarY{9}\\u0007\"",
            1 => "[\"CanarY{9}\"]",
            2 => "{ env = \"CanarY{9}\" }",
            3 => "{ x = \"CanarY{9}\" }",
            4 => "{ file = \"CanarY{9}\", expires_at = \"CanarY{9}\" }",
            _ => "[{ command = [\"CanarY{9}\"] }]",
        };
        let text = format!("{prefix}{name} = {value}\nintegrations.other.provider = \"360learning\"\n");
        let said = match try_with(&text, &[]) {
            Ok(loaded) => format!("{:?}", loaded.warnings),
            Err(problems) => format!("{problems} {}", problems.to_json()),
        };
        proptest::prop_assert!(!said.to_lowercase().contains("canary"), "{}", said);
    }
}

#[test]
fn every_key_of_the_sections_is_documented() {
    let text = include_str!("../../../config/default.toml");
    for section in SECTIONS {
        let Kind::Table(keys) = section.kind else {
            continue;
        };
        assert!(
            text.contains(&format!("[{}]", section.name)),
            "{}",
            section.name
        );
        for key in keys.iter().filter(|key| !matches!(key.kind, Kind::Later)) {
            assert!(
                text.contains(&format!("{} = ", key.name)),
                "{}.{}",
                section.name,
                key.name
            );
        }
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    use std::fmt::Write as _;
    let mut text = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        writeln!(text, "a{level}: &a{level} [*a{before}, *a{before}]").unwrap();
    }
    let result = load_text(
        "f",
        &text,
        Format::Yaml,
        &Env::default(),
        Options::default(),
    );
    assert!(result.unwrap_err().to_string().contains("aliases"));
}
