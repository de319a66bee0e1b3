//! Parameters as they are written into a request: query, form, JSON, multipart. Pure but for the random
//! boundary of a multipart body.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

use super::auth;
use super::phrase::{Unmade, random};
use super::request::Unsendable;
use crate::base::Zeroizing;

/// The value of a parameter.
#[derive(Debug)]
pub(super) enum Field {
    Text(Zeroizing<String>),
    /// Whatever else: written as it is in JSON, as text elsewhere, a list as one parameter an item.
    Json(Value),
}

impl Field {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.to_owned()))
    }

    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(Zeroizing::new(text)),
            value => Self::Json(value),
        }
    }

    /// Nothing that is empty is sent.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Json(Value::Null) => true,
            Self::Json(Value::Array(items)) => items.is_empty(),
            Self::Json(_) => false,
        }
    }

    /// One text, or several for a list.
    fn texts(&self) -> Vec<Zeroizing<String>> {
        let one = |value: &Value| {
            Zeroizing::new(match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Json(Value::Array(items)) => items.iter().map(one).collect(),
            Self::Json(value) => vec![one(value)],
        }
    }
}

type Fields = [(String, Field)];

pub(super) fn usual_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

pub(super) fn put_in_query(url: &mut Url, fields: &Fields) {
    if fields.is_empty() {
        return;
    }
    let mut pairs = url.query_pairs_mut();
    for (name, field) in fields {
        for text in field.texts() {
            pairs.append_pair(name, &text);
        }
    }
}

/// No body; a POST says so.
pub(super) fn none(headers: &mut HeaderMap, says_so: bool) -> Zeroizing<Vec<u8>> {
    if says_so {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Zeroizing::default()
}

pub(super) fn form(headers: &mut HeaderMap, fields: &Fields) -> Zeroizing<Vec<u8>> {
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, kind);
    let mut body = Zeroizing::new(Vec::new());
    for (name, field) in fields {
        for text in field.texts() {
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend_from_slice(auth::form(name).as_bytes());
            body.push(b'=');
            body.extend_from_slice(Zeroizing::new(auth::form(&text)).as_bytes());
        }
    }
    body
}

pub(super) fn json(headers: &mut HeaderMap, fields: Vec<(String, Field)>) -> Zeroizing<Vec<u8>> {
    let value = |field: Field| match field {
        Field::Text(text) => Value::from(text.as_str()),
        Field::Json(value) => value,
    };
    let members: Map<String, Value> = fields
        .into_iter()
        .map(|(name, field)| (name, value(field)))
        .collect();
    json_members(headers, members)
}

pub(super) fn json_members(
    headers: &mut HeaderMap,
    members: Map<String, Value>,
) -> Zeroizing<Vec<u8>> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Zeroizing::new(Value::Object(members).to_string().into_bytes())
}

/// RFC 7578, with names and values as they are.
pub(super) fn multipart(
    headers: &mut HeaderMap,
    fields: &Fields,
) -> Result<Zeroizing<Vec<u8>>, Unmade> {
    // 128 random bits: nobody can have put the boundary into a value.
    let boundary = format!("{:032x}", u128::from_be_bytes(random()?));
    let kind = format!("multipart/form-data; boundary={boundary}");
    if let Ok(kind) = HeaderValue::try_from(kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    let mut body = Zeroizing::new(Vec::new());
    for (name, field) in fields {
        // As browsers write the three characters that would end the name.
        let name = name
            .replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A");
        for text in field.texts() {
            let head =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(text.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(body)
}

/// An empty value removes the header.
pub(super) fn put_header(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
) -> Result<(), Unsendable> {
    #[expect(clippy::map_err_ignore, reason = "the name is all there is to say")]
    let key = HeaderName::try_from(name).map_err(|_| Unsendable::Header(name.to_owned()))?;
    if value.is_empty() {
        headers.remove(key);
    } else {
        headers.insert(key, sensitive(name, value)?);
    }
    Ok(())
}

pub(super) fn sensitive(name: &str, value: &str) -> Result<HeaderValue, Unsendable> {
    #[expect(clippy::map_err_ignore, reason = "the name is all there is to say")]
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Unsendable::Header(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields() -> Vec<(String, Field)> {
        vec![
            ("a b".to_owned(), Field::text("c&d")),
            ("n".to_owned(), Field::of(json!(5))),
            ("flag".to_owned(), Field::of(json!(true))),
            ("list".to_owned(), Field::of(json!(["x", 1]))),
        ]
    }

    #[test]
    fn each_encoding_writes_what_is_not_text_in_its_way() {
        let mut headers = usual_headers();
        let text = |body: Zeroizing<Vec<u8>>| String::from_utf8(body.to_vec()).unwrap();
        let form = text(form(&mut headers, &fields()));
        assert_eq!(form, "a+b=c%26d&n=5&flag=true&list=x&list=1");
        let mut url = Url::parse("https://x.example/t?own=1").unwrap();
        put_in_query(&mut url, &fields());
        assert_eq!(url.query().unwrap(), format!("own=1&{form}"));
        let json: Value = serde_json::from_str(&text(json(&mut headers, fields()))).unwrap();
        assert_eq!(
            json,
            json!({"a b": "c&d", "n": 5, "flag": true, "list": ["x", 1]})
        );
    }

    #[test]
    fn multipart_has_a_part_a_value() {
        let mut headers = usual_headers();
        let body = multipart(&mut headers, &fields()).unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let kind = headers[CONTENT_TYPE].to_str().unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
        assert_eq!(parts.len(), 7, "{body}");
        assert_eq!(
            parts[1],
            "\r\nContent-Disposition: form-data; name=\"a b\"\r\n\r\nc&d\r\n"
        );
        assert_eq!(parts.last(), Some(&"--\r\n"));
        let sly = [("x\"\r\nA: b".to_owned(), Field::text("v"))];
        let body = multipart(&mut headers, &sly).unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains("name=\"x%22%0D%0AA: b\"\r\n\r\nv\r\n"),
            "{body}"
        );
        let mut again = usual_headers();
        multipart(&mut again, &fields()).unwrap();
        assert_ne!(headers[CONTENT_TYPE], again[CONTENT_TYPE]);
    }
}
