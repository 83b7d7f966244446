//! The directory that keeps everything of one machine: database, secret, local token, and the lock
//! that lets one process at a time serve it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use neena_api::auth::Secret;

use crate::config;

/// The directory, made if it was not there.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// Held as long as the process serves the directory; the operating system frees it with the process.
#[derive(Debug)]
pub struct Lock {
    // Dropping the file frees the lock.
    _file: File,
}

impl DataDir {
    /// Opens the directory; what has to be made can be read by its owner only.
    pub fn open(path: &Path) -> anyhow::Result<DataDir> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot use the data directory {}", path.display()))?;
        Ok(DataDir { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("neena.db")
    }

    /// Locks the directory for this process, or says that another one serves it.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.path.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Only for the message: whoever holds the lock is found either way.
                let _ = file.read_to_string(&mut owner);
                let owner = match owner.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                bail!(
                    "the data directory {} is in use by another neena{owner}",
                    self.path.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Lock { _file: file })
    }

    /// The secret of this directory that signs local tokens, made once.
    pub fn secret(&self) -> anyhow::Result<Secret> {
        let path = self.path.join("secret");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = Secret::random();
                make_once(&path, &String::from_utf8_lossy(fresh.expose()))
                    .with_context(|| format!("cannot write {}", path.display()))?
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Secret::new(text.trim()).with_context(|| path.display().to_string())
    }

    /// Writes the token that commands on this machine use.
    pub fn write_token(&self, token: &str) -> anyhow::Result<()> {
        let path = self.path.join("token");
        let fresh = self.path.join(format!("token.{}", std::process::id()));
        write_private(&fresh, token)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The secret that an option or NEENA_JWT_SECRET gives, unless it is weak.
pub fn given(secret: &config::Secret) -> anyhow::Result<Secret> {
    Secret::new(secret.expose()).context("NEENA_JWT_SECRET")
}

/// The token that a server left in its data directory, if it did.
pub fn token_of(path: &Path) -> Option<config::Secret> {
    fs::read_to_string(path.join("token")).ok()?.parse().ok()
}

/// Writes the file unless somebody else just did; answers what it holds.
fn make_once(path: &Path, text: &str) -> io::Result<String> {
    let fresh = path.with_extension(std::process::id().to_string());
    write_private(&fresh, text)?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Ok(()) => Ok(text.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}

/// A new file, whole on the disk, that only its owner reads.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[path = "data_dir/tests.rs"]
mod tests;
