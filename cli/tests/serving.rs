//! `neena serve`: its directory, its token, and a second process.

use std::os::unix::fs::PermissionsExt;

use crate::harness::Place;

#[test]
fn a_second_server_on_the_same_directory_is_told_which_one() {
    let place = Place::new();
    let _server = place.serve();
    for args in [
        &["serve", "--bind", "127.0.0.1:0", "--log", "error"][..],
        &["migrate"],
    ] {
        let said = place.neena(args, &[]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(
            said.err.contains("neena-data is in use by another neena"),
            "{said:?}"
        );
    }
}

#[test]
fn the_token_it_leaves_permits_everything_and_outlives_a_restart() {
    let place = Place::new();
    drop(place.serve());
    let token = place.path().join("neena-data/token");
    let mode = std::fs::metadata(&token).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(token).unwrap();
    let server = place.serve();
    let said = place.neena(
        &["runs"],
        &[("NEENA_URL", &server.url), ("NEENA_TOKEN", &token)],
    );
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn without_a_token_the_answer_says_how_to_give_one() {
    let place = Place::new();
    let server = place.serve();
    let said = Place::new().neena(&["runs"], &[("NEENA_URL", &server.url)]);
    assert_eq!(said.code, 2);
    assert!(
        said.err
            .contains("Not authenticated: give a token with --token, NEENA_TOKEN"),
        "{said:?}"
    );
}

#[test]
fn a_token_without_the_permission_is_refused() {
    let place = Place::new();
    let server = place.serve();
    let token = place
        .neena(
            &["token", "--email", "a@b.c", "--permissions", "write"],
            &[],
        )
        .out;
    let said = server.neena(&["runs", "--token", &token]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (2, "error: The permission `read` is needed\n")
    );
}

#[test]
fn a_directory_can_be_migrated_before_it_is_served() {
    let place = Place::new();
    let said = place.neena(&["migrate"], &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        place
            .neena(&["migrate"], &[])
            .out
            .contains("(0 migrations applied)")
    );
    drop(place.serve());
}
