//! A process of ours: started, signalled and ended by its id.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub pid: u32,
    pub log: PathBuf,
    pub started: Instant,
    said: PathBuf,
    child: Child,
}

impl Process {
    /// Starts it; what it prints goes to files in `dir`.
    pub fn start(name: &str, mut command: Command, dir: &Path) -> anyhow::Result<Process> {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let (said, log) = (file("out"), file("log"));
        command
            .stdin(Stdio::null())
            .stdout(open(&said)?)
            .stderr(open(&log)?)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().context("the process is gone already")?;
        Ok(Process {
            name: name.to_owned(),
            pid,
            log,
            started: Instant::now(),
            said,
            child,
        })
    }

    /// Waits until its standard output has a line that `found` takes.
    pub async fn says<T>(
        &mut self,
        within: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        loop {
            let said = std::fs::read_to_string(&self.said).unwrap_or_default();
            if let Some(answer) = said.lines().rev().find_map(&found) {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, tail(&self.log));
            }
            if self.started.elapsed() > within {
                bail!(
                    "{} is not ready after {within:?}: {}",
                    self.name,
                    tail(&self.log)
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.name))
    }

    /// SIGTERM; how long it took to exit, and how.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<(Duration, ExitStatus)> {
        let began = Instant::now();
        signal(self.pid, "TERM")?;
        let status = tokio::time::timeout(within, self.child.wait())
            .await
            .with_context(|| format!("{} did not end within {within:?}", self.name))??;
        Ok((began.elapsed(), status))
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let status = std::process::Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(()),
        false => bail!("there is no process {pid}"),
    }
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
