//! Where things are in a vendor's answer.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// A dotted path into JSON: `errors.0.type`. A number reaches into an array, or a member so named.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path(Vec<String>);

impl Path {
    /// `None` if a step is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
        steps
            .iter()
            .all(|step| !step.is_empty())
            .then_some(Self(steps))
    }

    pub fn steps(&self) -> &[String] {
        &self.0
    }

    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Takes the value at this path out of `value`; an array item becomes null.
    pub fn remove(&self, value: &mut Value) -> Option<Value> {
        let (last, before) = self.0.split_last()?;
        let parent = before.iter().try_fold(value, |value, step| match value {
            Value::Object(members) => members.get_mut(step),
            Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })?;
        match parent {
            Value::Object(members) => members.shift_remove(last),
            Value::Array(items) => items.get_mut(last.parse::<usize>().ok()?).map(Value::take),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    #[default]
    Seconds,
    Milliseconds,
    Minutes,
}

/// What a `success` member must equal.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl Scalar {
    /// Equality as vendors mean it: a number also as a numeric string.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(wanted), Value::Bool(found)) => wanted == found,
            (Self::Integer(wanted), Value::Number(found)) => {
                #[expect(clippy::cast_precision_loss, reason = "codes are small")]
                let as_float = *wanted as f64;
                found.as_i64() == Some(*wanted) || found.as_f64() == Some(as_float)
            }
            (Self::Integer(wanted), Value::String(found)) => found.parse() == Ok(*wanted),
            (Self::Text(wanted), Value::String(found)) => wanted == found,
            (Self::Text(wanted), Value::Number(found)) => *wanted == found.to_string(),
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ResponseShape {
    pub access_token: Path,
    pub expires_in: Path,
    pub expires_in_unit: Unit,
    /// RFC 3339, Unix seconds or (above 10^11) milliseconds.
    pub expires_at: Path,
    /// Used when the answer says nothing and the token is no JWT with `exp`.
    pub default_lifetime: Option<Duration>,
    pub max_lifetime: Option<Duration>,
    /// A value, not a path: used when the answer's is absent or not a registered one.
    pub token_type: String,
    /// Members that must hold besides a 2xx status.
    pub success: Vec<(Path, Scalar)>,
    /// Where the error code is, in the order to try.
    pub error: Vec<Path>,
    pub error_description: Vec<Path>,
    pub scope: Path,
    pub refresh_token: Path,
    pub refresh_token_expires_in: Path,
    /// Seconds to wait, where the vendor says so in the body.
    pub retry_after: Option<Path>,
}

impl Default for ResponseShape {
    fn default() -> Self {
        let path = |name: &str| Path(vec![name.to_owned()]);
        Self {
            access_token: path("access_token"),
            expires_in: path("expires_in"),
            expires_in_unit: Unit::Seconds,
            expires_at: path("expires_at"),
            default_lifetime: None,
            max_lifetime: None,
            token_type: "Bearer".to_owned(),
            success: Vec::new(),
            error: vec![path("error")],
            error_description: vec![path("error_description")],
            scope: path("scope"),
            refresh_token: path("refresh_token"),
            refresh_token_expires_in: path("refresh_token_expires_in"),
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_reach_inside() {
        let mut value = json!({"errors": [{"type": "x"}], "a": {"b": 1, "0": 2}});
        let path = |text: &str| Path::parse(text).unwrap();
        assert_eq!(path("errors.0.type").find(&value), Some(&json!("x")));
        assert_eq!(path("a.0").find(&value), Some(&json!(2)));
        assert_eq!(path("a.b.c").find(&value), None);
        assert_eq!(path("a.b").remove(&mut value), Some(json!(1)));
        assert_eq!(value, json!({"errors": [{"type": "x"}], "a": {"0": 2}}));
        assert!(Path::parse("a..b").is_none() && Path::parse("").is_none());
    }

    #[test]
    fn success_members_compare_as_vendors_mean() {
        assert!(Scalar::Integer(0).holds(&json!("0")) && Scalar::Integer(0).holds(&json!(0.0)));
        assert!(Scalar::Text("0000".into()).holds(&json!("0000")));
        assert!(!Scalar::Bool(true).holds(&json!("true")));
    }
}
