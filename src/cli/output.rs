//! Standard output and standard error, and how a command ends.
//!
//! Invariant: a reader that goes away ends the command quietly, it is no failure and no panic.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Exit {
    /// Exit code 1.
    Failed(String),
    /// Exit code 2: bad usage or configuration.
    Usage(String),
    /// Nobody reads any more.
    PipeClosed,
}

impl Exit {
    /// The first line of what is to be said, without the word that begins it.
    pub(super) fn gist(&self) -> &str {
        let text = match self {
            Self::Failed(text) | Self::Usage(text) => text,
            Self::PipeClosed => "",
        };
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first)
    }
}

pub(super) struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Standard error is a terminal: somebody may be watching.
    watched: bool,
}

impl Output {
    pub(super) fn terminal() -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            watched: io::stderr().is_terminal(),
        }
    }

    #[cfg(test)]
    pub(super) fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
            watched: false,
        }
    }

    /// Text and a newline to standard output.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Exit> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Exit> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::PipeClosed,
            _ => Exit::Failed(format!("cannot write to standard output: {error}")),
        })
    }

    /// A line beside the result. Where standard error cannot be written there is nowhere to say so.
    pub(super) fn note(&mut self, text: &str) {
        let written = writeln!(self.err, "{text}");
        drop(written);
    }

    /// What is being done, in place of what was said so before; nothing where nobody watches.
    /// An empty text wipes it.
    pub(super) fn progress(&mut self, text: &str) {
        if self.watched {
            let written = write!(self.err, "\r\x1b[K{text}").and_then(|()| self.err.flush());
            drop(written);
        }
    }

    pub(super) fn finish(&mut self, ended: Result<(), Exit>) -> ExitCode {
        match ended {
            Ok(()) | Err(Exit::PipeClosed) => ExitCode::SUCCESS,
            Err(Exit::Failed(text)) => {
                self.note(&text);
                ExitCode::from(1)
            }
            Err(Exit::Usage(text)) => {
                self.note(&text);
                ExitCode::from(2)
            }
        }
    }
}
