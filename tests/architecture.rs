//! The import table: which module may name which, and which crates belong to one module alone.
//! The compiler cannot check it within one crate, so this test does.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test: a failed assumption is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MODULES: [(&str, &[&str]); 17] = [
    ("base", &[]),
    ("spec", &["base"]),
    ("net", &["base", "spec"]),
    ("telemetry", &["base"]),
    ("snapshot", &["base"]),
    ("secrets", &["base", "spec"]),
    ("config", &["base", "spec"]),
    ("exchange", &["base", "spec", "secrets", "net", "telemetry"]),
    ("store", &["base", "spec", "telemetry"]),
    ("login", &["base", "spec"]),
    (
        "http",
        &["base", "spec", "net", "login", "snapshot", "telemetry"],
    ),
    (
        "refresh",
        &[
            "base",
            "spec",
            "secrets",
            "exchange",
            "login",
            "store",
            "snapshot",
            "telemetry",
        ],
    ),
    ("sinks", &["base", "spec", "snapshot", "telemetry"]),
    ("sandbox", &["base"]),
    (
        "app",
        &[
            "base",
            "spec",
            "net",
            "telemetry",
            "snapshot",
            "secrets",
            "config",
            "exchange",
            "store",
            "http",
            "refresh",
            "sinks",
        ],
    ),
    (
        "cli",
        &[
            "base",
            "spec",
            "net",
            "telemetry",
            "snapshot",
            "secrets",
            "config",
            "exchange",
            "store",
            "http",
            "refresh",
            "sinks",
            "sandbox",
            "app",
        ],
    ),
    ("main.rs", &["cli"]),
];

/// Crates that only these modules may name.
const CRATES: [(&str, &[&str]); 18] = [
    ("zeroize", &["base"]),
    ("subtle", &["base"]),
    ("reqwest", &["net"]),
    ("rustls", &["net"]),
    ("ring", &["exchange", "login", "store"]),
    ("redb", &["store"]),
    ("chacha20poly1305", &["store"]),
    ("jsonwebtoken", &["sandbox"]),
    ("pkcs8", &["exchange"]),
    ("sec1", &["exchange"]),
    ("p256", &["exchange"]),
    ("p384", &["exchange"]),
    ("prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("toml", &["config"]),
    ("axum", &["http", "sandbox"]),
    ("tower_http", &["http"]),
    ("clap", &["cli"]),
];

struct Source {
    path: PathBuf,
    module: String,
    code: String,
}

/// Every source file without its tests, comments and string literals.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap();
            let inner = relative.file_name().is_some_and(|name| name == "tests.rs")
                || relative
                    .components()
                    .any(|part| part.as_os_str() == "tests");
            if inner || relative == Path::new("lib.rs") {
                continue;
            }
            let module = relative
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_string_lossy();
            let code = code_of(&fs::read_to_string(&path).unwrap());
            found.push(Source {
                module: module.into_owned(),
                code,
                path,
            });
        }
    }
    found
}

fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let without_comments = text.lines().map(|line| line.split("//").next().unwrap());
    let code = without_comments.collect::<Vec<_>>().join("\n");
    // Every second piece between quotes is a literal; good enough for code that rustfmt wrote.
    code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn words_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            return None;
        }
        let word: String = code[at + prefix.len()..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        Some(word)
    })
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MODULES.into_iter().collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let allowed = table
            .get(source.module.as_str())
            .unwrap_or_else(|| panic!("{} is not in the table", source.module));
        seen.insert(source.module.clone());
        assert!(
            !source.code.contains("crate::{"),
            "{}: one `use` per module path",
            source.path.display()
        );
        let prefix = if source.module == "main.rs" {
            "token_broker::"
        } else {
            "crate::"
        };
        for used in words_after(&source.code, prefix) {
            if used != source.module && !allowed.contains(&used.as_str()) {
                wrong.push(format!(
                    "{}: {} may not use {used}",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        seen.len(),
        table.len(),
        "a module of the table has no files"
    );
}

#[test]
fn the_table_has_no_cycle() {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < MODULES.len() {
        let ready: Vec<&str> = MODULES
            .iter()
            .filter(|(name, uses)| {
                !done.contains(name) && uses.iter().all(|used| done.contains(used))
            })
            .map(|(name, _)| *name)
            .collect();
        assert!(
            !ready.is_empty(),
            "a cycle among the modules that are not in {done:?}"
        );
        done.extend(ready);
    }
}

#[test]
fn crates_stay_in_their_module() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owners) in CRATES {
            let path = format!("{name}::");
            let named = source.code.match_indices(&path).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !owners.contains(&source.module.as_str()) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_vendor_is_named_in_code() {
    let providers = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/providers");
    let mut words = BTreeSet::new();
    for entry in fs::read_dir(providers).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            words.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(!words.is_empty());
    // A tag of HTML, and a standard.
    for word in ["meta", "openid"] {
        assert!(words.remove(word));
    }
    words.extend(["salesforce", "sfmc", "360learning"].map(str::to_owned));
    for source in sources() {
        // The sandbox emulates vendors; examples in help texts name one.
        if ["sandbox", "cli"].contains(&source.module.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&source.path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .collect::<Vec<_>>()
            .join("\n");
        let code = code.to_lowercase();
        for word in &words {
            // "oauthtoken" names no "auth", nor "toaster" a "toast".
            let is_named = code.match_indices(word.as_str()).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = code[at + word.len()..].chars().next();
                let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !beside(before) && !beside(after)
            });
            assert!(!is_named, "{} names {word}", source.path.display());
        }
    }
}
