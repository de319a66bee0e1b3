//! The real binary as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_token-broker");

/// A broker that is listening; killed when dropped.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    log: BufReader<ChildStderr>,
    seen: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Process {
    /// Starts `serve`; the configuration must let the log say where it listens.
    pub(crate) fn serve(config: &Path, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["serve", "--config"])
            .arg(config)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {seen}");
            seen.push_str(&line);
            if let Some((_, rest)) = line.split_once("listening on http://") {
                break rest
                    .split([' ', ',', '\n'])
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
            }
        };
        Self {
            address,
            child,
            log,
            seen,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads on until a line of the log holds `text`.
    pub(crate) fn until_logged(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "it ended: {}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Whether it has died by now.
    #[cfg(feature = "faults")]
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`, unless it is dead already.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end: its exit code and all of its log.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        self.log.read_to_string(&mut self.seen).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, std::mem::take(&mut self.seen))
    }

    /// SIGTERM; it must end well. All of its log.
    pub(crate) fn stop(&mut self) -> String {
        self.signal(Signal::TERM);
        let (code, log) = self.ended();
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// A command to its end.
    pub(crate) fn run(arguments: &[&str]) -> Output {
        Command::new(BINARY).args(arguments).output().unwrap()
    }

    /// What a command prints, to both.
    pub(crate) fn output(arguments: &[&str]) -> String {
        let output = Self::run(arguments);
        let printed = [output.stdout, output.stderr].concat();
        String::from_utf8(printed).unwrap()
    }
}
