//! A directory of its own for each test, and the program run in it.

use std::path::Path;
use std::process::{Command, Output};

/// The working directory of a test.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// An empty directory.
    pub fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file into it.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs the program there, with no `NEENA_…` variable but these.
    pub fn neena(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neena"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEENA_") {
                command.env_remove(name);
            }
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .args(args)
            .envs(env.iter().copied())
            .current_dir(self.path())
            .output()
            .unwrap();
        Said {
            code: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
}
