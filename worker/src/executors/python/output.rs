//! What a host process prints, line by line to the log: bounded, escaped, named after the task that
//! was running.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use neena_engine::ids::RunId;
use neena_engine::run::TaskKey;
use parking_lot::Mutex;
use tokio::net::unix::pipe::Receiver;

/// A line is cut after this many bytes.
const MAX_LINE: usize = 4 << 10;

/// At most this many bytes of one call reach the log.
const MAX_LOGGED: usize = 256 << 10;

/// Last lines that are kept to explain a crash.
const TAIL: usize = 20;

/// The reading end of a host's standard output and standard error.
#[derive(Debug)]
pub(super) struct Output {
    /// Tells when there is something to read.
    ready: Receiver,
    /// The same pipe, read directly: the runtime may not have heard yet of what is there.
    pipe: PipeReader,
    integration: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    task: Option<Task>,
    line: Vec<u8>,
    cut: bool,
    logged: usize,
    tail: VecDeque<String>,
}

/// Whose output it is.
#[derive(Clone, Copy, Debug)]
struct Task {
    run: RunId,
    key: TaskKey,
    attempt: u32,
}

impl Output {
    /// Takes the pipe, which becomes non-blocking. Needs a runtime.
    pub fn new(pipe: PipeReader, integration: Arc<str>) -> io::Result<Output> {
        let ready = Receiver::from_owned_fd(OwnedFd::from(pipe.try_clone()?))?;
        Ok(Output {
            ready,
            pipe,
            integration,
            state: Mutex::default(),
        })
    }

    /// Reads whatever comes, until the pipe closes. For a task of its own.
    pub async fn follow(self: Arc<Self>) {
        while self.ready.readable().await.is_ok() {
            match self.ready.try_io(|| self.read()) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                // A host that prints without end must not keep this thread to itself.
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// What is printed from now on belongs to this call.
    pub fn begin(&self, run: RunId, key: TaskKey, attempt: u32) {
        self.settle();
        let mut state = self.state.lock();
        *state = State {
            task: Some(Task { run, key, attempt }),
            ..State::default()
        };
    }

    /// The call is over: what it printed is in the pipe already, and is read now.
    pub fn end(&self) {
        self.settle();
        self.state.lock().task = None;
    }

    /// Adds what the host told of the running call, as if it had been printed.
    pub fn add(&self, text: &str) {
        self.settle();
        let mut state = self.state.lock();
        state.take(text.as_bytes(), &self.integration);
        state.finish_line(&self.integration);
    }

    /// Reads what is there and ends the last line.
    pub fn settle(&self) {
        // The end of the pipe is for `follow` to see.
        let _ = self.read();
        self.state.lock().finish_line(&self.integration);
    }

    /// The last lines, as one text.
    pub fn tail(&self) -> String {
        self.settle();
        let state = self.state.lock();
        state
            .tail
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Reads what is there, up to about the size of a pipe. `WouldBlock`: that was all.
    fn read(&self) -> io::Result<()> {
        let mut part = [0; 16 << 10];
        let mut state = self.state.lock();
        for _ in 0..8 {
            match (&self.pipe).read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                size => state.take(&part[..size], &self.integration),
            }
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, mut bytes: &[u8], integration: &str) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end]);
            self.finish_line(integration);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish_line(&mut self, integration: &str) {
        if self.line.is_empty() {
            return;
        }
        let mut line = escaped(&self.line);
        if self.cut {
            line.push('…');
        }
        self.line.clear();
        self.cut = false;
        self.log(&line, integration);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    fn log(&mut self, line: &str, integration: &str) {
        let before = self.logged;
        self.logged += line.len();
        let line = match (before <= MAX_LOGGED, self.logged <= MAX_LOGGED) {
            (true, true) => line,
            (true, false) => "(what follows of this task's output is not logged)",
            (false, _) => return,
        };
        match self.task {
            Some(Task { run, key, attempt }) => {
                tracing::info!(%run, index = key.index, item = key.item, attempt, integration, "{line}");
            }
            None => tracing::info!(integration, "{line}"),
        }
    }
}

/// Text that cannot act on a terminal or forge a line: control and direction characters are spelled out.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::with_capacity(text.len());
    for character in text.trim_end_matches('\r').chars() {
        let acts = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character != '\t' && (character.is_control() || acts) {
            let _ = write!(safe, "{}", character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_prints_cannot_act_on_a_terminal() {
        assert_eq!(escaped(b"\x1b[31mred\x07\r"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(
            escaped("tab\t é \u{202e}\u{9b}".as_bytes()),
            "tab\t é \\u{202e}\\u{9b}"
        );
        assert_eq!(escaped(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn lines_are_cut_and_only_the_last_are_kept() {
        let mut state = State::default();
        state.take(&vec![b'x'; 10 << 20], "test");
        assert_eq!(state.line.len(), MAX_LINE);
        state.take(b"\nlast\nopen", "test");
        assert!(state.tail[0].ends_with('…') && state.tail[0].len() < MAX_LINE + 8);
        assert_eq!(state.tail[1], "last");
        for _ in 0..100 {
            state.take(b"more\n", "test");
        }
        assert_eq!(state.tail.len(), TAIL);
    }
}
