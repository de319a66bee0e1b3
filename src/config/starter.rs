//! A first configuration for a provider, with blanks to fill in.
//!
//! Invariant: `check` accepts the text once the blanks (`""`) are filled.

use std::fmt::Write as _;

use super::provider::{Param, Provider};
use super::tree::{Node, Raw, Table};
use crate::spec::Template;

/// TOML for one integration of `provider`.
pub fn starter_config(provider: &Provider) -> String {
    let id = &provider.id;
    let mut starter = Starter {
        provider,
        text: String::new(),
    };
    starter.line(&format!("# {}", comment(&provider.name)));
    if let Some(docs) = &provider.docs {
        starter.line(&format!("# {}", comment(docs)));
    }
    starter.line(&format!("[integrations.{id}]"));
    starter.line(&format!("provider = {}", quoted(id)));
    starter.line("");
    for param in &provider.params {
        starter.line(&param_lines(param, id));
    }
    starter.of_grant();
    starter.text
}

struct Starter<'a> {
    provider: &'a Provider,
    text: String,
}

impl Starter<'_> {
    fn line(&mut self, content: &str) {
        self.text.push_str(content);
        self.text.push('\n');
    }

    fn of_grant(&mut self) {
        match self.provider.grant() {
            Some("static") => {
                self.secret("token", "The file that holds the token", "token");
                self.line("# When the token expires, to be warned in time:");
                self.line("# expires_at = \"2030-01-01T00:00:00Z\"");
            }
            Some("signed_jwt") => {
                self.client_id_if_used();
                self.keys("assertion");
            }
            Some("request" | "steps") => self.of_requests(),
            Some("jwt_bearer") => {
                // Proof enough, but some vendors want a secret besides.
                if self.method().is_some_and(|method| method != "none") {
                    self.client();
                } else {
                    self.client_id_if_used();
                }
                self.keys("assertion");
            }
            Some("password") => {
                self.client();
                self.login();
            }
            Some("token_exchange") => {
                self.client();
                self.secret(
                    "subject_token",
                    "The file that holds the token to be exchanged",
                    "subject-token",
                );
            }
            Some("refresh_token") => {
                self.client();
                self.secret(
                    "refresh_token",
                    "The file that holds the first refresh token",
                    "refresh-token",
                );
                if self.provider.table.text("refresh_token_rotation") != Some("never") {
                    self.store(
                        "The refresh token changes with use, so it must outlive the process",
                    );
                }
            }
            _ => {
                self.client();
                if self.provider.takes_logins() {
                    self.consent();
                }
            }
        }
    }

    /// What requests of a vendor's own kind are made of.
    fn of_requests(&mut self) {
        self.client_id_if_used();
        if self.uses("client_secret") {
            self.client_secret();
        }
        if self.uses("password") {
            self.login();
        }
        let steps = self.provider.table.get("steps").map(|node| &node.raw);
        if let Some(Raw::List(steps)) = steps {
            let signs = |step: &Node| matches!(&step.raw, Raw::Table(step) if step.get("assertion").is_some());
            if steps.iter().any(signs) {
                self.keys("assertion");
            }
        }
    }

    fn method(&self) -> Option<&str> {
        self.provider.table.text("token_endpoint_auth_method")
    }

    fn client(&mut self) {
        self.line("client_id = \"\"");
        let signs = self.provider.table.get("client_assertion").is_some();
        match self.method() {
            Some("none") if !self.uses("client_secret") => {}
            Some("private_key_jwt") => self.keys("client_assertion"),
            None if signs => self.keys("client_assertion"),
            Some("tls_client_auth") => {
                self.secret(
                    "client_certificate",
                    "The file with the certificate, as PEM",
                    "client.pem",
                );
                self.secret(
                    "client_key",
                    "The file with its private key, as PEM",
                    "client-key.pem",
                );
            }
            Some(_) | None => self.client_secret(),
        }
    }

    fn client_id_if_used(&mut self) {
        if self.uses("client_id") {
            self.line("client_id = \"\"");
        }
    }

    fn client_secret(&mut self) {
        self.secret(
            "client_secret",
            "The file that holds the secret",
            "client-secret",
        );
        self.line("# When the secret expires, to be warned in time:");
        self.line("# client_secret_expires_at = \"2030-01-01T00:00:00Z\"");
    }

    fn login(&mut self) {
        self.gap();
        self.line("username = \"\"");
        self.secret("password", "The file that holds the password", "password");
    }

    /// Between two matters, but not below a heading.
    fn gap(&mut self) {
        if !self.text.ends_with("\n\n") && !self.text.ends_with("]\n") {
            self.line("");
        }
    }

    /// A secret in a file, after a line that says what it is.
    fn secret(&mut self, key: &str, what: &str, file: &str) {
        let id = &self.provider.id;
        let line = format!("{key} = {{ file = \"/run/secrets/{id}-{file}\" }}");
        self.gap();
        self.line(&format!("# {what}; or {{ env = \"NAME_OF_A_VARIABLE\" }}."));
        self.line(&line);
    }

    /// What assertions are signed with.
    fn keys(&mut self, table: &str) {
        let heading = format!("[integrations.{}.{table}]", self.provider.id);
        self.gap();
        self.line(&heading);
        self.secret("key", "The file with the private key, as PEM", "key.pem");
        if self.uses("certificate_fingerprint") {
            self.secret(
                "certificate",
                "The file with its certificate, as PEM",
                "certificate.pem",
            );
        }
    }

    /// What a grant needs that begins with a person's consent.
    fn consent(&mut self) {
        let id = &self.provider.id;
        if self.provider.table.get("scope").is_none() {
            self.gap();
            self.line("# What a person is asked to allow, in the vendor's words, if it asks so.");
            self.line("scope = \"\"");
        }
        self.gap();
        self.line(
            "# Register http://127.0.0.1:8656/login/callback at the vendor; or its own page, if it takes",
        );
        self.line("# only https: the address the browser ends at is then pasted.");
        self.line("# redirect_uri = \"https://www.example.com/\"");
        self.line(&format!(
            "# Once the broker runs, a person consents: token-broker login {id}"
        ));
        self.store("Consent outlives the process in here");
    }

    fn store(&mut self, why: &str) {
        self.line("");
        self.line(&format!(
            "# {why}. Leave this out if there is a [store] already."
        ));
        self.line("[store]");
        self.line("kind = \"embedded\"");
        self.line("path = \"/var/lib/token-broker/state.redb\"");
        self.line("# encryption_key = { file = \"/run/secrets/store-key\" }");
    }

    /// Whether a hole of this name is anywhere in the provider file.
    fn uses(&self, hole: &str) -> bool {
        table_has(&self.provider.table, hole)
    }
}

fn table_has(table: &Table, hole: &str) -> bool {
    let mut entries = table.0.iter();
    entries.any(|(name, node)| text_has(name, hole) || node_has(node, hole))
}

fn node_has(node: &Node, hole: &str) -> bool {
    match &node.raw {
        Raw::Text(text) => text_has(text, hole),
        Raw::List(items) => items.iter().any(|item| node_has(item, hole)),
        Raw::Table(table) => table_has(table, hole),
        Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) | Raw::Bad => false,
    }
}

fn text_has(text: &str, hole: &str) -> bool {
    Template::parse_phrase(text).is_ok_and(|template| template.holes().contains(&hole))
}

fn param_lines(param: &Param, id: &str) -> String {
    let mut text = format!("# {}", comment(&param.description));
    if let Some(example) = &param.example {
        let _written = write!(text, ", such as {}", quoted(&comment(example)));
    }
    if !param.choices.is_empty() {
        let names: Vec<_> = param.choices.iter().map(|(name, _)| quoted(name)).collect();
        let _written = write!(text, ": {}", names.join(" or "));
    }
    let name = &param.name;
    let file = format!("/run/secrets/{id}-{}", name.replace('_', "-"));
    let _written = match (&param.default, param.required, param.secret) {
        (Some(default), _, _) => write!(text, "\n# {name} = {}", quoted(default)),
        (None, true, false) => write!(text, "\n{name} = \"\""),
        (None, true, true) => write!(text, "\n{name} = {{ file = \"{file}\" }}"),
        (None, false, false) => write!(text, " (optional)\n# {name} = \"\""),
        (None, false, true) => {
            write!(text, " (optional)\n# {name} = {{ file = \"{file}\" }}")
        }
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
