//! `neena token`

use crate::harness::Place;

#[test]
fn a_token_is_all_that_is_printed() {
    let place = Place::new();
    let said = place.neena(
        &[
            "token",
            "--email",
            "a@b.c",
            "--permissions",
            "read,approve",
            "--ttl",
            "5m",
        ],
        &[],
    );
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(said.out.trim().split('.').count(), 3);
    assert_eq!(said.out.lines().count(), 1);
}

#[test]
fn a_given_secret_needs_no_data_directory_and_a_weak_one_is_refused() {
    let place = Place::new();
    let strong = ("NEENA_JWT_SECRET", "vaWEQbiGFDIjSbPuBXwZmVaeYDSHoqFe");
    assert_eq!(
        place.neena(&["token", "--email", "a@b.c"], &[strong]).code,
        0
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let said = place.neena(
        &["token", "--email", "a@b.c"],
        &[("NEENA_JWT_SECRET", "secret")],
    );
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "error: NEENA_JWT_SECRET: the secret is weak: it has fewer than 32 characters\n"
    );
}

#[test]
fn what_is_no_address_and_no_time_is_refused() {
    let place = Place::new();
    assert_eq!(place.neena(&["token", "--email", "nobody"], &[]).code, 2);
    assert_eq!(
        place
            .neena(&["token", "--email", "a@b.c", "--ttl", "soon"], &[])
            .code,
        2
    );
    assert_eq!(place.neena(&["token"], &[]).code, 2);
}
