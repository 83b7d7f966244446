#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use serde_json::json;

use super::options::Flow;
use super::values::{Metadata, Ttl};
use super::*;

/// The command that these flags and this settings file ask for.
fn with_file(file: &str, args: &[&str]) -> Result<Cli, String> {
    let command = file::with_defaults(Cli::command(), Path::new("neena.toml"), file)
        .map_err(|error| error.to_string())?;
    let args = std::iter::once("neena").chain(args.iter().copied());
    let matches = command
        .try_get_matches_from(args)
        .map_err(|error| error.to_string())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn serve(file: &str, args: &[&str]) -> Serve {
    let args: Vec<&str> = std::iter::once("serve")
        .chain(args.iter().copied())
        .collect();
    match with_file(file, &args).unwrap().command {
        Command::Serve(serve) => serve,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_tree_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn without_file_and_flags_the_defaults_hold() {
    let serve = serve("", &[]);
    assert_eq!(serve.data.data_dir, PathBuf::from("./neena-data"));
    assert_eq!(serve.bind.bind, "127.0.0.1:8080");
    assert_eq!(serve.times.lease_seconds, 10);
    assert_eq!(serve.times.grace_seconds, 30);
    assert_eq!(serve.durability, Durability::Full);
    assert!(serve.work.integrations.is_empty());
}

#[test]
fn the_file_wins_over_defaults_and_flags_win_over_the_file() {
    let file = "bind = \"127.0.0.1:9000\"\nworker_concurrency = 7\ndurability = \"fast\"\nintegrations = [\"a.py\", \"b\"]";
    let from_file = serve(file, &[]);
    assert_eq!(from_file.bind.bind, "127.0.0.1:9000");
    assert_eq!(from_file.work.worker_concurrency, 7);
    assert_eq!(from_file.durability, Durability::Fast);
    assert_eq!(
        from_file.work.integrations,
        [PathBuf::from("a.py"), PathBuf::from("b")]
    );
    let with_flags = serve(
        file,
        &["--bind", "127.0.0.1:9001", "--integrations", "c.py:d.py"],
    );
    assert_eq!(with_flags.bind.bind, "127.0.0.1:9001");
    assert_eq!(with_flags.work.worker_concurrency, 7);
    assert_eq!(
        with_flags.work.integrations,
        [PathBuf::from("c.py"), PathBuf::from("d.py")]
    );
}

#[test]
fn a_setting_of_the_file_reaches_every_command_that_has_it() {
    let file = "data_dir = \"/var/lib/neena\"\njson = true";
    let cli = with_file(file, &["token", "--email", "a@b.c"]).unwrap();
    assert!(cli.json);
    assert!(
        matches!(cli.command, Command::Token(token) if token.data.data_dir == Path::new("/var/lib/neena"))
    );
    let cli = with_file(file, &["flow", "list"]).unwrap();
    let Command::Flow(Flow {
        command: FlowCommand::List(list),
    }) = cli.command
    else {
        panic!()
    };
    assert_eq!(list.server.data.data_dir, Path::new("/var/lib/neena"));
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_if_it_were_not_set() {
    let command = without(Cli::command(), &["NEENA_INTEGRATIONS".into()]);
    let env = |name: &str| {
        let worker = command.find_subcommand("worker").unwrap();
        let arg = worker.get_arguments().find(|arg| arg.get_id() == name);
        arg.unwrap().get_env().map(OsString::from)
    };
    assert_eq!(env("integrations"), None);
    assert_eq!(env("worker_name"), Some("NEENA_WORKER_NAME".into()));
}

#[test]
fn an_unknown_key_stops_with_one_line_that_names_it() {
    assert_eq!(
        with_file("worker_concurency = 3", &["serve"]).unwrap_err(),
        "neena.toml: unknown key `worker_concurency` (did you mean `worker_concurrency`?)"
    );
    assert_eq!(
        with_file("colour = 3", &["serve"]).unwrap_err(),
        "neena.toml: unknown key `colour`"
    );
    assert_eq!(
        with_file("config = \"x\"", &["serve"]).unwrap_err(),
        "neena.toml: unknown key `config`"
    );
}

#[test]
fn a_bad_value_stops_with_one_line_that_names_key_and_value() {
    for (file, line) in [
        (
            "worker_concurrency = 0",
            "`worker_concurrency`: invalid value '0': 0 is not in 1..=100000",
        ),
        (
            "durability = \"most\"",
            "`durability`: invalid value 'most'",
        ),
        (
            "bind = \"nowhere\"",
            "`bind`: invalid value 'nowhere': give HOST:PORT, such as 127.0.0.1:8080",
        ),
        (
            "bind = [\"a:1\", \"b:2\"]",
            "`bind`: it takes one value, not a list",
        ),
        ("bind = {}", "`bind`: a table is no value of a setting"),
        (
            "json = \"perhaps\"",
            "`json`: invalid value 'perhaps': value was not a boolean",
        ),
    ] {
        assert_eq!(
            with_file(file, &["serve"]).unwrap_err(),
            format!("neena.toml: {line}"),
            "{file}"
        );
    }
}

#[test]
fn a_file_that_is_no_toml_stops_with_its_line() {
    let error = with_file("bind = \"127.0.0.1:1\"\nwhat is this", &["serve"]).unwrap_err();
    assert!(error.starts_with("neena.toml: line 2: "), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn a_file_that_was_asked_for_must_be_there_and_the_usual_one_need_not() {
    let missing = PathBuf::from("/nowhere/neena.toml");
    assert!(file::apply(Cli::command(), Some(missing)).is_err());
    let chosen = |words: &[&str], variable: Option<&str>| {
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        file::chosen(&args, variable.map(OsString::from))
    };
    let named = Some(PathBuf::from("x.toml"));
    let flag = ["neena", "--config", "x.toml", "serve"];
    assert_eq!(chosen(&flag, None), named);
    assert_eq!(chosen(&flag, Some("y.toml")), named);
    assert_eq!(chosen(&["neena", "serve", "--config=x.toml"], None), named);
    let of_the_program = ["neena", "serve", "--", "--config=x.toml"];
    assert_eq!(chosen(&of_the_program, None), None);
    assert_eq!(chosen(&of_the_program, Some("")), None);
    assert_eq!(chosen(&["neena", "serve"], Some("x.toml")), named);
}

#[test]
fn secrets_show_up_neither_in_help_nor_in_debug_output() {
    let secret = "vaWEQbiGFDIjSbPuBXwZmVaeYDSHoqFe";
    let command = file::with_defaults(
        Cli::command(),
        Path::new("f"),
        &format!("jwt_secret = \"{secret}\"\ntoken = \"{secret}\""),
    )
    .unwrap();
    for command_name in ["serve", "token", "runs"] {
        let mut command = command.clone();
        let help = command
            .find_subcommand_mut(command_name)
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(!help.contains(secret), "{help}");
    }
    let cli = with_file(&format!("jwt_secret = \"{secret}\""), &["serve"]).unwrap();
    let Command::Serve(serve) = &cli.command else {
        panic!()
    };
    assert_eq!(serve.issuer.jwt_secret.as_ref().unwrap().expose(), secret);
    assert!(!format!("{cli:?}").contains(secret));
}

#[test]
fn every_setting_is_told_with_its_variable() {
    for (key, arg) in file::settings(&Cli::command()) {
        assert!(arg.get_help().is_some(), "{key} has no help");
        assert_eq!(arg.get_long().unwrap().replace('-', "_"), key);
    }
}

#[test]
fn times_to_live_take_a_number_and_a_unit() {
    let seconds = |text: &str| text.parse::<Ttl>().map(|ttl| ttl.0.as_secs());
    assert_eq!(seconds("90s"), Ok(90));
    assert_eq!(seconds("15m"), Ok(900));
    assert_eq!(seconds("1h"), Ok(3600));
    assert_eq!(
        "30d".parse::<Ttl>().unwrap().0,
        Duration::from_secs(30 * 86_400)
    );
    for wrong in [
        "",
        "h",
        "0s",
        "1.5h",
        "1w",
        "-1h",
        "99999999d",
        "18446744073709551615d",
    ] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn metadata_is_json_where_it_is_json_and_text_otherwise() {
    let metadata = |text: &str| text.parse::<Metadata>().map(|metadata| json!(metadata.0));
    assert_eq!(metadata("path=/srv/x"), Ok(json!({"path": "/srv/x"})));
    assert_eq!(metadata("limit=5"), Ok(json!({"limit": 5})));
    assert_eq!(metadata("list=[1, \"a\"]"), Ok(json!({"list": [1, "a"]})));
    assert_eq!(metadata("a=b=c"), Ok(json!({"a": "b=c"})));
    assert_eq!(metadata("empty="), Ok(json!({"empty": ""})));
    assert_eq!(metadata("{\"a\": 1}"), Ok(json!({"a": 1})));
    assert!(metadata("{\"a\": ").is_err());
    assert!(metadata("alone").is_err());
    assert!(metadata("=value").is_err());
}
