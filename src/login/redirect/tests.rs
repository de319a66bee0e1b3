use super::*;
use proptest::prelude::*;

fn code_and_state(text: &str) -> (String, String) {
    let redirect = Redirect::read(text, "code").unwrap_or_else(|error| panic!("{text}: {error}"));
    let exposed = |secret: Option<Secret>| secret.unwrap().expose().to_owned();
    (exposed(redirect.code), exposed(redirect.state))
}

#[test]
fn however_it_was_copied() {
    for pasted in [
        "http://127.0.0.1:8656/login/callback?code=a%2Fb&state=xyz",
        "  http://127.0.0.1:8656/login/callback?code=a%2Fb&state=xyz\r\n",
        "\"http://127.0.0.1:8656/login/callback?code=a%2Fb&state=xyz\"",
        "“https://broker.example/?code=a%2Fb&state=xyz”",
        "<http://localhost/cb?iss=x&state=xyz&scope=a+b&code=a%2Fb#_=_>",
        "http://127.0.0.1:8656/login/call\n   back?code=a%2\n   Fb&state=x\nyz",
        "127.0.0.1:8656/login/callback?code=a%2Fb&state=xyz",
        "/login/callback?code=a%2Fb&state=xyz",
        "?code=a%2Fb&state=xyz",
        "code=a%2Fb&state=xyz",
        "& code=a%2 Fb & state=xyz",
        "'code=a/b&state=xyz'",
        "code=a/b&state=xyz&next=http://x/?y=z",
    ] {
        let found = code_and_state(pasted);
        assert_eq!(found, ("a/b".to_owned(), "xyz".to_owned()), "{pasted}");
    }
}

#[test]
fn errors_of_the_vendor_are_made_fit_to_be_shown() {
    let redirect = Redirect::read(
        "http://x/?error=access_denied&error_description=No%1b%5B2J%E2%80%AE+way&state=s",
        "code",
    )
    .unwrap();
    assert_eq!(redirect.error.as_deref(), Some("access_denied"));
    assert_eq!(redirect.error_description.as_deref(), Some("No[2J way"));
    let long = format!("error={}&state=s", "e".repeat(5000));
    let cut = Redirect::read(&long, "code").unwrap().error.unwrap();
    assert!(cut.chars().count() <= 301, "{}", cut.len());
}

#[test]
fn what_cannot_be_used_says_why() {
    for (text, why) in [
        ("", Unreadable::Empty),
        (" \n\" ", Unreadable::Empty),
        ("http://127.0.0.1:8656/login/callback?", Unreadable::Empty),
        ("http://127.0.0.1:8656/login/callback", Unreadable::NoAnswer),
        ("https://v.example/#code=a&state=b", Unreadable::NoAnswer),
        ("4/0AbCdEf", Unreadable::NoAnswer),
        ("code=&state=b", Unreadable::NoAnswer),
        ("error=&state=b", Unreadable::NoAnswer),
        (
            "https://v.example/authorize?response_type=code&client_id=x&state=s&code_challenge=c",
            Unreadable::NotYetVisited,
        ),
        ("code=a&code=a&state=b", Unreadable::Twice("code")),
        ("code=a&state=b&state=c", Unreadable::Twice("state")),
        ("error=a&error=a", Unreadable::Twice("error")),
        ("code=a%&state=b", Unreadable::Garbled("code")),
        ("code=a%f&state=b", Unreadable::Garbled("code")),
        ("code=%00&state=b", Unreadable::Garbled("code")),
        ("code=a&state=%ff", Unreadable::Garbled("state")),
        ("code=a&state=é", Unreadable::Garbled("state")),
    ] {
        assert_eq!(Redirect::read(text, "code"), Err(why), "{text}");
    }
    let long = format!("code={}", "a".repeat(REDIRECT_MAX));
    assert_eq!(Redirect::read(&long, "code"), Err(Unreadable::TooLong));
}

proptest! {
    #[test]
    fn junk_never_panics_and_is_never_repeated(text in ".{0,200}") {
        if let Err(error) = Redirect::read(&text, "code") {
            prop_assert!(text.len() < 12 || !error.to_string().contains(&text));
        }
    }

    #[test]
    fn junk_between_known_names(
        pairs in prop::collection::vec(
            ("(code|state|iss|error|error_description|x|)", "[ -~\u{80}-\u{2fff}\n]{0,20}"), 0..8),
    ) {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        drop(Redirect::read(&pairs.join("&"), "code"));
    }

    #[test]
    fn any_code_comes_back_as_it_was(code in "[!-~]{1,80}", state in "[A-Za-z0-9_-]{43}") {
        let mut url = url::Url::parse("http://127.0.0.1/cb").unwrap();
        url.query_pairs_mut().append_pair("code", &code).append_pair("state", &state);
        prop_assert_eq!(code_and_state(url.as_str()), (code, state));
    }
}

#[test]
fn a_vendor_that_calls_the_code_otherwise() {
    let redirect = Redirect::read("http://x/?auth_code=a&code=b&state=s", "auth_code").unwrap();
    assert_eq!(redirect.code.unwrap().expose(), "a");
    let text = "http://x/?auth_code=a&state=s";
    assert_eq!(Redirect::read(text, "code"), Err(Unreadable::NoAnswer));
    assert_eq!(
        Redirect::state(text).unwrap().unwrap().expose(),
        "s",
        "whose it is can be told without that name"
    );
    assert_eq!(Redirect::state("auth_code=a"), Err(Unreadable::NoAnswer));
    let page = "https://v.example/authorize?response_type=code&state=s";
    assert_eq!(Redirect::state(page), Err(Unreadable::NotYetVisited));
}
