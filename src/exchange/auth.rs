//! How a client names itself to a token endpoint.

use crate::base::Zeroizing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::Secret;
use crate::spec::BasicEncoding;

/// What follows `Basic ` in the `Authorization` header.
pub(super) fn basic(id: &str, secret: &str, encoding: BasicEncoding) -> Secret {
    let pair = Zeroizing::new(match encoding {
        BasicEncoding::Form => format!("{}:{}", form(id), *Zeroizing::new(form(secret))),
        BasicEncoding::Raw => format!("{id}:{secret}"),
    });
    Secret::new(STANDARD.encode(pair.as_bytes()))
}

/// `application/x-www-form-urlencoded` for one name or value.
pub(super) fn form(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_to_the_byte() {
        let decoded =
            |secret: &Secret| String::from_utf8(STANDARD.decode(secret.expose()).unwrap()).unwrap();
        let hard = "+/%&=\" é:~*-._";
        let encoded = "%2B%2F%25%26%3D%22+%C3%A9%3A%7E*-._";
        assert_eq!(
            decoded(&basic(hard, hard, BasicEncoding::Form)),
            format!("{encoded}:{encoded}")
        );
        assert_eq!(
            decoded(&basic(hard, hard, BasicEncoding::Raw)),
            format!("{hard}:{hard}")
        );
    }
}
