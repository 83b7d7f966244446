//! The directory that keeps everything of one machine: database, secret, local token, and the lock
//! that lets one process at a time serve it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::Secret;

/// A secret shorter than this is refused: HS256 wants a key of at least 256 bits (RFC 7518, 3.2).
const SECRET_CHARACTERS: usize = 32;

/// Words of secrets that stand in tutorials and templates.
const EXAMPLES: [&str; 6] = [
    "your-256-bit-secret",
    "your-secret",
    "a-string-secret-at-least-256-bits-long",
    "changeme",
    "change-me",
    "valid_api_key",
];

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
        let secret = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_once(&path, &random()?)
                    .with_context(|| format!("cannot write {}", path.display()))?
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let secret = Secret::from(secret.trim().to_owned());
        strong(&secret).with_context(|| path.display().to_string())?;
        Ok(secret)
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
pub fn given(secret: &Secret) -> anyhow::Result<Secret> {
    strong(secret).context("NEENA_JWT_SECRET")?;
    Ok(secret.clone())
}

/// The token that a server left in its data directory, if it did.
pub fn token_of(path: &Path) -> Option<Secret> {
    fs::read_to_string(path.join("token")).ok()?.parse().ok()
}

/// Refuses what can be guessed: short ones, examples, and the same few characters again and again.
fn strong(secret: &Secret) -> anyhow::Result<()> {
    let text = secret.expose();
    if text.chars().count() < SECRET_CHARACTERS {
        bail!("the secret is weak: it has fewer than {SECRET_CHARACTERS} characters");
    }
    let lower = text.to_lowercase();
    if EXAMPLES.iter().any(|example| lower.contains(example)) {
        bail!("the secret is weak: it is a well-known example");
    }
    let mut distinct: Vec<char> = text.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 6 {
        bail!("the secret is weak: it repeats a few characters");
    }
    Ok(())
}

/// 32 random bytes in hexadecimal.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("the operating system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
