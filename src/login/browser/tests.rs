use super::*;

fn request() -> TokenRequest {
    TokenRequest {
        client_id: Some("app".into()),
        scope: Some("read".into()),
        ..TokenRequest::to("https://v.example/token")
    }
}

fn at(seconds: u64) -> Mono {
    Mono::START.plus(Duration::from_secs(seconds))
}

fn begun(issuer: Option<&str>) -> (Browser, Url) {
    let endpoint = Endpoint::parse("https://v.example/authorize?access_type=offline").unwrap();
    let redirect_uri = Url::parse("http://127.0.0.1:8656/login/callback").unwrap();
    let (login, page) =
        Browser::begin(&request(), &endpoint, &redirect_uri, issuer, at(5)).unwrap();
    (login, Url::parse(&page).unwrap())
}

fn answer(query: &str) -> Redirect {
    Redirect::read(query, "code").unwrap()
}

fn parameter(page: &Url, name: &str) -> String {
    let mut found = page.query_pairs().filter(|(it, _)| it == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name}")).1;
    assert!(found.next().is_none(), "{name} twice");
    value.into_owned()
}

#[test]
fn a_code_for_the_right_state_is_granted_with_the_verifier_of_the_challenge() {
    let (login, page) = begun(None);
    assert_eq!(parameter(&page, "code_challenge_method"), "S256");
    let state = parameter(&page, "state");
    let granted = login.accept(&answer(&format!("code=c-1&state={state}")), at(6));
    let granted = granted.unwrap();
    assert_eq!(granted.code.expose(), "c-1");
    assert_eq!(granted.redirect_uri, parameter(&page, "redirect_uri"));
    assert_eq!(
        challenge(&granted.verifier),
        parameter(&page, "code_challenge")
    );
    assert!(!page.as_str().contains(granted.verifier.expose()));
}

#[test]
fn no_two_logins_share_anything() {
    let ((one, _), (other, _)) = (begun(None), begun(None));
    assert_ne!(one.state, other.state);
    assert_ne!(one.verifier, other.verifier);
    assert_ne!(one.state, one.verifier);
}

#[test]
fn without_the_right_state_nothing_happens_whatever_else_it_says() {
    let (login, _) = begun(Some("https://v.example"));
    for query in [
        "code=c",
        "error=access_denied",
        "code=c&iss=https://evil.example",
    ] {
        let refusal = login.accept(&answer(query), at(6)).unwrap_err();
        assert_eq!(refusal, Refusal::MissingState, "{query}");
        let query = format!("{query}&state=of-another");
        let refusal = login.accept(&answer(&query), at(6_000)).unwrap_err();
        assert_eq!(refusal, Refusal::ForeignState, "{query}");
        assert!(refusal.goes_on());
    }
}

#[test]
fn another_issuer_is_refused_where_ours_is_known() {
    let (login, page) = begun(Some("https://v.example"));
    let state = parameter(&page, "state");
    let from = |issuer: &str| answer(&format!("code=c&state={state}&iss={issuer}"));
    assert!(
        login
            .accept(&from("https%3A%2F%2Fv.example"), at(6))
            .is_ok()
    );
    let refusal = login.accept(&from("https%3A%2F%2Fevil.example"), at(6));
    assert_eq!(refusal.unwrap_err(), Refusal::ForeignIssuer);
    let (login, page) = begun(None);
    let state = parameter(&page, "state");
    let other = answer(&format!("code=c&state={state}&iss=https://any.example"));
    assert!(login.accept(&other, at(6)).is_ok());
}

#[test]
fn an_error_is_explained_and_ends_the_login() {
    let (login, page) = begun(None);
    let state = parameter(&page, "state");
    let query = format!("error=access_denied&error_description=The+user+said+no&state={state}");
    let refusal = login.accept(&answer(&query), at(6)).unwrap_err();
    assert!(!refusal.goes_on());
    assert_eq!(
        refusal.to_string(),
        "the vendor's page answered access_denied: The user said no"
    );
    let Refusal::Denied(denial) = refusal else {
        panic!()
    };
    assert!(denial.advice().contains("log in again"));
}

#[test]
fn ten_minutes_and_no_more() {
    let (login, page) = begun(None);
    let state = parameter(&page, "state");
    let redirect = answer(&format!("code=c&state={state}"));
    assert!(login.accept(&redirect, at(604)).is_ok());
    assert_eq!(login.accept(&redirect, at(605)), Err(Refusal::Expired));
}

#[test]
fn nothing_of_it_shows() {
    let (login, page) = begun(None);
    let state = parameter(&page, "state");
    let granted = login.accept(&answer(&format!("code=c0de&state={state}")), at(6));
    let shown = format!(
        "{login:?} {granted:?} {:?}",
        answer("code=c0de&state=st4te")
    );
    for secret in [state.as_str(), "c0de", "st4te", login.verifier.expose()] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
