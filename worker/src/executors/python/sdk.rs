//! The Python package, carried in the binary and written where an interpreter can import it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use uuid::Uuid;

#[derive(RustEmbed)]
#[folder = "../sdk/python/neena/"]
struct Files;

/// Writes the package below `folder`, under a name made of its content's digest, unless it is there
/// already. Returns the folder to put on `PYTHONPATH`: `folder/sdk-<digest>`, which holds `neena/`.
pub fn install(folder: &Path) -> io::Result<PathBuf> {
    let files = files();
    if !files.contains_key("host.py") {
        // A debug build reads its sources where it was built.
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it is not in this binary",
        ));
    }
    let root = std::path::absolute(folder)?.join(format!("sdk-{}", digest(&files)));
    if is_whole(&root, &files) {
        return Ok(root);
    }
    // Written aside, then renamed: nobody ever imports half a package.
    let aside = root.with_extension(format!("{}.new", Uuid::now_v7().simple()));
    write(&aside, &files)?;
    let damaged = aside.with_extension("old");
    if std::fs::rename(&root, &damaged).is_ok() {
        std::fs::remove_dir_all(&damaged)?;
    }
    match std::fs::rename(&aside, &root) {
        // Another process was faster.
        Err(_) if is_whole(&root, &files) => std::fs::remove_dir_all(&aside)?,
        renamed => renamed?,
    }
    Ok(root)
}

type Contents = BTreeMap<String, Vec<u8>>;

fn files() -> Contents {
    Files::iter()
        .filter(|name| name.ends_with(".py"))
        .filter_map(|name| Some((name.to_string(), Files::get(&name)?.data.into_owned())))
        .collect()
}

fn digest(files: &Contents) -> String {
    let mut hasher = Sha256::new();
    for (name, content) in files {
        hasher.update(name.len().to_be_bytes());
        hasher.update(name);
        hasher.update(content.len().to_be_bytes());
        hasher.update(content);
    }
    hasher
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_whole(root: &Path, files: &Contents) -> bool {
    let package = root.join("neena");
    files.iter().all(|(name, content)| {
        std::fs::read(package.join(name)).is_ok_and(|found| found == *content)
    })
}

fn write(root: &Path, files: &Contents) -> io::Result<()> {
    for (name, content) in files {
        let path = root.join("neena").join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_written_once_and_mended_where_it_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let root = install(folder.path()).unwrap();
        let host = root.join("neena/host.py");
        let written = std::fs::read(&host).unwrap();
        assert_eq!(install(folder.path()).unwrap(), root);

        std::fs::write(&host, "half").unwrap();
        assert_eq!(install(folder.path()).unwrap(), root);
        assert_eq!(std::fs::read(&host).unwrap(), written);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left aside"
        );
    }
}
