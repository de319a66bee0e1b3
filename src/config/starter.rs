//! A first configuration for a provider, with blanks to fill in.
//!
//! Invariant: `check` accepts the text once the blanks (`""`) are filled.

use std::fmt::Write as _;

use super::provider::{Param, Provider};

/// TOML for one integration of `provider`.
pub fn starter_config(provider: &Provider) -> String {
    let mut text = String::new();
    let id = &provider.id;
    let mut line = |content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    line(&format!("# {}", comment(&provider.name)));
    if let Some(docs) = &provider.docs {
        line(&format!("# {}", comment(docs)));
    }
    line(&format!("[integrations.{id}]"));
    line(&format!("provider = {}", quoted(id)));
    line("");
    for param in &provider.params {
        line(&param_lines(param));
    }
    if provider.grant() == Some("static") {
        line("# The file that holds the token; or { env = \"NAME_OF_A_VARIABLE\" }.");
        line(&format!("token = {{ file = \"/run/secrets/{id}-token\" }}"));
        line("# When the token expires, to be warned in time:");
        line("# expires_at = \"2030-01-01T00:00:00Z\"");
        return text;
    }
    line("client_id = \"\"");
    line("");
    line("# The file that holds the secret; or { env = \"NAME_OF_A_VARIABLE\" }.");
    line(&format!(
        "client_secret = {{ file = \"/run/secrets/{id}-client-secret\" }}"
    ));
    line("# When the secret expires, to be warned in time:");
    line("# client_secret_expires_at = \"2030-01-01T00:00:00Z\"");
    if provider.grant() == Some("jwt_bearer") {
        line("");
        line(&format!("[integrations.{id}.assertion]"));
        line("# The private key, as PEM.");
        line(&format!("key = {{ file = \"/run/secrets/{id}-key.pem\" }}"));
    }
    if provider.takes_logins() {
        consent(provider, &mut line);
    }
    text
}

/// What a grant needs that begins with a person's consent.
fn consent(provider: &Provider, line: &mut impl FnMut(&str)) {
    let id = &provider.id;
    if provider.table.text("scope").is_none() {
        line("");
        line("# What a person is asked to allow, in the vendor's words.");
        line("scope = \"\"");
    }
    line("");
    line(
        "# Register http://127.0.0.1:8656/login/callback at the vendor; or its own page, if it takes",
    );
    line("# only https: the address the browser ends at is then pasted.");
    line("# redirect_uri = \"https://www.example.com/\"");
    line(&format!(
        "# Once the broker runs, a person consents: token-broker login {id}"
    ));
    line("");
    line("# Consent outlives the process in here. Leave this out if there is a [store] already.");
    line("[store]");
    line("kind = \"embedded\"");
    line("path = \"/var/lib/token-broker/state.redb\"");
    line("# encryption_key = { file = \"/run/secrets/store-key\" }");
}

fn param_lines(param: &Param) -> String {
    let mut text = format!("# {}", comment(&param.description));
    if let Some(example) = &param.example {
        let _written = write!(text, ", such as {}", quoted(&comment(example)));
    }
    if !param.choices.is_empty() {
        let names: Vec<_> = param.choices.iter().map(|(name, _)| quoted(name)).collect();
        let _written = write!(text, ": {}", names.join(" or "));
    }
    let name = &param.name;
    let _written = match (&param.default, param.required, param.secret) {
        (Some(default), _, _) => write!(text, "\n# {name} = {}", quoted(default)),
        (None, true, false) => write!(text, "\n{name} = \"\""),
        (None, true, true) => write!(text, "\n{name} = {{ file = \"/run/secrets/{name}\" }}"),
        (None, false, _) => write!(text, " (optional)\n# {name} = \"\""),
    };
    text.push('\n');
    text
}

fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
