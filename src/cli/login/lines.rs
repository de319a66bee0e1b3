//! What a person types or pastes, without holding up anything else.

use std::io::{BufRead as _, BufReader, Read};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::base::{Secret, Zeroizing};

/// The longest line that is read; an address is shorter.
const LINE_MAX: u64 = 32 * 1024;
/// Lines that come within this time of each other were pasted together.
const TOGETHER: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub(super) struct Lines {
    lines: mpsc::Receiver<Secret>,
    /// What came of a paste whose end is not known yet.
    begun: Option<Secret>,
}

impl Lines {
    /// Reads in a thread of its own: there is no other way to wait for a terminal without hanging
    /// on to it.
    pub(super) fn of(input: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel(8);
        let reading = move || {
            let mut input = BufReader::new(input);
            loop {
                let mut line = Zeroizing::new(Vec::new());
                let read = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
                if !matches!(read, Ok(1..)) {
                    return;
                }
                let text = String::from_utf8_lossy(&line);
                if sender.blocking_send(Secret::new(text)).is_err() {
                    return;
                }
            }
        };
        // Without a thread there is nothing to read, which is said where it matters.
        drop(std::thread::Builder::new().spawn(reading));
        Self { lines, begun: None }
    }

    /// The next paste, which a narrow terminal may have broken into lines; `None` at the end of the
    /// input. May be dropped and called again: nothing is lost.
    pub(super) async fn pasted(&mut self) -> Option<Secret> {
        if self.begun.is_none() {
            self.begun = Some(self.lines.recv().await?);
        }
        while let Ok(Some(more)) = timeout(TOGETHER, self.lines.recv()).await {
            let before = self.begun.as_ref().map_or("", Secret::expose);
            let both = Zeroizing::new(format!("{before}{}", more.expose()));
            self.begun = Some(Secret::new(both.as_str()));
        }
        self.begun.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_pasted_together_are_one() {
        let mut lines = Lines::of(&b"http://x/?code=a\nb&state=c\n"[..]);
        let pasted = lines.pasted().await.unwrap();
        assert_eq!(pasted.expose(), "http://x/?code=a\nb&state=c\n");
        assert_eq!(lines.pasted().await, None);
        assert_eq!(Lines::of(&b""[..]).pasted().await, None);
    }

    #[tokio::test]
    async fn nothing_is_lost_when_something_else_comes_first() {
        let mut lines = Lines::of(&b"one\n"[..]);
        for _ in 0..20 {
            tokio::select! {
                biased;
                Some(pasted) = lines.pasted() => return assert_eq!(pasted.expose(), "one\n"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(lines.pasted().await.unwrap().expose(), "one\n");
    }
}
