//! What the demo says: pure text, made from one status document after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::sandbox::VENDORS;

/// What was last told of each integration.
#[derive(Debug, Default)]
pub(super) struct Story {
    told: BTreeMap<String, Told>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    token: Option<String>,
    state: String,
}

impl Story {
    /// The lines for what is new since the status document before.
    pub(super) fn goes_on(&mut self, document: &Value) -> Vec<String> {
        let integrations = document.get("integrations").and_then(Value::as_array);
        let integrations = integrations.map_or(&[][..], Vec::as_slice);
        integrations
            .iter()
            .flat_map(|one| self.chapter(one))
            .collect()
    }

    fn chapter(&mut self, one: &Value) -> Vec<String> {
        let text = |member: &str| one.get(member).and_then(Value::as_str);
        let name = text("name").unwrap_or("?");
        let now = Told {
            token: text("token_fingerprint").map(str::to_owned),
            state: text("state").unwrap_or("?").to_owned(),
        };
        let before = self.told.insert(name.to_owned(), now.clone());
        let before = before.unwrap_or_default();
        let mut lines = Vec::new();
        if let Some(token) = now
            .token
            .filter(|token| before.token.as_ref() != Some(token))
        {
            let seconds = one.get("expires_in").and_then(Value::as_u64);
            let good = seconds.map_or_else(String::new, |left| format!(", good for {left} s"));
            lines.push(match before.token {
                None => format!("{name:<12} first token: {token}{good}"),
                Some(old) => {
                    format!("{name:<12} renewed: {token} takes over from {old}{good}")
                }
            });
        }
        if now.state != before.state
            && let Some(line) = turn(&before.state, &now.state, one)
        {
            lines.push(format!("{name:<12} {line}"));
        }
        lines
    }
}

/// What a change of state means to a person; ordinary life is not worth a line.
fn turn(before: &str, state: &str, one: &Value) -> Option<String> {
    let said = one
        .pointer("/last_error/error_description")
        .and_then(Value::as_str)
        .unwrap_or("no reason given");
    let left = one.get("expires_in").and_then(Value::as_u64);
    match state {
        "degraded" => Some(format!(
            "renewing failed ({said}); the token held is served on, for {} s",
            left.unwrap_or_default()
        )),
        "expired" => Some(format!(
            "its token has ended: callers get an error now ({said})"
        )),
        "rejected" => Some(format!("rejected: {said}")),
        "login_required" => Some(format!("somebody has to log in: {said}")),
        "valid" if matches!(before, "degraded" | "expired" | "rejected") => {
            Some("recovered".to_owned())
        }
        _ => None,
    }
}

/// What is running, and what to try.
pub(super) fn opening(broker: &str, vendors: SocketAddr) -> String {
    format!(
        "\
{count} vendors are emulated on http://{vendors}
and a token broker keeps their tokens fresh on {broker}.
Nothing here is real, and nothing leaves this machine.

Try, in another terminal:

  # a token, as an app asks for it
  curl {broker}/token/sfmc
  curl '{broker}/token/learning?format=raw'

  # all that a call to the vendor's API needs, and the call itself
  curl {broker}/headers/learning
  curl '{broker}/headers/learning?format=curl' | curl -K - http://{vendors}/360learning/api/v2/users

  # one that is signed for, and one whose key belongs into the query
  curl {broker}/headers/adobe-jwt
  curl {broker}/headers/contacts

  # how the integrations are
  curl {broker}/integrations

  # a vendor in trouble: its tokens are served to their last second; then the end of the trouble
  curl http://{vendors}/control/360learning/fault -d '{{\"kind\": \"status\", \"status\": 503}}'
  curl -X DELETE http://{vendors}/control/360learning/fault

  # more kinds of trouble
  curl http://{vendors}/

Ctrl-C ends the demo. What happens meanwhile:
",
        count = VENDORS.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(state: &str, token: Option<&str>, left: Option<u64>) -> Value {
        json!({"integrations": [{"name": "x", "state": state, "token_fingerprint": token,
            "expires_in": left, "last_error": {"error_description": "no answer"}}]})
    }

    #[test]
    fn tells_what_is_new_and_nothing_twice() {
        let mut story = Story::default();
        let mut goes_on = |state, token, left| {
            let lines = story.goes_on(&status(state, token, left));
            lines.join("|").replace("            ", " ")
        };
        assert_eq!(goes_on("pending", None, None), "");
        let first = goes_on("valid", Some("aa"), Some(20));
        assert_eq!(first, "x first token: aa, good for 20 s");
        assert_eq!(goes_on("valid", Some("aa"), Some(19)), "");
        assert_eq!(goes_on("refreshing", Some("aa"), Some(5)), "");
        let renewed = goes_on("valid", Some("bb"), Some(20));
        assert_eq!(renewed, "x renewed: bb takes over from aa, good for 20 s");
        assert!(goes_on("degraded", Some("bb"), Some(4)).contains("served on, for 4 s"));
        assert!(goes_on("expired", Some("bb"), Some(0)).contains("callers get an error"));
        let back = goes_on("valid", Some("cc"), Some(20));
        assert!(back.contains("cc takes over") && back.contains("recovered"));
    }

    #[test]
    fn survives_a_strange_document() {
        let mut story = Story::default();
        for strange in [json!(null), json!({}), json!({"integrations": [1, {}]})] {
            story.goes_on(&strange);
        }
    }
}
