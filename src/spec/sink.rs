//! Files that tokens are written to, for programs that read files.

use std::path::PathBuf;

use crate::base::IntegrationId;

/// One file of one integration. Not part of the integration: another file is no reason to ask for
/// another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSink {
    pub integration: IntegrationId,
    /// Named once in a configuration; its folder was there when it was loaded.
    pub path: PathBuf,
    pub format: SinkFormat,
    /// Permission bits.
    pub mode: u32,
}

impl FileSink {
    pub const MODE: u32 = 0o440;
}

/// What is in the file; none ends with a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SinkFormat {
    /// The token answer without `expires_in`.
    #[default]
    Json,
    /// The token alone.
    Raw,
    /// The value of the `Authorization` header.
    Header,
}
