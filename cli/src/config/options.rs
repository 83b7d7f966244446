//! The commands and their options, as `--help` tells them.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use neena_api::auth::Permission;
use neena_api::auth::local::ISSUER_AND_AUDIENCE;

use crate::commands::dead::Dead;
use crate::commands::key::Key;

use super::roles::{Api, Migrate, Serve, Worker};
use super::values::{Metadata, Secret, Ttl, email, word};

/// Under which heading `--help` shows the options of all commands.
const EVERYWHERE: &str = "Options of every command";

/// Event-driven flow orchestration: what is approved is what runs.
///
/// Every setting is a flag, an environment variable (shown with it) and a key of neena.toml: the
/// variable's name in lower case without NEENA_ (data_dir, bind, …). Flags win over the environment,
/// the environment over the file.
#[derive(Debug, Parser)]
#[command(
    name = "neena",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Settings file; without it, neena.toml of the current directory where there is one.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "NEENA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on standard output; messages go to standard error.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "NEENA_JSON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: API, worker and database.
    Serve(Serve),
    /// Serve the API of an installation of many machines.
    Api(Api),
    /// Run tasks for an installation of many machines.
    Worker(Worker),
    /// Bring the database to this version, without serving.
    Migrate(Migrate),
    /// Print a signed bearer token.
    Token(Token),
    /// Print the key with which the tasks of an integration are signed, for a worker outside.
    Key(Key),
    /// Show, replay or delete messages that nobody could read or deliver.
    Dead(Dead),
    /// Register the tasks of integrations: introspected in Python, or declared in JSON.
    Sync(Sync),
    /// Create, edit and list flows.
    Flow(Flow),
    /// Make a request for a flow and a run of it.
    Run(Run),
    /// List what waits for your approval, the longest waiting first.
    Approvals(List),
    /// Show a run's plan, and what changed since the last approved one, and approve exactly that plan.
    Approve(Approve),
    /// Reject a run that waits for approval, or a gate inside one.
    Reject(Reject),
    /// Cancel a run.
    Cancel(Decide),
    /// Run again from the failed tasks, under the same plan and approval.
    Retry(Decide),
    /// List runs, or show one with its tasks and its result.
    Runs(Runs),
    /// Take a run's plan out as it is stored, and check such a file against its hash.
    Plan(Plan),
    /// Show, take out and check the log of decisions.
    Decisions(Decisions),
    /// Print a completion script for a shell.
    Completions(Completions),
}

/// Where the program keeps its files.
#[derive(Clone, Debug, Args)]
pub struct DataDirOption {
    /// Directory of the database, the secret that signs tokens, and the local token.
    #[arg(
        long,
        env = "NEENA_DATA_DIR",
        value_name = "DIR",
        default_value = "./neena-data"
    )]
    pub data_dir: PathBuf,
}

/// Who signs local tokens, and for whom.
#[derive(Clone, Debug, Args)]
pub struct Issuer {
    /// Secret of at least 32 characters that signs tokens; without it DIR/secret, made once.
    #[arg(
        long,
        env = "NEENA_JWT_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub jwt_secret: Option<Secret>,
    /// Issuer (`iss`) of the tokens.
    #[arg(long, env = "NEENA_JWT_ISSUER", value_name = "NAME", default_value = ISSUER_AND_AUDIENCE, value_parser = word)]
    pub jwt_issuer: String,
    /// Audience (`aud`) of the tokens.
    #[arg(long, env = "NEENA_JWT_AUDIENCE", value_name = "NAME", default_value = ISSUER_AND_AUDIENCE, value_parser = word)]
    pub jwt_audience: String,
}

/// `neena token`
#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub data: DataDirOption,
    /// Whose token it is.
    #[arg(long, value_name = "E-MAIL", value_parser = email)]
    pub email: String,
    /// What it permits, separated by commas (read, write, approve, admin); without it the server grants read and write.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub permissions: Option<Vec<Permission>>,
    /// Organization it acts for; without it the server's local one.
    #[arg(long, value_name = "ID", value_parser = word)]
    pub organization: Option<String>,
    /// How long it holds: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: Ttl,
    #[command(flatten)]
    pub issuer: Issuer,
}

/// The server that a command talks to.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// Base URL of the server.
    #[arg(
        long,
        env = "NEENA_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
    /// Bearer token; without it DIR/token of the data directory, where `serve` leaves one.
    #[arg(
        long,
        env = "NEENA_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub token: Option<Secret>,
    #[command(flatten)]
    pub data: DataDirOption,
}

/// `neena sync`
#[derive(Debug, Args)]
pub struct Sync {
    /// Python files, packages, or folders of them; JSON files that declare integrations of workers outside.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Python interpreter (3.10 or newer) that introspects them.
    #[arg(
        long,
        env = "NEENA_PYTHON",
        value_name = "PROGRAM",
        default_value = "python3"
    )]
    pub python: PathBuf,
    #[command(flatten)]
    pub server: Server,
}

/// `neena flow`
#[derive(Debug, Args)]
pub struct Flow {
    #[command(subcommand)]
    pub command: FlowCommand,
}

/// What to do with flows.
#[derive(Debug, Subcommand)]
pub enum FlowCommand {
    /// Create the flows of files, or edit the ones that have their names.
    Apply(Apply),
    /// List flows, newest first.
    List(List),
}

/// `neena flow apply`
#[derive(Debug, Args)]
pub struct Apply {
    /// Flows as JSON. An operation names its task by `task_definition` (an id) or by `task` ("core.echo").
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub server: Server,
}

/// A page of a list.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// How many to leave out, newest first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: u32,
    #[command(flatten)]
    pub server: Server,
}

/// `neena run`
#[derive(Debug, Args)]
pub struct Run {
    /// The flow, by id or by name.
    #[arg(value_name = "FLOW")]
    pub flow: String,
    /// What the request asks for, in 8 to 512 characters.
    #[arg(short, long, value_name = "TEXT")]
    pub instructions: String,
    /// Name of the request.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Input of the flow: KEY=VALUE (a VALUE that is JSON is taken as that, any other as text) or a JSON object.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Metadata>,
    /// Approve the run at once, after showing its plan.
    #[arg(long)]
    pub approve: bool,
    /// Stay and show the run's progress until it ends.
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub server: Server,
}

/// What is decided about, and what is said to it.
#[derive(Debug, Args)]
pub struct Saying {
    /// The run's id.
    #[arg(value_name = "RUN")]
    pub run: uuid::Uuid,
    /// Decide about the gate of this task (its name or key), not about the plan as a whole.
    #[arg(long, value_name = "NAME")]
    pub gate: Option<String>,
    /// The stage you speak for; needed only if you may speak for several.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Why: kept with the decision.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    #[command(flatten)]
    pub server: Server,
}

/// `neena approve`
#[derive(Debug, Args)]
pub struct Approve {
    #[command(flatten)]
    pub saying: Saying,
    /// What the gate asks for: a JSON object, or @FILE that holds one.
    #[arg(long, value_name = "JSON", requires = "gate")]
    pub answer: Option<String>,
    /// Do not ask again before the approval is sent.
    #[arg(short, long)]
    pub yes: bool,
    /// Stay and show the run's progress until it ends.
    #[arg(long)]
    pub watch: bool,
}

/// `neena reject`
#[derive(Debug, Args)]
pub struct Reject {
    #[command(flatten)]
    pub saying: Saying,
    /// Stay and show the run's progress until it ends.
    #[arg(long)]
    pub watch: bool,
}

/// `neena plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(subcommand)]
    pub command: PlanCommand,
}

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Print the plan of a run as it is stored: two canonical texts and their hashes, as JSON.
    Export(PlanExport),
    /// Compute the hash of an exported plan anew; needs no server.
    Verify(FileToCheck),
}

/// `neena plan export`
#[derive(Debug, Args)]
pub struct PlanExport {
    /// The run's id.
    #[arg(value_name = "RUN")]
    pub run: uuid::Uuid,
    #[command(flatten)]
    pub server: Server,
}

/// `neena decisions`
#[derive(Debug, Args)]
pub struct Decisions {
    #[command(subcommand)]
    pub command: DecisionsCommand,
}

/// What to do with the log of decisions.
#[derive(Debug, Subcommand)]
pub enum DecisionsCommand {
    /// List decisions, newest first.
    List(DecisionsList),
    /// Print the whole log as JSON lines, oldest first.
    Export(DecisionsExport),
    /// Check an exported log: finds every entry that was edited, removed or moved. Needs no server.
    Verify(FileToCheck),
}

/// `neena decisions list`
#[derive(Debug, Args)]
pub struct DecisionsList {
    /// Those about this run only.
    #[arg(long, value_name = "RUN")]
    pub run: Option<uuid::Uuid>,
    #[command(flatten)]
    pub list: List,
}

/// `neena decisions export`
#[derive(Debug, Args)]
pub struct DecisionsExport {
    /// From this number of the chain on; without it from the beginning.
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    #[command(flatten)]
    pub server: Server,
}

/// A file that is checked without a server.
#[derive(Debug, Args)]
pub struct FileToCheck {
    /// The file; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `neena cancel`, `retry`
#[derive(Debug, Args)]
pub struct Decide {
    /// The run's id.
    #[arg(value_name = "RUN")]
    pub run: uuid::Uuid,
    /// Stay and show the run's progress until it ends.
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub server: Server,
}

/// `neena runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// One run, by id; without it the newest runs.
    #[arg(value_name = "RUN")]
    pub run: Option<uuid::Uuid>,
    #[command(flatten)]
    pub list: List,
}

/// `neena completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}
