//! A command whose standard output is a secret: no shell, no environment, bounded.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;

use super::{MAX_BYTES, Reason, secret_in};
use crate::base::Secret;

const TIMEOUT: Duration = Duration::from_secs(5);

/// All of the environment that a command sees.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) path: OsString,
    pub(super) home: OsString,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            home: "/".into(),
        }
    }
}

/// Kills what the command started too, also when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nothing of it is left.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

pub(super) async fn run(argv: &[String], around: &Surroundings) -> Result<Secret, Reason> {
    let Some((program, arguments)) = argv.split_first().filter(|(p, _)| p.starts_with('/')) else {
        return Err("is not an absolute path".to_owned());
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", &around.path)
        .env("HOME", &around.home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Never shown: it may repeat what it was given.
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be started: {}", error.kind()))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.and_then(Pid::from_raw));
    let Some(stdout) = child.stdout.take() else {
        return Err("has no output".to_owned());
    };
    let work = async {
        let mut bytes = Vec::with_capacity(1024);
        let mut limited = stdout.take(MAX_BYTES as u64 + 1);
        limited
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| format!("cannot be read: {}", error.kind()))?;
        if bytes.len() > MAX_BYTES {
            return Err("prints more than 64 KiB".to_owned());
        }
        let status = child
            .wait()
            .await
            .map_err(|error| format!("cannot be waited for: {}", error.kind()))?;
        Ok((bytes, status))
    };
    let finished = tokio::time::timeout(TIMEOUT, work).await;
    let Ok(finished) = finished else {
        return Err("did not end within 5s".to_owned());
    };
    let (bytes, status) = finished?;
    // Reaped: its number may belong to others from here on.
    group.0 = None;
    if !status.success() {
        drop(crate::base::Zeroizing::new(bytes));
        return Err(format!("failed: {status}"));
    }
    secret_in(bytes)
}
