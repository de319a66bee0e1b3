//! A command of the real binary that somebody sits in front of.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_token-broker");

/// Killed when dropped.
pub(crate) struct Typing {
    child: Child,
    out: BufReader<ChildStdout>,
    seen: String,
}

impl Drop for Typing {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Typing {
    pub(crate) fn begin(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            out,
            seen: String::new(),
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.out.read_line(&mut line).unwrap();
        if read == 0 {
            self.child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut self.seen)
                .unwrap();
            panic!("it ended: {}", self.seen);
        }
        self.seen.push_str(&line);
        line
    }

    /// Types that, and nothing more; it must end well. All that it printed.
    pub(crate) fn types(&mut self, text: &str) -> String {
        let mut input = self.child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        self.out.read_to_string(&mut self.seen).unwrap();
        let mut err = self.child.stderr.take().unwrap();
        err.read_to_string(&mut self.seen).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.seen);
        std::mem::take(&mut self.seen)
    }
}
