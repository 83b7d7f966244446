#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_secret_is_made_once_and_only_its_owner_reads_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("data");
    let first = DataDir::open(&path).unwrap().secret().unwrap();
    let second = DataDir::open(&path).unwrap().secret().unwrap();
    assert_eq!(first.expose(), second.expose());
    assert_eq!(first.expose().len(), 64);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("secret")), 0o600);
    let other = DataDir::open(&temp.path().join("other"))
        .unwrap()
        .secret()
        .unwrap();
    assert_ne!(first.expose(), other.expose());
}

#[test]
fn many_that_make_the_secret_at_once_all_get_the_same() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("secret");
    let made = make_once(&path, "first").unwrap();
    assert_eq!(
        (made.as_str(), make_once(&path, "second").unwrap().as_str()),
        ("first", "first")
    );
    assert_eq!(
        fs::read_dir(temp.path()).unwrap().count(),
        1,
        "nothing is left lying about"
    );
}

#[test]
fn weak_secrets_are_refused_wherever_they_come_from() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    for weak in [
        "short",
        "1234567890123456789012345678901",
        "changeme-changeme-changeme-changeme-1234",
    ] {
        assert!(given(&weak.parse().unwrap()).is_err(), "{weak}");
        fs::write(temp.path().join("secret"), weak).unwrap();
        assert!(dir.secret().is_err(), "{weak}");
    }
    assert!(given(&"vaWEQbiGFDIjSbPuBXwZmVaeYDSHoqFe".parse().unwrap()).is_ok());
}

#[test]
fn a_second_process_is_told_which_directory_is_in_use() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let lock = dir.lock().unwrap();
    let refused = dir.lock().unwrap_err().to_string();
    assert!(
        refused.contains(&dir.path().display().to_string()),
        "{refused}"
    );
    assert!(
        refused.contains(&std::process::id().to_string()),
        "{refused}"
    );
    drop(lock);
    dir.lock().unwrap();
}

#[test]
fn the_token_of_a_directory_is_replaced_whole() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    assert_eq!(token_of(temp.path()), None);
    dir.write_token("one").unwrap();
    dir.write_token("two").unwrap();
    assert_eq!(token_of(temp.path()).unwrap().expose(), "two");
    assert_eq!(mode(&temp.path().join("token")), 0o600);
}
