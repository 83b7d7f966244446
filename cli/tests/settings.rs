//! Flags over environment over `neena.toml`.

use crate::harness::Place;

/// The data directory that `neena token` uses: the one that has a secret afterwards.
fn used(place: &Place, args: &[&str], env: &[(&str, &str)]) -> String {
    let args: Vec<&str> = ["token", "--email", "a@b.c"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    let said = place.neena(&args, env);
    assert_eq!(said.code, 0, "{said:?}");
    let mut made = Vec::new();
    for name in ["file", "env", "flag", "neena-data"] {
        if place.path().join(name).join("secret").exists() {
            made.push(name);
        }
    }
    assert_eq!(made.len(), 1, "{made:?}");
    made[0].to_owned()
}

#[test]
fn the_default_holds_where_nothing_is_said() {
    assert_eq!(used(&Place::new(), &[], &[]), "neena-data");
}

#[test]
fn the_file_of_the_current_directory_is_read() {
    let place = Place::new();
    place.file("neena.toml", "data_dir = \"file\"");
    assert_eq!(used(&place, &[], &[]), "file");
}

#[test]
fn the_environment_wins_over_the_file() {
    let place = Place::new();
    place.file("neena.toml", "data_dir = \"file\"");
    assert_eq!(used(&place, &[], &[("NEENA_DATA_DIR", "env")]), "env");
}

#[test]
fn a_flag_wins_over_the_environment() {
    let place = Place::new();
    place.file("neena.toml", "data_dir = \"file\"");
    assert_eq!(
        used(
            &place,
            &["--data-dir", "flag"],
            &[("NEENA_DATA_DIR", "env")]
        ),
        "flag"
    );
}

#[test]
fn another_file_can_be_named_by_flag_or_environment() {
    let place = Place::new();
    place.file("neena.toml", "data_dir = \"neena-data\"");
    place.file("other.toml", "data_dir = \"file\"");
    assert_eq!(used(&place, &["--config", "other.toml"], &[]), "file");
    let place = Place::new();
    place.file("other.toml", "data_dir = \"file\"");
    assert_eq!(used(&place, &[], &[("NEENA_CONFIG", "other.toml")]), "file");
}

#[test]
fn an_unknown_key_and_a_bad_value_stop_with_one_line() {
    for (text, line) in [
        ("colour = 1", "error: neena.toml: unknown key `colour`\n"),
        (
            "worker_runs = 0",
            "error: neena.toml: `worker_runs`: invalid value '0': 0 is not in 1..=100000\n",
        ),
    ] {
        let place = Place::new();
        place.file("neena.toml", text);
        let said = place.neena(&["token", "--email", "a@b.c"], &[]);
        assert_eq!((said.code, said.err.as_str()), (2, line));
        assert!(
            !place.path().join("neena-data").exists(),
            "nothing was done"
        );
    }
}

#[test]
fn an_unknown_variable_warns_and_a_bad_one_stops() {
    let place = Place::new();
    let said = place.neena(&["token", "--email", "a@b.c"], &[("NEENA_DATADIR", "x")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.err,
        "warning: NEENA_DATADIR is no setting of this version and is ignored\n"
    );
    let said = place.neena(&["serve"], &[("NEENA_WORKER_RUNS", "many")]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("'many'") && said.err.contains("--worker-runs"),
        "{}",
        said.err
    );
}

#[test]
fn help_tells_each_option_with_its_variable() {
    let said = Place::new().neena(&["serve", "--help"], &[]);
    assert_eq!(said.code, 0);
    for name in [
        "NEENA_BIND",
        "NEENA_CONFIG",
        "NEENA_DATA_DIR",
        "NEENA_DURABILITY",
        "NEENA_GRACE_SECONDS",
        "NEENA_INTEGRATIONS",
        "NEENA_JWT_AUDIENCE",
        "NEENA_JWT_ISSUER",
        "NEENA_JWT_SECRET",
        "NEENA_LEASE_SECONDS",
        "NEENA_LOG",
        "NEENA_PYTHON",
        "NEENA_WORKER_CONCURRENCY",
        "NEENA_WORKER_RUNS",
    ] {
        assert!(
            said.out.contains(&format!("[env: {name}")),
            "{name} is missing:\n{}",
            said.out
        );
    }
}
