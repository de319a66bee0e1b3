use super::*;
use crate::spec::{Draft, Function, HostPattern};
use serde_json::json;

fn answer(step: usize, path: &str) -> Part {
    let path = Path::parse(path).unwrap();
    Part::Answer { step, path }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn call(url: CallUrl) -> Call {
    Call {
        method: Method::Post,
        url,
        headers: Vec::new(),
        query: Vec::new(),
        body: Body::None,
        success: Vec::new(),
    }
}

fn at(url: &str) -> CallUrl {
    CallUrl::Known(Endpoint::parse(url).unwrap())
}

fn filled() -> Filled {
    Filled {
        credential: Some(Secret::new("s3cret&")),
        ..Filled::default()
    }
}

fn built(call: &Call, answers: &[Value]) -> Result<Ready, Unsendable> {
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    build(call, &filled(), answers, now)
}

#[test]
fn every_place_of_a_request_is_filled_in_its_way() {
    let pair = Phrase::new([text("id:"), Part::ClientSecret]);
    let call = Call {
        headers: vec![(
            "authorization".to_owned(),
            Phrase::new([text("ID "), Part::Apply(Function::Base64, pair)]),
        )],
        query: vec![
            ("at".to_owned(), Phrase::new([Part::Now(0)])),
            ("none".to_owned(), Phrase::literal("")),
        ],
        body: Body::Form(vec![
            ("a b".to_owned(), Phrase::new([Part::ClientSecret])),
            ("token".to_owned(), Phrase::new([answer(0, "t")])),
            ("none".to_owned(), Phrase::literal("")),
        ]),
        ..call(at("https://x.example/login?own=1"))
    };
    let ready = built(&call, &[json!({"t": "t+1"})]).unwrap();
    let request = &ready.request;
    assert_eq!(
        request.url.as_str(),
        "https://x.example/login?own=1&at=1800000000"
    );
    assert_eq!(request.body.as_slice(), b"a+b=s3cret%26&token=t%2B1");
    let header = &request.headers["authorization"];
    assert_eq!(header.to_str().unwrap(), "ID aWQ6czNjcmV0Jg==");
    assert!(header.is_sensitive());
    assert_eq!(ready.derived, [Secret::new("aWQ6czNjcmV0Jg==")]);
    assert_eq!(ready.endpoint.url().query(), Some("own=1"));
}

#[test]
fn json_is_what_the_configuration_says() {
    let name = Phrase::literal;
    let body = Body::Json(vec![(
        name("credentials"),
        Draft::Table(vec![
            (
                name("secret"),
                Draft::Text(Phrase::new([Part::ClientSecret])),
            ),
            (
                name("site"),
                Draft::Table(vec![(name("contentUrl"), "".into())]),
            ),
            (name("n"), Draft::List(vec![Draft::Integer(1)])),
        ]),
    )]);
    let call = Call {
        body,
        ..call(at("https://x.example/signin"))
    };
    let ready = built(&call, &[]).unwrap();
    let sent: Value = serde_json::from_slice(&ready.request.body).unwrap();
    assert_eq!(
        sent,
        json!({"credentials": {"secret": "s3cret&", "site": {"contentUrl": ""}, "n": [1]}})
    );
}

#[test]
fn an_answer_leads_only_where_the_configuration_lets_it() {
    let from_answer = |hosts: &[&str]| CallUrl::Made {
        url: Phrase::new([answer(0, "url"), text("/t/"), answer(0, "id")]),
        host: MadeHost::AnyOf(
            hosts
                .iter()
                .map(|host| HostPattern::parse(host).unwrap())
                .collect(),
        ),
    };
    let led = |url: Value, id: Value| {
        let call = call(from_answer(&["*.vendor.example", "127.0.0.1"]));
        let ready = built(&call, &[json!({"url": url, "id": id})]);
        ready.map(|ready| ready.request.url.to_string())
    };
    for (url, id, led_to) in [
        (
            "https://a.vendor.example",
            json!("7"),
            "https://a.vendor.example/t/7",
        ),
        (
            "https://a.vendor.example/",
            json!(7),
            "https://a.vendor.example/t/7",
        ),
        (
            "a.vendor.example",
            json!("x/..?y"),
            "https://a.vendor.example/t/x%2F..%3Fy",
        ),
        (
            "http://127.0.0.1:99",
            json!(true),
            "http://127.0.0.1:99/t/true",
        ),
    ] {
        assert_eq!(led(json!(url), id).unwrap(), led_to);
    }
    for (url, id) in [
        (json!("https://evil.example"), json!("7")),
        (json!("https://vendor.example.evil.example"), json!("7")),
        (json!("https://evilvendor.example"), json!("7")),
        (json!("https://a.vendor.example@evil.example"), json!("7")),
        (json!("https://a.vendor.example:8443"), json!("7")),
        (json!("https://a.vendor.example?x"), json!("7")),
        (json!("http://a.vendor.example"), json!("7")),
        (json!("https://a.vendor.example"), json!("..")),
        (json!("https://a.vendor.example"), json!(null)),
        (json!("https://a.vendor.example"), json!({})),
        (json!(""), json!("7")),
        (json!(5), json!("7")),
        (json!(null), json!("7")),
    ] {
        assert!(led(url.clone(), id.clone()).is_err(), "{url} {id}");
    }
    let fixed = CallUrl::Made {
        url: Phrase::new([text("https://x.example/"), answer(0, "id"), text("/t")]),
        host: MadeHost::Fixed(Endpoint::parse("https://x.example/x/t").unwrap()),
    };
    let ready = built(&call(fixed), &[json!({"id": "a@b"})]).unwrap();
    assert_eq!(ready.request.url.as_str(), "https://x.example/a%40b/t");
}

#[test]
fn a_step_brings_what_later_ones_need_or_nothing() {
    let answer = |body: &str| {
        let response = net::Response {
            status: 200,
            headers: http::HeaderMap::new(),
            body: crate::base::Zeroizing::new(body.as_bytes().to_vec()),
        };
        let now = crate::base::Now {
            wall: Timestamp::from_unix_seconds(0),
            mono: crate::base::Mono::START,
        };
        Answer::read(&response, &crate::spec::ResponseShape::default(), now)
    };
    let paths = |paths: &[&str]| -> Vec<Path> {
        paths
            .iter()
            .map(|path| Path::parse(path).unwrap())
            .collect()
    };
    let wanted = paths(&["a", "b.c"]);
    // Nothing else of it is kept.
    let good = read(&answer(r#"{"a":"x","b":{"c":7,"d":"y"},"e":[1]}"#), &wanted).unwrap();
    assert_eq!(good, json!({"a": "x", "b": {"c": 7}}));
    // Whatever is found in what is kept is what was there.
    let body = r#"{"l":[{"t":"u"},"v"],"o":{"p":{"q":1}}}"#;
    let whole: Value = serde_json::from_str(body).unwrap();
    for wanted in [
        &["l.0.t", "l.1", "o.p"][..],
        &["o", "o.p.q", "l", "l.0.t"],
        &["o.p.q", "o", "l.0.t", "l"],
    ] {
        let wanted = paths(wanted);
        let taken = read(&answer(body), &wanted).unwrap();
        for path in &wanted {
            assert_eq!(path.find(&taken), path.find(&whole), "{path}");
        }
    }
    let long = format!(r#"{{"a":"{}","b":{{"c":1}}}}"#, "x".repeat(TAKEN_MAX));
    assert_eq!(read(&answer(&long), &wanted), Err(Unreadable::TooMuchTaken));
    for (body, why) in [
        (r#"{"a":"x"}"#, Unreadable::NoMember(wanted[1].clone())),
        (
            r#"{"a":null,"b":{"c":7}}"#,
            Unreadable::NoMember(wanted[0].clone()),
        ),
        ("", Unreadable::Empty),
        ("<p>", Unreadable::Html),
        ("x", Unreadable::NotJson),
    ] {
        assert_eq!(read(&answer(body), &wanted), Err(why), "{body}");
    }
    assert!(read(&answer("[]"), &[]).is_ok(), "nothing is needed");
}
