//! Every configuration and provider file of this repository is used as it is, and none of their
//! tables takes a key that nobody knows.

#![expect(
    clippy::unwrap_used,
    reason = "a test: a failed assumption is a failed test"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use token_broker::config::{self, Env, Format, Options};
use token_broker::spec::{RefreshPolicy, Server};

const BOGUS: &str = "bogus_key";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The file as JSON, which our loader reads just the same.
fn as_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap()
}

/// The tree once per table in it, each time with a bogus key in another one.
fn spoiled(tree: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut paths = vec![String::new()];
    while let Some(path) = paths.pop() {
        let step = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        match tree.pointer(&path).unwrap() {
            // Claims are the vendor's: any name and any value may stand there.
            Value::Object(_) if path.ends_with("assertion/claims") => {}
            Value::Object(members) => {
                // Names and values of claims are anybody's, and so are an answer's.
                let free = [
                    "assertion/claims",
                    "assertion/headers",
                    "/success",
                    "/response/extended",
                    "/request/json",
                ];
                // A request may have any parameter, and a provider file declares others beside.
                let any =
                    free.iter().any(|table| path.contains(table)) || path.ends_with("/params");
                if !any {
                    let mut copy = tree.clone();
                    copy.pointer_mut(&path).unwrap()[BOGUS] = json!(true);
                    all.push(copy);
                }
                paths.extend(members.keys().map(|name| step(name)));
            }
            Value::Array(items) => {
                paths.extend((0..items.len()).map(|index| step(&index.to_string())));
            }
            _ => {}
        }
    }
    all
}

fn load(name: &str, text: &str, format: Format) -> Result<config::Loaded, config::Problems> {
    let options = Options {
        without_secrets: true,
    };
    config::load_text(name, text, format, &Env::default(), options)
}

/// The TOML of a page.
fn examples_in(page: &str) -> impl Iterator<Item = &str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
}

#[test]
fn every_example_of_the_documentation_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![folder.join("README.md")];
    for entry in std::fs::read_dir(folder.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
    let mut count = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        if page.ends_with("docs/adding-a-provider.md") {
            // Its examples are a provider and its case, and are tried as such.
            continue;
        }
        // A page that shows a store shows it once, for all its integrations.
        let store = examples_in(&text).find(|example| example.starts_with("[store]"));
        for example in examples_in(&text) {
            let before = store.filter(|_| !example.contains("[store]"));
            let text = format!("{}{example}", before.unwrap_or_default());
            let loaded = load("example.toml", &text, Format::Toml);
            assert!(loaded.is_ok(), "{}:\n{text}\n{loaded:?}", page.display());
            count += 1;
        }
    }
    assert!(count >= 8, "{count} examples");
}

#[test]
fn every_configuration_file_loads_and_takes_no_bogus_key() {
    for path in toml_files(&root()) {
        let options = Options {
            without_secrets: true,
        };
        config::load(&path, &Env::default(), options)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let tree = as_json(&path);
        for spoiled in spoiled(&tree) {
            let problems = load("spoiled", &spoiled.to_string(), Format::Json)
                .expect_err("a bogus key must be refused");
            assert!(
                problems.to_string().contains(BOGUS),
                "{}: {problems}",
                path.display()
            );
        }
    }
}

#[test]
fn every_provider_file_is_shipped_and_takes_no_bogus_key() {
    let files = toml_files(&root().join("providers"));
    let names: Vec<String> = files.iter().map(|path| stem(path)).collect();
    let shipped: Vec<&str> = config::catalogue()
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(names, shipped, "the compiled-in list and the folder differ");
    for path in files {
        let (name, tree) = (stem(&path), as_json(&path));
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(format!("{name}.json"));
        std::fs::write(&copy, tree.to_string()).unwrap();
        let read = config::provider(&name, Some(folder.path()));
        let read = read.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(
            read.docs.is_some() && read.checked.is_some(),
            "{name} must say where it is from"
        );
        for spoiled in spoiled(&tree) {
            std::fs::write(&copy, spoiled.to_string()).unwrap();
            let problems = config::provider(&name, Some(folder.path()))
                .expect_err("a bogus key must be refused");
            assert!(problems.to_string().contains(BOGUS), "{name}: {problems}");
        }
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let text = std::fs::read_to_string(root().join("default.toml")).unwrap();
    let text =
        format!("{text}\n[integrations.a]\ngrant = \"static\"\ntoken = {{ file = \"/t\" }}\n");
    let documented = load("default.toml", &text, Format::Toml).unwrap().spec;
    let bare = load(
        "bare",
        "integrations.a = { grant = \"static\", token = { file = \"/t\" } }",
        Format::Toml,
    )
    .unwrap()
    .spec;
    assert_eq!(bare.server, Server::default());
    assert_eq!(*bare.integrations[0].refresh, RefreshPolicy::default());
    let mut expected = bare;
    expected.server.listen_is_default = false;
    assert_eq!(documented, expected);
}
