//! Each kind of trouble, as a client meets it.

use serde_json::json;

use super::*;

async fn faulty(fault: Value) -> (Running, Answer) {
    let sandbox = start().await;
    assert_eq!(sandbox.fault(LEARNING, &fault).await.status, 200, "{fault}");
    let answer = sandbox.token(LEARNING, &credentials(LEARNING)).await;
    (sandbox, answer)
}

#[tokio::test]
async fn status_with_body_and_retry_after() {
    let fault = json!({"kind": "status", "status": 503, "body": {"error": "x"}, "retry_after": 3});
    let (sandbox, answer) = faulty(fault).await;
    assert_eq!((answer.status, answer.json()), (503, json!({"error": "x"})));
    assert!(answer.head.contains("retry-after: 3"));
    assert_eq!(sandbox.report(LEARNING).await["tokens_issued"], 0);
    let (_sandbox, answer) = faulty(json!({"kind": "status", "status": 200, "body": "hi"})).await;
    assert_eq!((answer.status, answer.text()), (200, "hi"));
    let (_sandbox, answer) = faulty(json!({"kind": "status", "status": 204})).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
}

#[tokio::test(start_paused = true)]
async fn delay_answers_late() {
    let before = tokio::time::Instant::now();
    let (sandbox, answer) = faulty(json!({"kind": "delay", "seconds": 2.5})).await;
    assert_eq!(answer.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(2500));
    // The lifetime counts from the answer: the token is as good as any.
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.call(LEARNING, &token).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn hang_never_answers() {
    let sandbox = start().await;
    sandbox.fault(LEARNING, &json!({"kind": "hang"})).await;
    let body = credentials(LEARNING);
    let request = sandbox.token(LEARNING, &body);
    let waited = tokio::time::timeout(Duration::from_mins(10), request).await;
    assert!(waited.is_err());
    assert_eq!(sandbox.report(LEARNING).await["faulted"], 1);
}

#[tokio::test]
async fn reset_ends_the_connection_rudely() {
    let sandbox = start().await;
    let path = "/360learning/api/v2/oauth2/token";
    let body = credentials(LEARNING).to_string();
    sandbox.fault(LEARNING, &json!({"kind": "reset"})).await;
    let (bytes, end) = sandbox.raw("POST", path, &[JSON], &body).await;
    assert_eq!(bytes, b"");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let half_way = json!({"kind": "reset", "half_way": true});
    sandbox.fault(LEARNING, &half_way).await;
    let (bytes, end) = sandbox.raw("POST", path, &[JSON], &body).await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("200 OK") && text.contains("token_type"),
        "{text}"
    );
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    // What the client lost the vendor has issued all the same.
    assert_eq!(sandbox.report(LEARNING).await["tokens_issued"], 1);
}

#[tokio::test]
async fn garbage_is_200_and_unreadable() {
    let (_sandbox, answer) = faulty(json!({"kind": "garbage"})).await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
}

#[tokio::test]
async fn throttle_and_refuse_speak_as_their_vendor() {
    let (_sandbox, answer) = faulty(json!({"kind": "throttle", "retry_after": 7})).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json(), json!({"error": "tooManyRequests"}));
    assert!(answer.head.contains("retry-after: 7"));
    let (_sandbox, answer) = faulty(json!({"kind": "refuse"})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, json!({"error": "invalid_client"}))
    );
    let sandbox = start().await;
    sandbox.fault(SFMC, &json!({"kind": "throttle"})).await;
    let answer = sandbox.token(SFMC, &credentials(SFMC)).await;
    assert_eq!(
        (answer.status, &answer.json()["errorcode"]),
        (429, &json!(50100))
    );
    assert_eq!(answer.json()["retryAfter"], 5);
}

#[tokio::test(start_paused = true)]
async fn drip_takes_its_time_and_is_whole() {
    let before = tokio::time::Instant::now();
    let (_sandbox, answer) = faulty(json!({"kind": "drip"})).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
    let length = u64::try_from(answer.body.len()).unwrap();
    assert!(before.elapsed() >= Duration::from_secs(length));
}

#[tokio::test]
async fn redirect_leads_to_a_place_that_would_answer() {
    let (sandbox, answer) = faulty(json!({"kind": "redirect", "times": 1})).await;
    assert_eq!(answer.status, 307);
    let place = "/360learning/api/v2/oauth2/token?moved";
    assert!(answer.head.contains(&format!("location: {place}")));
    let body = credentials(LEARNING).to_string();
    assert_eq!(
        sandbox.send("POST", place, &[JSON], &body).await.status,
        200
    );
    let fault = json!({"kind": "redirect", "location": "http://elsewhere.example/"});
    let (_sandbox, answer) = faulty(fault).await;
    assert!(answer.head.contains("location: http://elsewhere.example/"));
}

#[tokio::test]
async fn html_is_a_page_for_people() {
    let (_sandbox, answer) = faulty(json!({"kind": "html", "status": 403})).await;
    assert_eq!(answer.status, 403);
    assert!(answer.head.contains("text/html") && answer.text().contains("<html>"));
}

#[tokio::test]
async fn huge_is_huge() {
    let (_sandbox, answer) = faulty(json!({"kind": "huge", "bytes": 3_000_000})).await;
    assert!(answer.body.len() > 3_000_000);
}

#[tokio::test]
async fn revoke_ends_issued_tokens_and_no_later_ones() {
    let sandbox = start().await;
    let first = sandbox.token(SFMC, &credentials(SFMC)).await.json();
    let first = first["access_token"].as_str().unwrap();
    assert_eq!(sandbox.call(SFMC, first).await.status, 200);
    let answer = sandbox.fault(SFMC, &json!({"kind": "revoke"})).await;
    assert_eq!(answer.json(), json!({"revoked": 1}));
    assert_eq!(sandbox.call(SFMC, first).await.status, 401);
    let second = sandbox.token(SFMC, &credentials(SFMC)).await.json();
    let second = second["access_token"].as_str().unwrap();
    assert_eq!(sandbox.call(SFMC, second).await.status, 200);
}

#[tokio::test]
async fn faults_last_their_times_and_can_be_deleted() {
    let (sandbox, answer) = faulty(json!({"kind": "status", "status": 500, "times": 2})).await;
    assert_eq!(answer.status, 500);
    assert_eq!(sandbox.report(LEARNING).await["fault"]["times"], 1);
    let body = credentials(LEARNING);
    assert_eq!(sandbox.token(LEARNING, &body).await.status, 500);
    assert_eq!(sandbox.token(LEARNING, &body).await.status, 200);
    sandbox.fault(LEARNING, &json!({"kind": "refuse"})).await;
    // The other vendor has no part in it.
    assert_eq!(sandbox.token(SFMC, &credentials(SFMC)).await.status, 200);
    assert_eq!(sandbox.token(LEARNING, &body).await.status, 401);
    let answer = sandbox
        .send("DELETE", "/control/360learning/fault", &[], "")
        .await;
    assert_eq!(answer.json()["fault"], Value::Null);
    assert_eq!(sandbox.token(LEARNING, &body).await.status, 200);
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason_and_changes_nothing() {
    let sandbox = start().await;
    for (fault, reason) in [
        (json!([]), "JSON object"),
        (json!({}), "kind"),
        (json!({"kind": "explode"}), "unknown variant"),
        (json!({"kind": "hang", "seconds": 1}), "unknown field"),
        (json!({"kind": "status"}), "status"),
        (json!({"kind": "status", "status": 99}), "200 to 599"),
        (json!({"kind": "delay", "seconds": -1}), "0 to 3600"),
        (json!({"kind": "delay", "seconds": "2"}), "invalid type"),
        (json!({"kind": "hang", "times": 0}), "times"),
        (json!({"kind": "hang", "times": 1.5}), "times"),
        (json!({"kind": "revoke", "times": 1}), "no parameters"),
        (json!({"kind": "huge", "bytes": 5_000_000_000_u64}), "bytes"),
        (json!({"kind": "redirect", "location": "a\nb"}), "location"),
    ] {
        let answer = sandbox.fault(LEARNING, &fault).await;
        assert_eq!(answer.status, 400, "{fault}");
        let said = answer.json()["sandbox_error"].as_str().unwrap().to_owned();
        assert!(said.contains(reason), "{fault}: {said}");
    }
    assert_eq!(sandbox.report(LEARNING).await["fault"], Value::Null);
}
