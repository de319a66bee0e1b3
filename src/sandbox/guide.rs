//! `GET /`: what this is and lines to paste, made from the table of vendors.

use std::fmt::Write as _;
use std::net::SocketAddr;

use http::StatusCode;

use super::consent::{self, Renewal};
use super::reply::Reply;
use super::vendor::{Rotation, VENDORS, Vendor};

pub(super) fn reply(address: SocketAddr) -> Reply {
    Reply::text(StatusCode::OK, "text/plain; charset=utf-8", text(address))
}

fn text(address: SocketAddr) -> String {
    let mut text = String::from(
        "token-broker sandbox: emulated vendors. The credentials are made up; nothing here is real.\n",
    );
    for vendor in VENDORS {
        let (name, base) = (vendor.name, format!("http://{address}/{}", vendor.name));
        let mut headers = String::new();
        for (header, value) in vendor.api_headers {
            let _infallible = write!(headers, " -H '{header}: {value}'");
        }
        let (id, secret) = (vendor.client_id, vendor.client_secret);
        let ask = ask(vendor);
        let _infallible = write!(
            text,
            "\n== {name}\n\
             client_id      {id}\n\
             client_secret  {secret}\n\
             \n# a token\n\
             curl {base}{token_path} {ask}\n\
             \n# try it\n\
             curl '{base}{api_path}{api_query}' -H \"Authorization: Bearer $TOKEN\"{headers}\n\
             \n# what was asked so far\n\
             curl http://{address}/control/{name}\n\
             \n# lifetime of the tokens to come\n\
             curl -X PUT http://{address}/control/{name}/lifetime -d '{{\"seconds\": 4}}'\n\
             \n# trouble for the next three requests, and its end\n\
             curl http://{address}/control/{name}/fault -d '{{\"kind\": \"hang\", \"times\": 3}}'\n\
             curl -X DELETE http://{address}/control/{name}/fault\n",
            token_path = vendor.token_path,
            api_path = vendor.api_path,
            api_query = if vendor.standing_token {
                format!("?api_key={id}")
            } else {
                String::new()
            },
        );
        if vendor.rotation != Rotation::OneSecret {
            let _infallible = write!(
                text,
                "\n# a second secret: stage, then activate, then expire\n\
                 curl http://{address}/control/{name}/secret -d '{{\"action\": \"stage\"}}'\n"
            );
        }
    }
    for vendor in consent::VENDORS {
        consents(vendor, address, &mut text);
    }
    text.push_str(FAULTS);
    text
}

/// Of a vendor that people consent to.
fn consents(vendor: &Vendor, address: SocketAddr, text: &mut String) {
    let (name, base) = (vendor.name, format!("http://{address}/{}", vendor.name));
    let kind = match vendor.renewal {
        Some(Renewal::Grace) => "a refresh token used again soon brings the same pair",
        Some(Renewal::LongLived) => "the refresh token stays the same",
        Some(Renewal::Strict) | None => {
            "a refresh token works once; using it again ends the consent"
        }
    };
    let _infallible = write!(
        text,
        "\n== {name}: a person consents; {kind}\n\
         client_id      {id}    (a public client leaves out the secret)\n\
         client_secret  {secret}\n\
         refresh_token  {first}    (consented to already)\n\
         authorization_endpoint         {base}/authorize    (PKCE with S256)\n\
         device_authorization_endpoint  {base}/device/code\n\
         token_endpoint                 {base}{token_path}\n\
         \n# a token\n\
         curl {base}{token_path} -d grant_type=refresh_token -d client_id={id} -d \
         refresh_token={first}\n\
         \n# what became of each refresh token, and the end of all consents\n\
         curl http://{address}/control/{name}/refresh-tokens\n\
         curl -X DELETE http://{address}/control/{name}/refresh-tokens\n\
         \n# consent without a person (also \"deny\", \"ask\"), or for one device\n\
         curl -X PUT http://{address}/control/{name}/consent -d '{{\"consent\": \"allow\"}}'\n\
         curl http://{address}/control/{name}/device -d '{{\"user_code\": \"ABCD-EFGH\", \
         \"allow\": true}}'\n\
         \n# a further consent: its refresh token\n\
         curl -X POST http://{address}/control/{name}/grant\n",
        id = vendor.client_id,
        secret = vendor.client_secret,
        first = consent::first_refresh_token(vendor),
        token_path = vendor.token_path,
    );
}

/// What follows the URL to ask for a token, or about the one there is.
fn ask(vendor: &Vendor) -> String {
    let (id, secret) = (vendor.client_id, vendor.client_secret);
    if vendor.standing_token {
        return format!("-d access_token={secret}    # there is only this one: TOKEN={secret}");
    }
    if vendor.asks_with_form {
        let scope = vendor.scope.map(|scope| format!(" -d scope={scope}"));
        return format!(
            "-d grant_type=client_credentials -d client_id={id} -d client_secret={secret}{}",
            scope.unwrap_or_default()
        );
    }
    format!(
        "-H 'Content-Type: application/json' -d '{{\"grant_type\": \"client_credentials\", \
         \"client_id\": \"{id}\", \"client_secret\": \"{secret}\"}}'"
    )
}

const FAULTS: &str = r#"
== kinds of trouble
{"kind": "status", "status": 503, "body": {"error": "x"}, "retry_after": 3}   body and retry_after may be left out
{"kind": "delay", "seconds": 2}       the ordinary answer, late
{"kind": "hang"}                      no answer
{"kind": "reset"}                     connection reset; with "half_way": true in the middle of the answer
{"kind": "lose"}                      carried out, and the answer is lost
{"kind": "no_token"}                  the ordinary answer without its access token
{"kind": "garbage"}                   200, but no JSON
{"kind": "throttle", "retry_after": 5}   the vendor's own 429
{"kind": "refuse"}                    the vendor's own answer to wrong credentials
{"kind": "drip", "seconds": 1}        a byte at a time
{"kind": "redirect"}                  also with "location"
{"kind": "html", "status": 200}       a page for people
{"kind": "huge", "bytes": 268435456}  an answer that hardly ends
{"kind": "revoke"}                    at once: the API side refuses every token issued so far
Every kind but revoke takes "times": how many requests it lasts (left out: until it is deleted).
"#;
