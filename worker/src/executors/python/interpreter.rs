//! Which Python runs integrations, and what its processes see of our environment.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

/// The oldest Python that works.
pub const OLDEST: (u8, u8) = (3, 10);

const PATIENCE: Duration = Duration::from_secs(30);

const QUESTION: &str = "import sys; print(*sys.version_info[:2], sys.executable)";

/// A Python interpreter that was found to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The executable itself, not a launcher in front of it.
    pub program: PathBuf,
    /// Major and minor version.
    pub version: (u8, u8),
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    #[error("cannot run the Python interpreter {}: {reason}; set NEENA_PYTHON to one", program.display())]
    Unusable { program: PathBuf, reason: String },
    #[error(
        "{} is Python {}.{}, but integrations need {}.{} or newer; set NEENA_PYTHON to one",
        program.display(), version.0, version.1, OLDEST.0, OLDEST.1
    )]
    TooOld { program: PathBuf, version: (u8, u8) },
}

impl Interpreter {
    /// The interpreter `NEENA_PYTHON` names, else `python3`.
    pub async fn find() -> Result<Interpreter, InterpreterError> {
        let named = env::var_os("NEENA_PYTHON").filter(|name| !name.is_empty());
        Interpreter::check(Path::new(&named.unwrap_or_else(|| "python3".into()))).await
    }

    /// Asks `program` which Python it is.
    pub async fn check(program: &Path) -> Result<Interpreter, InterpreterError> {
        let unusable = |reason: String| InterpreterError::Unusable {
            program: program.to_owned(),
            reason,
        };
        let mut command = Command::new(program);
        command
            .args(["-c", QUESTION])
            .env_remove("PYTHONPATH")
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .map_err(|_| unusable(format!("no answer in {PATIENCE:?}")))?
            .map_err(|error| unusable(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = parse(&text).filter(|_| output.status.success());
        let (version, executable) =
            said.ok_or_else(|| unusable(format!("it answered {:?}", text.trim())))?;
        if version < OLDEST {
            return Err(InterpreterError::TooOld {
                program: program.to_owned(),
                version,
            });
        }
        Ok(Interpreter {
            program: executable,
            version,
        })
    }
}

fn parse(text: &str) -> Option<((u8, u8), PathBuf)> {
    let mut parts = text.trim().splitn(3, ' ');
    let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((
        version,
        parts.next().filter(|path| !path.is_empty())?.into(),
    ))
}

/// What a host process sees of the server's environment: `PATH`, `HOME`, `LANG`, and the variables
/// whose names `NEENA_INTEGRATION_ENV` lists, separated by commas. Nothing else, so no secret of the
/// server's own.
pub fn environment() -> Vec<(OsString, OsString)> {
    let named = env::var("NEENA_INTEGRATION_ENV").unwrap_or_default();
    ["PATH", "HOME", "LANG"]
        .into_iter()
        .chain(
            named
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty()),
        )
        .filter_map(|name| Some((name.into(), env::var_os(name)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_version_and_a_path_that_may_hold_blanks() {
        let found = parse("3 12 /opt/my python/bin/python3\n");
        assert_eq!(found, Some(((3, 12), "/opt/my python/bin/python3".into())));
        for text in ["", "3", "3 12", "3 12 ", "three 12 /x", "Python 3.12"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
