//! Who brings the schema up to date, and who refuses to work on another one.

use std::process::{Child, Stdio};

use crate::harness::Place;

/// Runs the program to its end; what it said on standard error.
fn refused(place: &Place, args: &[&str]) -> String {
    let said = place.neena().args(args).output().unwrap();
    assert_eq!(said.status.code(), Some(2), "{args:?}: {said:?}");
    assert!(said.stdout.is_empty(), "{args:?}: {said:?}");
    String::from_utf8(said.stderr).unwrap()
}

#[test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
fn four_migrations_at_once_bring_the_schema_up_to_date_once() {
    let place = Place::bare_cluster();
    let start = |_| {
        let mut command = place.neena();
        command.args(["migrate", "--json"]).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let started: Vec<Child> = (0..4).map(start).collect();
    let applied: Vec<u64> = started
        .into_iter()
        .map(|child| {
            let said = child.wait_with_output().unwrap();
            assert!(said.status.success(), "{said:?}");
            let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            said["applied"].as_u64().unwrap()
        })
        .collect();
    let busy = applied.iter().filter(|count| **count > 0).count();
    assert_eq!(busy, 1, "{applied:?}");
    drop(place.api());
}

#[test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
fn on_an_older_schema_the_api_and_workers_name_the_command_that_helps() {
    let place = Place::bare_cluster();
    for role in ["api", "worker"] {
        let said = refused(&place, &[role]);
        assert!(said.contains("is older than this program"), "{said}");
        assert!(said.contains("run `neena migrate` first"), "{said}");
    }
    // It needs nobody's help.
    drop(place.alone());
    drop(place.api());
}

#[test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
fn a_newer_schema_is_left_alone_by_all() {
    let place = Place::cluster();
    place.ground().execute(
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m30000101_000001_wings', 0)",
    );
    for role in ["api", "worker", "serve", "migrate"] {
        let said = refused(&place, &[role]);
        assert!(said.contains("newer than this program"), "{said}");
        assert!(said.contains("m30000101_000001_wings"), "{said}");
    }
}

#[test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
fn a_wrong_address_stops_with_one_line_without_the_password() {
    let password = "hunter2-hunter2";
    let gone = Place::bare_cluster().ground().database.clone();
    let amqp = Place::bare_cluster().ground().amqp.clone();
    for (name, url) in [
        (
            "NEENA_DATABASE_URL",
            format!("mysql://neena:{password}@127.0.0.1/neena"),
        ),
        (
            "NEENA_DATABASE_URL",
            format!("postgres://neena:{password}@127.0.0.1:many/neena"),
        ),
        ("NEENA_DATABASE_URL", with_password(&gone, password)),
        (
            "NEENA_AMQP_URL",
            format!("http://neena:{password}@127.0.0.1/"),
        ),
        ("NEENA_AMQP_URL", with_password(&amqp, password)),
    ] {
        let mut place = Place::cluster();
        place.set(name, &url);
        place.set("NEENA_LOG", "error");
        for role in ["api", "worker"] {
            let said = refused(&place, &[role]);
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("cannot be used: "), "{said}");
            assert!(!said.contains(password), "{said}");
        }
    }
}

/// The URL as somebody else, with a password.
fn with_password(url: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    format!("{scheme}://neena:{password}@{place}")
}
