//! A person with a browser, as far as login and consent pages need one: keeps cookies, follows
//! redirects, and submits the first form of each page.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, REFERER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use token_broker::base::Zeroizing;
use token_broker::net::{Client, Clients, Request, Response};
use token_broker::spec::Net;
use url::Url;

pub(super) struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new() -> Self {
        let client = Clients::new().get(&Net::default(), Duration::from_secs(5), true);
        Self {
            client: client.unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    /// From `start` until a redirect leads to `end`, or a page has no form: where that is, and the
    /// page. `typed` goes into the fields so named.
    pub(super) async fn walk(
        &mut self,
        start: &str,
        end: &str,
        typed: &[(&str, &str)],
    ) -> (Url, String) {
        let mut url = Url::parse(start).unwrap();
        let mut form = None;
        for _ in 0..20 {
            let answer = self.send(&url, form.take()).await;
            let page = String::from_utf8_lossy(&answer.body).into_owned();
            if (300..400).contains(&answer.status) {
                let location = answer.headers[LOCATION].to_str().unwrap();
                url = url.join(location).unwrap();
                if url.as_str().starts_with(end) {
                    return (url, page);
                }
                continue;
            }
            let Some((action, fields)) = first_form(&page, typed) else {
                return (url, page);
            };
            url = url.join(&action).unwrap();
            form = Some(fields);
        }
        panic!("the pages do not end: {url}");
    }

    async fn send(&mut self, url: &Url, form: Option<String>) -> Response {
        let mut headers = HeaderMap::new();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        headers.insert(REFERER, HeaderValue::from_str(url.as_str()).unwrap());
        if form.is_some() {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, kind);
        }
        let request = Request {
            method: match &form {
                Some(_) => Method::POST,
                None => Method::GET,
            },
            url: url.clone(),
            headers,
            body: Zeroizing::new(form.unwrap_or_default().into_bytes()),
        };
        let answer = self.client.send(request).await.unwrap();
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// Where the first form of a page goes, and its fields, encoded.
fn first_form(page: &str, typed: &[(&str, &str)]) -> Option<(String, String)> {
    let (_, after) = page.split_once("<form")?;
    let (form, _) = after.split_once("</form>")?;
    let (head, inside) = form.split_once('>')?;
    let mut fields = url::form_urlencoded::Serializer::new(String::new());
    for tag in inside.split("<input").skip(1) {
        let tag = tag.split('>').next().unwrap();
        if let Some(name) = attribute(tag, "name") {
            let typed = typed.iter().find(|(known, _)| *known == name);
            let value = typed.map(|(_, value)| (*value).to_owned());
            let value = value.or_else(|| attribute(tag, "value"));
            fields.append_pair(&name, &value.unwrap_or_default());
        }
    }
    Some((
        attribute(head, "action").unwrap_or_default(),
        fields.finish(),
    ))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, after) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = after.split_once('"')?;
    let plain = value
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&#39;", "'");
    Some(
        plain
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}
