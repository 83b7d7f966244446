//! What each command does.

mod approvals;
mod approve;
mod completions;
pub mod dead;
mod decide;
mod decisions;
mod flow;
pub mod key;
mod migrate;
mod plan;
mod run;
mod runs;
mod sync;
mod token;

use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use crate::config::{Cli, Command, DecisionsCommand, FlowCommand, PlanCommand};
use crate::roles;
use crate::table;
use crate::view::Run;

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// All is well: exit code 0.
    Well,
    /// A run that was watched failed or was cancelled: exit code 1.
    RunFailed,
}

impl Done {
    /// What a run's state means for the command that watched it.
    fn of(run: &Run) -> Done {
        if run.is_completed() {
            Done::Well
        } else {
            Done::RunFailed
        }
    }
}

/// Carries the command out. Anything that goes wrong is told on standard error: exit code 2.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::RunFailed) => ExitCode::from(1),
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("error: {line}");
            }
            ExitCode::from(2)
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Done> {
    let json = cli.json;
    match cli.command {
        Command::Serve(options) => many_threads()?
            .block_on(roles::serve(options))
            .map(|()| Done::Well),
        Command::Api(options) => many_threads()?
            .block_on(roles::api(options))
            .map(|()| Done::Well),
        Command::Worker(options) => many_threads()?
            .block_on(roles::worker(options))
            .map(|()| Done::Well),
        Command::Migrate(options) => one_thread()?.block_on(migrate::run(options, json)),
        Command::Token(options) => token::run(&options, json),
        Command::Key(options) => key::run(&options, json),
        Command::Dead(options) => one_thread()?.block_on(dead::run(options, json)),
        Command::Sync(options) => one_thread()?.block_on(sync::run(options, json)),
        Command::Flow(flow) => match flow.command {
            FlowCommand::Apply(options) => one_thread()?.block_on(flow::apply(options, json)),
            FlowCommand::List(options) => one_thread()?.block_on(flow::list(options, json)),
        },
        Command::Run(options) => one_thread()?.block_on(run::run(options, json)),
        Command::Approvals(options) => one_thread()?.block_on(approvals::run(options, json)),
        Command::Approve(options) => one_thread()?.block_on(approve::approve(options, json)),
        Command::Reject(options) => one_thread()?.block_on(approve::reject(options, json)),
        Command::Cancel(options) => one_thread()?.block_on(decide::plain("cancel", options, json)),
        Command::Retry(options) => one_thread()?.block_on(decide::plain("retry", options, json)),
        Command::Runs(options) => one_thread()?.block_on(runs::run(options, json)),
        Command::Plan(options) => match options.command {
            PlanCommand::Export(options) => one_thread()?.block_on(plan::export(options)),
            PlanCommand::Verify(options) => plan::verify(&options, json),
        },
        Command::Decisions(options) => match options.command {
            DecisionsCommand::List(options) => {
                one_thread()?.block_on(decisions::list(options, json))
            }
            DecisionsCommand::Export(options) => one_thread()?.block_on(decisions::export(options)),
            DecisionsCommand::Verify(options) => decisions::verify(&options, json),
        },
        Command::Completions(options) => completions::run(&options),
    }
}

/// For a server.
fn many_threads() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// For a client: it mostly waits.
fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Prints for programs.
fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints a line or more on standard output. A reader that went away (`neena runs | head`) is no
/// failure worth telling.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The text of a file to be checked; `-` is standard input.
fn text_of(file: &std::path::Path) -> anyhow::Result<String> {
    use std::io::Read;
    if file != std::path::Path::new("-") {
        return std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()));
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("cannot read standard input")?;
    Ok(text)
}

/// Prints what a run gave: as it is for programs, harmless for a terminal.
fn print_result(body: &str) -> anyhow::Result<()> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        print(&table::harmless(body))
    } else {
        print(body)
    }
}
