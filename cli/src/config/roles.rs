//! The options of the commands that serve an installation: what they stand on, and what each role takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::options::{DataDirOption, Issuer};
use super::reach::ReachOptions;
use super::values::{Secret, bind_address, prefix, word};

/// The database of an installation.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// Postgres of the installation, as postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(
        long,
        env = "NEENA_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<Secret>,
    /// Seconds to wait at the start for a server that does not answer.
    #[arg(long, env = "NEENA_WAIT_SECONDS", value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub wait_seconds: u32,
}

/// The broker of an installation.
#[derive(Clone, Debug, Args)]
pub struct BrokerOptions {
    /// RabbitMQ of the installation, as amqp://USER:PASSWORD@HOST/VHOST.
    #[arg(
        long,
        env = "NEENA_AMQP_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub amqp_url: Option<Secret>,
    /// First word of every exchange and queue: several installations may share a broker.
    #[arg(long, env = "NEENA_AMQP_PREFIX", value_name = "WORD", default_value = "neena", value_parser = prefix)]
    pub amqp_prefix: String,
    /// Secret of at least 32 characters that task messages are signed with, the same in every process; without it no single tasks travel.
    #[arg(
        long,
        env = "NEENA_MASTER_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub master_key: Option<Secret>,
}

/// A data directory where one is not always needed.
#[derive(Clone, Debug, Args)]
pub struct DataDirChoice {
    /// Directory for what is kept on this machine: the secret that signs tokens, the local token, the Python package.
    #[arg(long, env = "NEENA_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where the API listens.
#[derive(Clone, Debug, Args)]
pub struct BindOption {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "NEENA_BIND", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = bind_address)]
    pub bind: String,
    /// Requests a second that one user may send to a process, beyond which the answer is a 429; 0: no limit.
    #[arg(long, env = "NEENA_RATE_LIMIT", value_name = "N", default_value_t = 0)]
    pub rate_limit: u32,
    #[command(flatten)]
    pub reach: ReachOptions,
}

/// What runs tasks.
#[derive(Clone, Debug, Args)]
pub struct WorkOptions {
    /// Integrations to register at start: Python files, packages or folders, separated by `:`.
    #[arg(
        long,
        env = "NEENA_INTEGRATIONS",
        value_name = "PATH",
        value_delimiter = ':'
    )]
    pub integrations: Vec<PathBuf>,
    /// Python interpreter (3.10 or newer) that runs Python tasks.
    #[arg(
        long,
        env = "NEENA_PYTHON",
        value_name = "PROGRAM",
        default_value = "python3"
    )]
    pub python: PathBuf,
    /// Task slots: how many tasks run at once.
    #[arg(long, env = "NEENA_WORKER_CONCURRENCY", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub worker_concurrency: u32,
    /// Run slots: how many runs are under way at once.
    #[arg(long, env = "NEENA_WORKER_RUNS", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub worker_runs: u32,
    /// What the worker is called in lists and logs; without it HOST-PID.
    #[arg(long, visible_alias = "name", env = "NEENA_WORKER_NAME", value_name = "NAME", value_parser = word)]
    pub worker_name: Option<String>,
}

/// How fast others take over, and how long a stop may take.
#[derive(Clone, Debug, Args)]
pub struct TimeOptions {
    /// Seconds of silence after which a worker's runs go to another; the same in every process.
    #[arg(long, env = "NEENA_LEASE_SECONDS", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=3600))]
    pub lease_seconds: u32,
    /// Seconds that what is under way gets to finish when the process is told to stop.
    #[arg(long, env = "NEENA_GRACE_SECONDS", value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub grace_seconds: u32,
}

/// What is logged.
#[derive(Clone, Debug, Args)]
pub struct LogOption {
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,neena_worker=debug`.
    #[arg(long, env = "NEENA_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// When it is on the disk: it survives a power cut.
    Full,
    /// When the operating system has it: it survives a crash of the process, not a power cut.
    Fast,
}

/// `neena serve`
#[derive(Clone, Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub data: DataDirOption,
    #[command(flatten)]
    pub bind: BindOption,
    #[command(flatten)]
    pub work: WorkOptions,
    #[command(flatten)]
    pub times: TimeOptions,
    /// When a commit counts as done; on Postgres its own settings say so.
    #[arg(
        long,
        env = "NEENA_DURABILITY",
        value_name = "LEVEL",
        value_enum,
        default_value = "full"
    )]
    pub durability: Durability,
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub broker: BrokerOptions,
    #[command(flatten)]
    pub issuer: Issuer,
    #[command(flatten)]
    pub log: LogOption,
}

/// `neena api`
#[derive(Clone, Debug, Args)]
pub struct Api {
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub broker: BrokerOptions,
    #[command(flatten)]
    pub bind: BindOption,
    #[command(flatten)]
    pub issuer: Issuer,
    #[command(flatten)]
    pub data: DataDirChoice,
    #[command(flatten)]
    pub times: TimeOptions,
    #[command(flatten)]
    pub log: LogOption,
}

/// `neena worker`
#[derive(Clone, Debug, Args)]
pub struct Worker {
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub broker: BrokerOptions,
    #[command(flatten)]
    pub work: WorkOptions,
    #[command(flatten)]
    pub times: TimeOptions,
    /// Address that serves /metrics, /healthz and /readyz; without it none does. Port 0 takes a free one.
    #[arg(long, env = "NEENA_METRICS_BIND", value_name = "ADDR", value_parser = bind_address)]
    pub metrics_bind: Option<String>,
    #[command(flatten)]
    pub data: DataDirChoice,
    #[command(flatten)]
    pub log: LogOption,
}

/// `neena migrate`
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub data: DataDirOption,
    /// What is logged.
    #[arg(long, env = "NEENA_LOG", value_name = "FILTER", default_value = "warn")]
    pub log: String,
}
