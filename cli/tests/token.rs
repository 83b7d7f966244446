//! `neena token`

use neena_api::auth::{Permission, Secret, TokenRules, Verifier};

use crate::harness::Place;

const SECRET: &str = "vaWEQbiGFDIjSbPuBXwZmVaeYDSHoqFe";

#[test]
fn a_token_is_all_that_is_printed_and_the_server_takes_it() {
    let args = [
        "token",
        "--email",
        "a@b.c",
        "--permissions",
        "read,approve",
        "--organization",
        "acme",
    ];
    let said = Place::new().neena(&args, &[("NEENA_JWT_SECRET", SECRET)]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(said.out.lines().count(), 1);
    let secret = Secret::new(SECRET).unwrap();
    let rules = TokenRules {
        secret,
        issuer: "neena".into(),
        audience: "neena".into(),
    };
    let identity = Verifier::new(&rules).verify(said.out.trim()).unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.email.as_str()),
        ("local|a@b.c", "a@b.c")
    );
    assert_eq!(identity.organization.as_deref(), Some("acme"));
    assert!(identity.permissions.grant(Permission::Approve));
    assert!(!identity.permissions.grant(Permission::Write));
}

#[test]
fn a_given_secret_needs_no_data_directory_and_a_weak_one_is_refused() {
    let place = Place::new();
    let strong = ("NEENA_JWT_SECRET", SECRET);
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
        "error: NEENA_JWT_SECRET: the secret that signs tokens is shorter than 32 bytes\n"
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
    assert_eq!(
        place
            .neena(
                &["token", "--email", "a@b.c", "--permissions", "everything"],
                &[]
            )
            .code,
        2
    );
    assert_eq!(place.neena(&["token"], &[]).code, 2);
}
