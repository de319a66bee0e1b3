//! Text to raw tree: TOML, YAML and JSON.
//!
//! Invariant: a syntax error is told by line and column only, since both the `toml` and the
//! `config` crate would print the source line; and no text makes a parser recurse or multiply
//! beyond bounds.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use ::config::{FileFormat, Format as _};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::problem::Report;
use super::tree::{Origin, Table};

/// Deeper than any configuration; the parsers recurse.
const MAX_DEPTH: usize = 100;
/// Aliases multiply in YAML; nobody needs this many.
const MAX_ALIASES: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// By the file's ending.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Json => "JSON",
        }
    }
}

/// Parses one text. `None` once the reason is in the report.
pub(super) fn parse(
    text: &str,
    format: Format,
    origin: &Origin,
    file: &str,
    report: &mut Report,
) -> Option<Table> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if matches!(format, Format::Yaml) && !yaml_is_tame(text) {
        let message = "is nested too deeply or has too many aliases for a configuration";
        report.problem(file, "", message);
        return None;
    }
    if matches!(format, Format::Yaml) && text.lines().all(is_yaml_filler) {
        return Some(Table::default());
    }
    if matches!(format, Format::Toml)
        && let Err(error) = toml::de::DeTable::parse(text)
    {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = format!("is not valid TOML at line {line}, column {column}");
        report.problem(file, "", message);
        return None;
    }
    if matches!(format, Format::Json)
        && let Err(error) = serde_json::from_str::<Json>(text)
        && error.is_data()
    {
        let (line, column) = (error.line(), error.column());
        let message = format!("has a key twice in one table, at line {line}, column {column}");
        report.problem(file, "", message);
        return None;
    }
    let parser = match format {
        Format::Toml => FileFormat::Toml,
        Format::Yaml => FileFormat::Yaml,
        Format::Json => FileFormat::Json,
    };
    match parser.parse(None, text) {
        Ok(map) => Some(Table::from_map(map, origin)),
        Err(error) => {
            let said = error.to_string();
            let place = match (number_after(&said, "line "), number_after(&said, "column ")) {
                (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
                _ => ": it must be one table of keys and values".to_owned(),
            };
            report.problem(file, "", format!("is not valid {}{place}", format.name()));
            None
        }
    }
}

/// Any JSON, as long as no table has a key twice: TOML and YAML refuse that by themselves, and a
/// second definition must not win in silence.
struct Json;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(serde::de::Error::custom("a key twice"));
            }
        }
        Ok(self)
    }
}

fn is_yaml_filler(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// Bounds what the YAML parser may do with a text, by a count that errs on the strict side only
/// for texts that are no configuration.
fn yaml_is_tame(text: &str) -> bool {
    let mut open = 0_usize;
    let mut aliases = 0_usize;
    for line in text.lines() {
        let lead = line
            .bytes()
            .take_while(|b| matches!(b, b' ' | b'\t' | b'-' | b'?' | b':'))
            .count();
        if lead > 2 * MAX_DEPTH && !line.trim().is_empty() {
            return false;
        }
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > MAX_DEPTH {
                return false;
            }
        }
        if !line.trim_start().starts_with('#') {
            aliases += line
                .matches([' ', '[', ','])
                .count()
                .min(line.matches('*').count());
        }
    }
    // `*` alone is harmless ("reports*"); it multiplies only together with anchors.
    aliases <= MAX_ALIASES || !text.contains('&')
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before
        .get(line_start..)
        .map_or(0, |rest| rest.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// Digits only: whatever else a parser says may quote the source.
fn number_after(said: &str, word: &str) -> Option<u32> {
    let (_, rest) = said.rsplit_once(word)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
