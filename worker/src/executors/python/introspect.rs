//! Asks Python what integrations are at a path.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::interpreter::{Interpreter, environment};
use super::sdk;
use super::settings::command;

/// Importing everything may take this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A manifest is at most this many bytes; so is what is printed during an import.
const MAX_OUTPUT: u64 = 32 << 20;

/// One thing wrong with an integration, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IntegrationFault {
    pub path: PathBuf,
    pub line: Option<u32>,
    /// `syntax`, `import`, `definition`, `unsupported_hint`, `duplicate_short_name`, `not_found`, `nothing_found`.
    pub kind: String,
    pub message: String,
}

impl std::fmt::Display for IntegrationFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// Every fault found in the integrations.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<IntegrationFault>),
    #[error("cannot write the Python package: {0}")]
    Sdk(#[source] std::io::Error),
    #[error("cannot run {}: {error}", program.display())]
    Spawn {
        program: PathBuf,
        error: std::io::Error,
    },
    #[error("importing took longer than {PATIENCE:?}")]
    Timeout,
    #[error("introspection failed: {0}")]
    Failed(String),
}

/// The manifest of everything at `paths` (each a Python file, a package, or a folder of them), as
/// `PUT /integrations/sync` takes it. The Python package is written below `sdk_dir` if it is not there.
pub async fn introspect(
    python: &Interpreter,
    sdk_dir: &Path,
    paths: &[PathBuf],
) -> Result<Value, IntrospectError> {
    let root = sdk::install(sdk_dir).map_err(IntrospectError::Sdk)?;
    let mut command = command(python, &root, &environment(), "neena.introspect");
    for path in paths {
        command.arg(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut wrapped = CommandWrap::from(command);
    wrapped.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
    let mut child = wrapped.spawn().map_err(|error| IntrospectError::Spawn {
        program: python.program.clone(),
        error,
    })?;
    let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
    let done =
        tokio::time::timeout(PATIENCE, async { tokio::join!(all(stdout), all(stderr)) }).await;
    // Whatever an import left running goes with it.
    let _ = child.start_kill();
    let _ = child.wait().await;
    let (answer, printed) = done.map_err(|_| IntrospectError::Timeout)?;
    let printed = String::from_utf8_lossy(&printed);
    if !printed.trim().is_empty() {
        tracing::debug!(%printed, "printed while introspecting");
    }
    read(&answer).map_err(|error| match error {
        IntrospectError::Failed(why) => {
            IntrospectError::Failed(format!("{why}\n{}", printed.trim()))
        }
        error => error,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Errors { errors: Vec<IntegrationFault> },
    Manifest(Value),
}

fn read(answer: &[u8]) -> Result<Value, IntrospectError> {
    match serde_json::from_slice(answer) {
        Ok(Answer::Manifest(manifest)) => Ok(manifest),
        Ok(Answer::Errors { errors }) => Err(IntrospectError::Faults(errors)),
        Err(error) => Err(IntrospectError::Failed(error.to_string())),
    }
}

async fn all(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What could not be read is missing from the answer, and that is reported.
        let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    }
    bytes
}
