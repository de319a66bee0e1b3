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

    pub fn find_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(value, |value, step| match value {
            Value::Object(members) => members.get_mut(step),
            Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
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

/// The first of these places where something other than null is.
pub fn find_any<'a>(paths: &[Path], value: &'a Value) -> Option<&'a Value> {
    let mut found = paths.iter().filter_map(|path| path.find(value));
    found.find(|value| !value.is_null())
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
    /// Text: days, hours and minutes, as in `0:02:30`.
    DaysHoursMinutes,
    /// Not a time to live but the end itself, in seconds since 1970.
    UnixTime,
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

/// Where there are several paths, the first that leads to something counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseShape {
    /// The body as a whole is the token: there is nothing else in it.
    pub is_raw: bool,
    pub access_token: Vec<Path>,
    pub expires_in: Vec<Path>,
    pub expires_in_unit: Unit,
    /// A lifetime of nought is a vendor's word for "never".
    pub zero_means_never: bool,
    /// RFC 3339, an HTTP date, Unix seconds or (above 10^11) milliseconds.
    pub expires_at: Vec<Path>,
    /// When the token was made, in the forms of `expires_at`: lifetimes count from there, for vendors
    /// that hand out a token they made before.
    pub issued_at: Option<Path>,
    /// Used when the answer says nothing and the token is no JWT with `exp`.
    pub default_lifetime: Option<Duration>,
    pub max_lifetime: Option<Duration>,
    /// A value, not a path: used when the answer's is absent or not a registered one.
    pub token_type: String,
    /// Members that must hold besides a 2xx status.
    pub success: Box<[(Path, Scalar)]>,
    /// Members by which an answer without a token says that the one before lives on; none: no answer
    /// says so.
    pub extended: Box<[(Path, Scalar)]>,
    /// Where the error code is, in the order to try.
    pub error: Vec<Path>,
    pub error_description: Vec<Path>,
    pub scope: Vec<Path>,
    pub refresh_token: Vec<Path>,
    pub refresh_token_expires_in: Vec<Path>,
    /// Seconds to wait, where the vendor says so in the body.
    pub retry_after: Option<Path>,
    /// Members that are URLs, however the vendor writes them: served with a scheme and without a
    /// slash at the end.
    pub urls: Box<[Path]>,
}

impl Default for ResponseShape {
    fn default() -> Self {
        let paths = |name: &str| vec![Path(vec![name.to_owned()])];
        Self {
            is_raw: false,
            access_token: paths("access_token"),
            expires_in: paths("expires_in"),
            expires_in_unit: Unit::Seconds,
            zero_means_never: false,
            expires_at: paths("expires_at"),
            issued_at: None,
            default_lifetime: None,
            max_lifetime: None,
            token_type: "Bearer".to_owned(),
            success: Box::default(),
            extended: Box::default(),
            error: paths("error"),
            error_description: paths("error_description"),
            scope: paths("scope"),
            refresh_token: paths("refresh_token"),
            refresh_token_expires_in: paths("refresh_token_expires_in"),
            retry_after: None,
            urls: Box::default(),
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
