//! Each vendor's success and each of its error bodies.

use serde_json::json;

use super::*;

/// The credentials with members replaced; null removes one.
fn bent(name: &str, changes: &Value) -> Value {
    let mut body = credentials(name);
    let members = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    body
}

#[tokio::test]
async fn marketing_cloud_issues_a_token_that_its_api_accepts() {
    let sandbox = start().await;
    let answer = sandbox.token(SFMC, &credentials(SFMC)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 20);
    assert_eq!(
        body["scope"],
        "email_read email_write email_send list_and_subscribers_read"
    );
    for member in ["rest_instance_url", "soap_instance_url"] {
        let url = body[member].as_str().unwrap();
        assert!(url.starts_with("https://mc") && url.ends_with(".marketingcloudapis.com/"));
    }
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(sandbox.call(SFMC, token).await.status, 200);
    // A token of one vendor means nothing to the other.
    assert_eq!(sandbox.call(LEARNING, token).await.status, 401);
}

#[tokio::test]
async fn marketing_cloud_refuses() {
    let sandbox = start().await;
    for (changes, status, error) in [
        (json!({"client_secret": "wrong"}), 401, "invalid_client"),
        (json!({"client_id": "wrong"}), 401, "invalid_client"),
        (json!({"client_secret": null}), 401, "invalid_client"),
        (
            json!({"grant_type": "authorization_code"}),
            401,
            "unauthorized_client",
        ),
        (
            json!({"grant_type": "password"}),
            400,
            "unsupported_grant_type",
        ),
        (json!({"grant_type": null}), 400, "invalid_request"),
        (json!({"account_id": "12x"}), 400, "invalid_request"),
        (json!({"account_id": ""}), 400, "invalid_request"),
        (json!({"scope": "everything"}), 400, "invalid_scope"),
        (json!({"scope": 5}), 400, "invalid_request"),
    ] {
        let answer = sandbox.token(SFMC, &bent(SFMC, &changes)).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["error"]),
            (status, &json!(error)),
            "{changes}"
        );
        assert_eq!(body["error_uri"], "https://developer.salesforce.com/docs");
        assert!(body["error_description"].is_string());
    }
    let path = "/salesforce-marketing-cloud/v2/token";
    let form = "content-type: application/x-www-form-urlencoded";
    let answer = sandbox.send("POST", path, &[form], "grant_type=x").await;
    assert_eq!(answer.status, 400);
    let answer = sandbox
        .token(SFMC, &bent(SFMC, &json!({"client_id": "x"})))
        .await;
    assert_eq!(
        answer.json()["error_description"],
        "Client authentication failed. Make sure that the client ID and client secret are valid \
         and that the package is installed and enabled."
    );
    assert_eq!(sandbox.report(SFMC).await["tokens_issued"], 0);
}

#[tokio::test]
async fn marketing_cloud_takes_account_ids_as_number_and_as_text() {
    let sandbox = start().await;
    for account in [json!(500_008_123), json!("500008123")] {
        let body = bent(SFMC, &json!({"account_id": account}));
        assert_eq!(sandbox.token(SFMC, &body).await.status, 200);
    }
}

#[tokio::test]
async fn marketing_cloud_takes_an_empty_scope_at_its_word() {
    let sandbox = start().await;
    for (scope, status) in [(" ", 403), ("", 403), ("email_read", 200)] {
        let body = bent(SFMC, &json!({"scope": scope}));
        let answer = sandbox.token(SFMC, &body).await.json();
        assert_eq!(answer["scope"], scope.trim());
        let token = answer["access_token"].as_str().unwrap().to_owned();
        assert_eq!(sandbox.call(SFMC, &token).await.status, status, "{scope:?}");
    }
}

#[tokio::test]
async fn the_api_sides_refuse_unknown_tokens_in_the_vendors_words() {
    let sandbox = start().await;
    let answer = sandbox.call(SFMC, "nonsense").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["message"], "Not Authorized");
    assert_eq!(answer.json()["errorcode"], 0);
    let answer = sandbox.call(LEARNING, "nonsense").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json(), json!({"error": "invalid_token"}));
    let answer = sandbox
        .send("GET", "/360learning/api/v2/users", &[], "")
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn learning_issues_with_a_lifetime_in_text() {
    let sandbox = start().await;
    let answer = sandbox.token(LEARNING, &credentials(LEARNING)).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["expires_in"], "12");
    assert_eq!(body.as_object().unwrap().len(), 3);
    let token = body["access_token"].as_str().unwrap();
    assert!(token.starts_with("eyJ"));
    let users = sandbox.call(LEARNING, token).await;
    assert_eq!(users.json()[0]["firstName"], "Ada");
    let authorization = format!("authorization: Bearer {token}");
    let path = "/360learning/api/v2/users";
    let answer = sandbox.send("GET", path, &[&authorization], "").await;
    assert_eq!(answer.status, 400, "without the version header");
}

#[tokio::test]
async fn learning_refuses() {
    let sandbox = start().await;
    let user = "5f3c000000000000000000a1";
    let company = "5f3c000000000000000000c0";
    let other = "5f3c0000000000000000ffff";
    for (changes, status, error) in [
        (json!({"client_secret": "wrong"}), 401, "invalid_client"),
        (json!({"client_id": "wrong"}), 401, "invalid_client"),
        (json!({"scope": "x"}), 400, "invalid_request"),
        (json!({"client_id": null}), 400, "invalid_request"),
        (json!({"grant_type": 5}), 400, "invalid_request"),
        (json!({"user_id": "short"}), 400, "invalid_request"),
        (json!({"company_id": ""}), 400, "invalid_request"),
        (json!({"user_id": other}), 400, "non_existing_user"),
        (json!({"company_id": other}), 400, "non_existing_company"),
        (
            json!({"grant_type": "password"}),
            400,
            "unsupported_grant_type",
        ),
    ] {
        let answer = sandbox.token(LEARNING, &bent(LEARNING, &changes)).await;
        assert_eq!(
            (answer.status, answer.json()),
            (status, json!({ "error": error })),
            "{changes}"
        );
    }
    let good = bent(LEARNING, &json!({"user_id": user, "company_id": company}));
    assert_eq!(sandbox.token(LEARNING, &good).await.status, 200);
    let path = "/360learning/api/v2/oauth2/token";
    let answer = sandbox.send("POST", path, &[JSON], "{not json").await;
    assert_eq!(answer.json(), json!({"error": "invalid_request"}));
}

#[tokio::test(start_paused = true)]
async fn tokens_end_when_their_vendor_says_so() {
    let sandbox = start().await;
    for (name, accepted, dead) in [(LEARNING, 11_500, 1000), (SFMC, 21_500, 1500)] {
        let answer = sandbox.token(name, &credentials(name)).await.json();
        let token = answer["access_token"].as_str().unwrap();
        tokio::time::advance(Duration::from_millis(accepted)).await;
        assert_eq!(sandbox.call(name, token).await.status, 200, "{name}");
        tokio::time::advance(Duration::from_millis(dead)).await;
        assert_eq!(sandbox.call(name, token).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn lifetimes_can_be_set() {
    let sandbox = start().await;
    for (name, seconds, stated) in [
        (SFMC, 4_u64, json!(4)),
        (SFMC, 315_359_999, json!(315_359_999)),
        (LEARNING, 1, json!("1")),
        (LEARNING, 0, json!("0")),
        (LEARNING, 1_000_000_000_000, json!("1000000000000")),
    ] {
        let path = format!("/control/{name}/lifetime");
        let body = json!({ "seconds": seconds }).to_string();
        let answer = sandbox.send("PUT", &path, &[], &body).await;
        assert_eq!(answer.json()["lifetime_seconds"], seconds);
        let token = sandbox.token(name, &credentials(name)).await.json();
        assert_eq!(token["expires_in"], stated);
    }
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"seconds": -1}"#,
        r#"{"seconds": "4"}"#,
        r#"{"seconds": 4, "x": 1}"#,
        r#"{"seconds": 1000000000001}"#,
    ] {
        let answer = sandbox
            .send("PUT", "/control/360learning/lifetime", &[], bad)
            .await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["sandbox_error"].is_string());
    }
}

#[tokio::test]
async fn the_report_counts_and_hides_secrets() {
    let sandbox = start().await;
    sandbox.token(SFMC, &credentials(SFMC)).await;
    let wrong = json!({"client_id": "me", "client_secret": "canary-Zx9", "password": "canary-Zx9",
        "scope": {"deep": "canary-Zx9"}, "grant_type": "client_credentials"});
    let path = "/salesforce-marketing-cloud/v2/token";
    let basic = "authorization: Basic canary-Zx9";
    sandbox
        .send("POST", path, &[JSON, basic], &wrong.to_string())
        .await;
    let report = sandbox.report(SFMC).await;
    assert_eq!(report["requests"], 2);
    assert_eq!(report["tokens_issued"], 1);
    assert_eq!(report["tokens_accepted_now"], 1);
    assert_eq!(report["refused"], 1);
    assert_eq!(report["fault"], Value::Null);
    let last = &report["last_request"];
    assert_eq!(last["members"]["client_id"], "me");
    assert_eq!(last["members"]["client_secret"], "[redacted]");
    assert_eq!(last["authorization"], "[redacted]");
    assert!(!report.to_string().contains("canary"), "{report}");
    assert!(!report.to_string().contains(vendor(SFMC).client_secret));
    let all = sandbox.send("GET", "/control", &[], "").await.json();
    let all = all["vendors"].as_array().unwrap().len();
    assert_eq!(all, VENDORS.len() + CONSENT_VENDORS.len());
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

/// The ordinary token request of a vendor that takes a form; `null` in `changes` removes a member.
fn form(name: &str, changes: &Value) -> String {
    let mut body = bent(name, changes);
    if let (Some(scope), None) = (vendor(name).scope, changes.get("scope")) {
        body["scope"] = json!(scope);
    }
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in body.as_object().unwrap() {
        text.append_pair(key, value.as_str().unwrap());
    }
    text.finish()
}

#[tokio::test]
async fn mautic_and_its_hosted_sibling_refuse_in_the_shape_of_the_product() {
    let sandbox = start().await;
    for name in ["mautic", "acquia-campaign-studio"] {
        let path = format!("/{name}/oauth/v2/token");
        for (changes, kind, words) in [
            (
                json!({"grant_type": "x"}),
                "invalid_request",
                "Invalid grant_type",
            ),
            (
                json!({"client_id": "x"}),
                "invalid_client",
                "credentials are invalid",
            ),
            (
                json!({"client_id": null}),
                "invalid_client",
                "was not found",
            ),
            (
                json!({"client_secret": null}),
                "invalid_client",
                "is mandatory",
            ),
            (json!({"scope": "x"}), "invalid_scope", "unsupported scope"),
            (
                json!({"grant_type": "refresh_token"}),
                "invalid_request",
                "No \"refresh_token\"",
            ),
            (
                json!({"grant_type": "refresh_token", "refresh_token": "x"}),
                "invalid_grant",
                "Invalid refresh token",
            ),
        ] {
            let answer = sandbox
                .send("POST", &path, &[FORM], &form(name, &changes))
                .await;
            let error = &answer.json()["errors"][0];
            assert_eq!(
                (answer.status, &error["type"]),
                (400, &json!(kind)),
                "{changes}"
            );
            assert_eq!(error["code"], 400);
            assert!(
                error["message"].as_str().unwrap().contains(words),
                "{error}"
            );
        }
        let good = form(name, &json!({}));
        let basic = "authorization: Basic eDp5";
        let answer = sandbox.send("POST", &path, &[FORM, basic], &good).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["errors"][0]["type"], "access_denied");
        let answer = sandbox.token(name, &credentials(name)).await;
        assert_eq!(answer.status, 400, "JSON is no form");
        let answer = sandbox.send("POST", &path, &[FORM], &good).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["scope"], &body["expires_in"]),
            (200, &json!(""), &json!(16))
        );
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(token.len(), 86);
        assert_eq!(sandbox.call(name, token).await.status, 200);
        let answer = sandbox.call(name, "other").await;
        assert_eq!(answer.json()["errors"][0]["type"], "invalid_grant");
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test]
async fn adobe_wants_commas_between_scopes_and_takes_parameters_in_the_query_too() {
    let sandbox = start().await;
    let name = "adobe-campaign";
    let path = "/adobe-campaign/ims/token/v3";
    for (changes, status, error) in [
        (json!({"client_secret": "x"}), 401, "invalid_client"),
        (json!({"client_secret": null}), 400, "invalid_client"),
        (json!({"grant_type": "x"}), 400, "unsupported_grant_type"),
        (json!({"grant_type": null}), 400, "invalid_request"),
        (json!({"scope": "openid AdobeID"}), 400, "invalid_scope"),
    ] {
        let answer = sandbox
            .send("POST", path, &[FORM], &form(name, &changes))
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &json!(error)),
            "{changes}"
        );
    }
    let all_in_the_query = format!("{path}?{}", form(name, &json!({})));
    let answer = sandbox.send("POST", &all_in_the_query, &[], "").await;
    assert_eq!(
        (answer.status, &answer.json()["token_type"]),
        (200, &json!("bearer"))
    );
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.call(name, &token).await.status, 200);
    assert_eq!(sandbox.call(name, "other").await.status, 401);
    let narrow = form(name, &json!({"scope": "openid"}));
    let answer = sandbox.send("POST", path, &[FORM], &narrow).await.json();
    let answer = sandbox
        .call(name, answer["access_token"].as_str().unwrap())
        .await;
    assert_eq!(
        (answer.status, &answer.json()["error_code"]),
        (403, &json!("403023"))
    );
}

#[tokio::test]
async fn constant_contact_wants_key_and_token_and_says_what_a_token_has_left() {
    let sandbox = start().await;
    let vendor = vendor("constant-contact-v2");
    let bearer = format!("authorization: Bearer {}", vendor.client_secret);
    let path = "/constant-contact-v2/v2/account/info";
    let with_key = format!("{path}?api_key={}", vendor.client_id);
    assert_eq!(
        sandbox.send("GET", &with_key, &[&bearer], "").await.status,
        200
    );
    for (path, headers) in [
        (path, vec![bearer.as_str()]),
        (with_key.as_str(), vec![]),
        (with_key.as_str(), vec!["authorization: Bearer other"]),
        (
            "/constant-contact-v2/v2/account/info?api_key=other",
            vec![bearer.as_str()],
        ),
    ] {
        let answer = sandbox.send("GET", path, &headers, "").await;
        assert_eq!(
            (answer.status, &answer.json()["error_key"]),
            (401, &json!("unauthorized"))
        );
    }
    let probe = "/constant-contact-v2/oauth2/tokeninfo.htm";
    let body = format!("access_token={}", vendor.client_secret);
    let answer = sandbox.send("POST", probe, &[FORM], &body).await;
    let left = answer.json()["expires_in"].as_u64().unwrap();
    assert!((315_359_990..=315_359_999).contains(&left), "{left}");
    assert_eq!(answer.json()["client_id"], vendor.client_id);
    let answer = sandbox
        .send("POST", probe, &[FORM], "access_token=other")
        .await;
    assert_eq!(answer.status, 404);
    assert_eq!(sandbox.send("POST", probe, &[JSON], "{}").await.status, 415);
}

#[tokio::test]
async fn secrets_are_staged_activated_and_expired_as_each_vendor_does() {
    let sandbox = start().await;
    let change = async |name: &str, action: &str| {
        let path = format!("/control/{name}/secret");
        let body = json!({ "action": action }).to_string();
        sandbox.send("POST", &path, &[], &body).await
    };
    let secret_works = async |name: &str, secret: &str| {
        let changes = json!({ "client_secret": secret });
        let path = format!("/{name}{}", vendor(name).token_path);
        let answer = if vendor(name).asks_with_form {
            sandbox
                .send("POST", &path, &[FORM], &form(name, &changes))
                .await
        } else {
            sandbox.token(name, &bent(name, &changes)).await
        };
        answer.status == 200
    };
    for (name, old_outlives_activation) in [(SFMC, false), ("adobe-campaign", true)] {
        let first = vendor(name).client_secret;
        assert_eq!(change(name, "activate").await.status, 409);
        let staged = change(name, "stage").await.json();
        let second = staged["client_secret"].as_str().unwrap();
        assert_eq!(change(name, "stage").await.status, 409);
        assert!(secret_works(name, first).await && secret_works(name, second).await);
        assert!(
            !sandbox.report(name).await.to_string().contains(second),
            "shown once"
        );
        change(name, "activate").await;
        assert_eq!(secret_works(name, first).await, old_outlives_activation);
        assert!(secret_works(name, second).await);
        change(name, "expire").await;
        assert!(!secret_works(name, first).await && secret_works(name, second).await);
        change(name, "expire").await;
        assert!(!secret_works(name, second).await);
        assert_eq!(change(name, "expire").await.status, 409);
        assert_eq!(change(name, "else").await.status, 400);
    }
    assert_eq!(change("mautic", "stage").await.status, 409);
    assert!(secret_works("mautic", vendor("mautic").client_secret).await);
    change("mautic", "expire").await;
    assert!(!secret_works("mautic", vendor("mautic").client_secret).await);
}

/// A JWT signed with the private half of the key pair.
fn adobe_jwt(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let pem = include_str!("../../../tests/conformance/adobe-jwt.key");
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = ring::signature::RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    let padding = &ring::signature::RSA_PKCS1_SHA256;
    key.sign(padding, &random, signed.as_bytes(), &mut signature)
        .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn adobe_exchanges_a_signed_jwt_for_a_token_of_milliseconds() {
    use crate::base::{Clock as _, SystemClock};
    let sandbox = start().await;
    let vendor = vendor("adobe-jwt");
    let scope = "https://ims-na1.adobelogin.com/s/ent_campaign_sdk";
    let now = SystemClock.now().wall.unix_seconds();
    let claims = |changes: &Value| {
        let mut claims = json!({
            "exp": now + 300, "iss": "0123456789ABCDEF01234567@AdobeOrg",
            "sub": "89ABCDEF0123456789ABCDEF@techacct.adobe.com",
            "aud": format!("https://ims-na1.adobelogin.com/c/{}", vendor.client_id), scope: true,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let exchange = async |token: &str| {
        let body = format!(
            "client_id={}&client_secret={}&jwt_token={token}",
            vendor.client_id, vendor.client_secret
        );
        let answer = sandbox
            .send("POST", "/adobe-jwt/ims/exchange/jwt", &[FORM], &body)
            .await;
        (answer.status, answer.json())
    };
    let (status, body) = exchange(&adobe_jwt(&claims(&json!({})))).await;
    assert_eq!(
        (status, &body["expires_in"]),
        (200, &json!(24_000)),
        "{body}"
    );
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(sandbox.call("adobe-jwt", token).await.status, 200);
    for (changes, error) in [
        (json!({"exp": now - 1}), "invalid_token"),
        (json!({"exp": "soon"}), "invalid_token"),
        (json!({"jti": "text"}), "invalid_token"),
        (json!({"iss": "other@AdobeOrg"}), "invalid_token"),
        (
            json!({"aud": "https://ims-na1.adobelogin.com/c/other"}),
            "invalid_client",
        ),
        (
            json!({"https://ims-na1.adobelogin.com/s/other": true}),
            "invalid_scope",
        ),
    ] {
        let (status, body) = exchange(&adobe_jwt(&claims(&changes))).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{changes}");
    }
    let good = adobe_jwt(&claims(&json!({})));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (status, body) = exchange(&format!("{signed}.AAAA")).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_token")));
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("Could not match")
    );
    assert_eq!(exchange("nonsense").await.0, 400);
}
