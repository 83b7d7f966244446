//! One process of the program; killed when dropped.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a process may take to be ready: others compile and run beside it.
const READY: Duration = Duration::from_secs(60);

pub struct Process {
    child: Child,
    /// What it says on standard output.
    lines: Mutex<Receiver<String>>,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it logs goes to the end of `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Process {
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(file.unwrap())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the process.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Process {
            child,
            lines: Mutex::new(lines),
            log,
        }
    }

    /// Waits for the line that says that it is ready; what stands after `words` in it.
    pub fn ready(&self, words: &str) -> String {
        let line = self.lines.lock().unwrap().recv_timeout(READY);
        let line = line.unwrap_or_default();
        let Some(rest) = line.trim().strip_prefix(words) else {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("no ready line but {line:?}; the log says:\n{log}");
        };
        rest.to_owned()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
    }

    /// Waits until it has exited.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone, or not: either way it must not outlive the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
