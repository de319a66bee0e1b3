//! The tree of raw values, each knowing where it was written.
//!
//! Private to `config`: no raw value survives into `spec`. Nothing here can be printed with its
//! text, since any string may turn out to be a secret.

use std::fmt;
use std::sync::Arc;

use crate::base::Zeroizing;

/// Where a value was written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File(Arc<str>),
    /// A provider file: its strings have holes for parameters.
    Provider(Arc<str>),
    /// A variable, by name: its value is text whatever the key wants.
    Variable(Arc<str>),
}

#[derive(Clone)]
pub(super) enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Table(Table),
    /// Something was here and has been reported.
    Bad,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[value]")
    }
}

/// Keys in the order they were written, each once.
#[derive(Clone, Default, Debug)]
pub(super) struct Table(pub(super) Vec<(String, Node)>);

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0
            .iter()
            .find_map(|(name, node)| (name == key).then_some(node))
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0
            .iter_mut()
            .find_map(|(name, node)| (name == key).then_some(node))
    }

    pub(super) fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(old) => *old = node,
            None => self.0.push((key.to_owned(), node)),
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let index = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(index).1)
    }

    /// Text that is there and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)
            .and_then(Node::text)
            .filter(|text| !text.is_empty())
    }

    pub(super) fn table(&self, key: &str) -> Option<&Self> {
        match &self.get(key)?.raw {
            Raw::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Lays `over` on top: tables key by key where `deep` says so, everything else whole.
    pub(super) fn overlay(&mut self, over: &Self, deep: &dyn Fn(&str) -> bool) {
        for (key, node) in &over.0 {
            match (self.get_mut(key).map(|old| &mut old.raw), &node.raw) {
                (Some(Raw::Table(under)), Raw::Table(table)) if deep(key) => {
                    under.overlay(table, deep);
                }
                _ => self.set(key, node.clone()),
            }
        }
    }
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.raw {
            Raw::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The file a problem with this value names.
    pub(super) fn file(&self) -> &str {
        match &self.origin {
            Origin::File(file) | Origin::Provider(file) => file,
            Origin::Variable(_) => "environment",
        }
    }

    /// The key a problem with this value names: a variable's name wins over the path.
    pub(super) fn key<'a>(&'a self, path: &'a str) -> &'a str {
        match &self.origin {
            Origin::File(_) | Origin::Provider(_) => path,
            Origin::Variable(name) => name,
        }
    }

    pub(super) fn is_providers(&self) -> bool {
        matches!(self.origin, Origin::Provider(_))
    }

    /// Takes over a value of the `config` crate.
    pub(super) fn from_value(value: ::config::Value, origin: &Origin) -> Self {
        use ::config::ValueKind as Kind;
        let raw = match value.kind {
            Kind::Nil => Raw::Null,
            Kind::Boolean(value) => Raw::Bool(value),
            Kind::I64(value) => Raw::Int(value),
            Kind::I128(value) => i64::try_from(value).map_or(Raw::Float(f64::INFINITY), Raw::Int),
            Kind::U64(value) => i64::try_from(value).map_or(Raw::Float(f64::INFINITY), Raw::Int),
            Kind::U128(value) => i64::try_from(value).map_or(Raw::Float(f64::INFINITY), Raw::Int),
            Kind::Float(value) => Raw::Float(value),
            Kind::String(text) => Raw::Text(Zeroizing::new(text)),
            Kind::Table(map) => Raw::Table(Table::from_map(map, origin)),
            Kind::Array(items) => Raw::List(
                items
                    .into_iter()
                    .map(|item| Self::from_value(item, origin))
                    .collect(),
            ),
        };
        Self {
            raw,
            origin: origin.clone(),
        }
    }
}

impl Table {
    pub(super) fn from_map(map: ::config::Map<String, ::config::Value>, origin: &Origin) -> Self {
        Self(
            map.into_iter()
                .map(|(key, value)| (key, Node::from_value(value, origin)))
                .collect(),
        )
    }
}
