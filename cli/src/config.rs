//! Every option of the program, in one place: flags over environment over `neena.toml` over defaults.
//!
//! clap reads flags, environment and defaults; the values of the file become clap defaults before it
//! does ([`file`]), so that one mechanism decides and `--help` shows what is in force.

mod file;
mod options;
mod reach;
mod roles;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches};

pub use options::{
    Apply, Approve, Cli, Command, Completions, Decide, DecisionsCommand, DecisionsExport,
    DecisionsList, FileToCheck, FlowCommand, Issuer, List, PlanCommand, PlanExport, Reject, Run,
    Runs, Saying, Server, Sync, Token,
};
pub use reach::ReachOptions;
pub use roles::{
    Api, BindOption, BrokerOptions, DatabaseOptions, Durability, Migrate, Serve, WorkOptions,
    Worker,
};
pub use values::Secret;

/// Why the command line does not become a command.
#[derive(Debug)]
pub enum Stop {
    /// clap's own: help, version, or what is wrong with the flags.
    Usage(clap::Error),
    /// The settings file cannot be used.
    File(file::FileError),
}

impl Stop {
    /// Prints it; help and version are no failure, anything else is exit code 2.
    pub fn report(self) -> ExitCode {
        match self {
            Stop::Usage(error) => {
                // Nothing is left to tell when the terminal itself is gone.
                let _ = error.print();
                if error.use_stderr() {
                    ExitCode::from(2)
                } else {
                    ExitCode::SUCCESS
                }
            }
            Stop::File(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        }
    }
}

/// The command that `args` (the program's name first), the environment and the file ask for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let args: Vec<OsString> = args.into_iter().collect();
    let named = file::chosen(&args, std::env::var_os("NEENA_CONFIG"));
    let command = file::apply(Cli::command(), named).map_err(Stop::File)?;
    let command = without(command, &empty_variables());
    let matches = command.try_get_matches_from(args).map_err(Stop::Usage)?;
    Cli::from_arg_matches(&matches).map_err(Stop::Usage)
}

/// Variables that are set to nothing, as environment files and compose files do.
fn empty_variables() -> Vec<OsString> {
    std::env::vars_os()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| name)
        .collect()
}

/// The command as if these variables were not set.
fn without(command: clap::Command, variables: &[OsString]) -> clap::Command {
    let reads = |arg: &Arg| {
        arg.get_env()
            .is_some_and(|env| variables.iter().any(|v| v == env))
    };
    let ids: Vec<clap::Id> = command
        .get_arguments()
        .filter(|arg| reads(arg))
        .map(|arg| arg.get_id().clone())
        .collect();
    let command = ids.iter().fold(command, |command, id| {
        command.mut_arg(id, |arg| arg.env(None))
    });
    command.mut_subcommands(|sub| without(sub, variables))
}

/// Variables that are read elsewhere: the settings file's own, and what Python tasks may see.
const READ_ELSEWHERE: [&str; 2] = ["config", "integration_env"];

/// Warns of each `NEENA_…` variable that nothing reads: most likely a misspelt one.
pub fn warn_of_unknown_variables() {
    let known = file::settings(&Cli::command());
    for (name, _) in std::env::vars_os() {
        let Some(key) = name.to_str().and_then(|name| name.strip_prefix("NEENA_")) else {
            continue;
        };
        let key = key.to_lowercase();
        let read = known.contains_key(&key) || READ_ELSEWHERE.contains(&key.as_str());
        // Tests have variables of their own.
        if !read && !key.starts_with("test_") {
            eprintln!(
                "warning: {} is no setting of this version and is ignored",
                name.display()
            );
        }
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
