//! How host processes are run, and the command that runs one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::interpreter::{Interpreter, environment};

/// How host processes are run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub interpreter: Interpreter,
    /// Where the Python package is written, below a folder of its own.
    pub sdk_dir: PathBuf,
    /// Most processes of one integration: the worker's task slots.
    pub slots: usize,
    /// The tasks' working directory.
    pub directory: PathBuf,
    /// What they see of the environment; see [`environment`].
    pub environment: Vec<(OsString, OsString)>,
    /// Limit of a process's address space, in bytes; absent: none.
    pub memory_bytes: Option<u64>,
    /// How long a process may take to start and import its integration.
    pub start_limit: Duration,
    /// A process idle for longer is let go, except the last one.
    pub idle_for: Duration,
}

impl Settings {
    /// Settings with every default: the server's own working directory, no memory limit, 30 seconds
    /// to start, five minutes idle.
    pub fn new(interpreter: Interpreter, sdk_dir: PathBuf, slots: usize) -> Settings {
        Settings {
            interpreter,
            sdk_dir,
            slots,
            directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            environment: environment(),
            memory_bytes: None,
            start_limit: Duration::from_secs(30),
            idle_for: Duration::from_secs(300),
        }
    }

    pub(super) fn command(&self, module: &str) -> Command {
        command(&self.interpreter, &self.sdk_dir, &self.environment, module)
    }
}

/// A command that runs a module of our package and sees nothing else of ours.
pub(super) fn command(
    interpreter: &Interpreter,
    root: &Path,
    environment: &[(OsString, OsString)],
    module: &str,
) -> Command {
    let mut command = Command::new(&interpreter.program);
    command
        .args(["-m", module])
        // `-m` puts the working directory first on the path: nothing else may be found there.
        .current_dir(root)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("PYTHONPATH", root)
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
