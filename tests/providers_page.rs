//! `docs/providers.md` says what the catalogue says. `BLESS=1 cargo test --test providers_page` writes it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: a failed assumption is a failed test, and the variable is for whoever runs it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use token_broker::config::{Param, Provider, catalogue};

const HEAD: &str = "\
# Vendors

What `provider = \"...\"` can say. `token-broker providers NAME` shows what one of them needs, and a
configuration to begin with; a vendor that is not here works too, once its endpoints are spelled out
([configuration](configuration.md)), and can be [added](adding-a-provider.md).

Status: `verified` with the live vendor; `documented`, by the vendor's own pages; `unverified`, which
rests on other programs or on memory in part. All of it was last compared in the month beside it.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut providers: Vec<&Provider> = catalogue().iter().map(AsRef::as_ref).collect();
    providers.sort_by_key(|provider| provider.name.to_lowercase());
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for provider in &providers {
        *statuses.entry(&provider.status).or_default() += 1;
    }
    let statuses: Vec<String> = statuses
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    writeln!(
        page,
        "{} vendors and ways: {}.\n",
        providers.len(),
        statuses.join(", ")
    )
    .unwrap();
    page.push_str("| vendor | provider | grant | needs besides credentials | status |\n");
    page.push_str("| --- | --- | --- | --- | --- |\n");
    for provider in providers {
        let docs = provider.docs.as_deref().unwrap();
        let checked = provider.checked.as_deref().unwrap();
        let needs: Vec<String> = provider.params.iter().map(need).collect();
        let mut grants: Vec<String> = provider
            .grants()
            .iter()
            .map(|grant| format!("`{grant}`"))
            .collect();
        grants.extend(tried(&provider.id).map(|grant| format!("`{grant}`")));
        let mut seen = BTreeSet::new();
        grants.retain(|grant| seen.insert(grant.clone()));
        writeln!(
            page,
            "| [{}]({docs}) | `{}` | {} | {} | {} {checked} |",
            provider.name.replace('|', "\\|"),
            provider.id,
            grants.join(", "),
            needs.join(", "),
            provider.status,
        )
        .unwrap();
    }
    page
}

/// Grants that an operator names in the provider's case. No key of the file tells of a further grant that
/// needs no endpoint of its own, such as `client_credentials` beside a login.
fn tried(provider: &str) -> impl Iterator<Item = String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance")
        .join(format!("{provider}.toml"));
    let case: toml::Table = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let requests = case.get("requests").and_then(toml::Value::as_array);
    let requests = requests.cloned().unwrap_or_default();
    requests.into_iter().filter_map(|request| {
        let grant = request.get("config")?.get("grant")?;
        Some(grant.as_str()?.to_owned())
    })
}

/// In brackets if one can do without it.
fn need(param: &Param) -> String {
    let name = format!("`{}`", param.name);
    if param.required {
        name
    } else {
        format!("({name})")
    }
}

#[test]
fn the_page_says_what_the_catalogue_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(page.lines()).find(|(a, b)| a != b);
    assert!(
        found == page,
        "docs/providers.md has drifted from config/providers: {differs:?}; write it anew with \
         BLESS=1 cargo test --test providers_page"
    );
}

/// What an issue, a reviewer and the README promise.
#[test]
fn every_provider_says_what_a_person_needs() {
    assert!(catalogue().len() >= 60);
    for provider in catalogue() {
        let id = &provider.id;
        assert!(
            provider.docs.as_deref().unwrap().starts_with("https://"),
            "{id}"
        );
        let checked = provider.checked.as_deref().unwrap();
        let (year, month) = checked
            .split_once('-')
            .unwrap_or_else(|| panic!("{id}: {checked}"));
        assert!(
            year.len() == 4 && (1..=12).contains(&month.parse().unwrap()),
            "{id}"
        );
        for param in &provider.params {
            let name = &param.name;
            assert!(
                param.description.len() >= 10,
                "{id}: {name} needs a description"
            );
            let shown = param.example.is_some() || param.default.is_some() || param.secret;
            assert!(shown || !param.required, "{id}: {name} needs an example");
            for value in [&param.example, &param.default].into_iter().flatten() {
                let fits = param.pattern.as_ref().is_none_or(|it| it.is_match(value));
                assert!(fits, "{id}: {value} is no {name}");
            }
        }
    }
}
