//! The life of a host process: how it starts, how to end it with all it started, and how it ended.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{HostError, Settings};

/// How long a killed process may take to be gone. Longer means it hangs in the kernel.
const DEATH: Duration = Duration::from_secs(10);

/// What others can know and do of a process while somebody holds it.
#[derive(Debug)]
pub(super) struct Life {
    kill: CancellationToken,
    exited: CancellationToken,
    status: OnceLock<Option<ExitStatus>>,
    pub started: Instant,
}

impl Life {
    /// A process that is about to start; `ends` kills it, too.
    pub fn new(ends: &CancellationToken) -> Arc<Life> {
        Arc::new(Life {
            kill: ends.child_token(),
            exited: CancellationToken::new(),
            status: OnceLock::new(),
            started: Instant::now(),
        })
    }

    /// Asks for the death of the process and all of its group.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    /// Kills the process and all of its group, and waits until it is gone.
    pub async fn end(&self) {
        self.kill();
        if tokio::time::timeout(DEATH, self.exited()).await.is_err() {
            tracing::error!("a host process outlives SIGKILL");
        }
    }

    /// Resolves once the process is gone, and its group with it.
    pub async fn exited(&self) {
        self.exited.cancelled().await;
    }

    pub fn is_over(&self) -> bool {
        self.exited.is_cancelled()
    }

    /// How it ended, in words.
    pub fn how(&self) -> String {
        match self.status.get().copied().flatten() {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (_, Some(signal)) => {
                    format!("was killed by signal {signal}{}", signal_name(signal))
                }
                _ => "ended".to_owned(),
            },
            None => "ended".to_owned(),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL; perhaps for want of memory)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// Starts a host with `channel` as its descriptor 0, and all it prints going to `printed`.
pub(super) fn spawn(
    settings: &Settings,
    channel: UnixStream,
    printed: std::io::PipeWriter,
) -> Result<Box<dyn ChildWrapper>, HostError> {
    let mut command = settings.command("neena.host");
    command.arg("--directory").arg(&settings.directory);
    if let Some(bytes) = settings.memory_bytes {
        command.arg("--memory").arg(bytes.to_string());
    }
    command
        .stdin(Stdio::from(OwnedFd::from(channel)))
        .stdout(Stdio::from(printed.try_clone()?))
        .stderr(Stdio::from(printed));
    let mut wrapped = CommandWrap::from(command);
    wrapped.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
    wrapped.spawn().map_err(|error| HostError::Spawn {
        program: settings.interpreter.program.clone(),
        error,
    })
}

/// Waits for the process, or kills it; then whatever is left of its group.
pub(super) async fn watch(mut child: Box<dyn ChildWrapper>, life: Arc<Life>, output: Arc<Output>) {
    let reading = tokio::spawn(output.clone().follow());
    let status = tokio::select! {
        status = child.wait() => status,
        () = life.kill.cancelled() => {
            // It may be gone already; then waiting says so.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    // Processes of the group outlive their leader; where there are none this says so, and that is fine.
    let _ = child.start_kill();
    let _ = life.status.set(status.ok());
    output.settle();
    life.exited.cancel();
    // One that left the group may hold the pipe open for ever.
    reading.abort();
}
