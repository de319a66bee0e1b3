//! Certificate authorities from a file.

use std::io::Read as _;
use std::path::Path;

use reqwest::Certificate;

use super::client::ClientError;

/// The system's own bundle is a quarter of this.
const MAX: u64 = 4 * 1024 * 1024;

pub(super) fn read(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let unreadable = |error: std::io::Error| ClientError::Unreadable {
        path: path.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(MAX)
        .read_to_end(&mut pem)
        .map_err(unreadable)?;
    #[expect(
        clippy::map_err_ignore,
        reason = "the parser's text says less than ours"
    )]
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| ClientError::NoCertificates {
        path: path.to_owned(),
    })?;
    if found.is_empty() {
        return Err(ClientError::NoCertificates {
            path: path.to_owned(),
        });
    }
    Ok(found)
}
