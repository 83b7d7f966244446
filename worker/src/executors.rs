//! What runs a task: one executor per kind, behind one seam.

pub mod builtin;
mod checked;
pub mod python;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Json;
use neena_engine::flow::Kind;
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskError, TaskKey};
use neena_store::Hosts;
use tokio_util::sync::CancellationToken;

pub use builtin::BuiltIns;
pub use python::PythonHosts;

/// One attempt of a task, as an executor is asked for it.
#[derive(Clone, Debug)]
pub struct Call {
    pub run: RunId,
    /// Which claim of the run asks for it, from 1.
    pub epoch: i64,
    pub key: TaskKey,
    /// From 1, counted over all rounds.
    pub attempt: u32,
    /// Short name of the integration.
    pub integration: String,
    pub method: String,
    /// Exactly this code is to run.
    pub code_digest: String,
    /// An object: parameter → value.
    pub arguments: Json,
    /// Limit of this attempt, from when the task is handed over.
    pub timeout: Option<Duration>,
}

/// Runs the tasks of one kind.
#[async_trait]
pub trait Executor: Send + Sync + Debug {
    /// Whether it can run tasks of this integration with exactly this code.
    fn hosts(&self, integration: &str, code_digest: &str) -> bool;

    /// All the code it can run that is worth sending elsewhere: tasks that take a slot.
    fn hosted(&self) -> Hosts {
        Hosts::new()
    }

    /// Runs one attempt to its end. After `stop` it ends as [`Outcome::Stopped`], and what ran has
    /// been stopped by then; dropping the future stops it too.
    async fn run(&self, call: Call, stop: CancellationToken) -> Outcome;

    /// Lets go of everything. Calls that are still running are stopped.
    async fn shutdown(&self) {}
}

/// Which executor runs which kind of task.
#[derive(Debug)]
pub struct Executors {
    builtin: BuiltIns,
    python: Option<Arc<dyn Executor>>,
}

impl Executors {
    /// Built-in tasks only.
    pub fn new() -> Executors {
        Executors {
            builtin: BuiltIns,
            python: None,
        }
    }

    /// With `python` for tasks of Python integrations.
    pub fn with_python(python: Arc<dyn Executor>) -> Executors {
        Executors {
            python: Some(python),
            ..Executors::new()
        }
    }

    /// Whether a task of this kind, integration and code can run here.
    pub fn hosts(&self, kind: Kind, integration: &str, code_digest: &str) -> bool {
        self.of(kind)
            .is_some_and(|executor| executor.hosts(integration, code_digest))
    }

    /// All the code that can run here and takes slots.
    pub fn hosted(&self) -> Hosts {
        let mut hosts = self.builtin.hosted();
        if let Some(python) = &self.python {
            hosts.extend(python.hosted());
        }
        hosts
    }

    /// Runs one attempt. A pure built-in task completes at the first poll.
    pub async fn run(&self, kind: Kind, call: Call, stop: CancellationToken) -> Outcome {
        match self.of(kind) {
            Some(executor) => executor.run(call, stop).await,
            None => not_hosted(&call),
        }
    }

    /// Lets go of everything; see [`Executor::shutdown`].
    pub async fn shutdown(&self) {
        if let Some(python) = &self.python {
            python.shutdown().await;
        }
    }

    fn of(&self, kind: Kind) -> Option<&dyn Executor> {
        match kind {
            Kind::BuiltIn => Some(&self.builtin),
            Kind::Python => self.python.as_deref(),
            Kind::External => None,
        }
    }
}

impl Default for Executors {
    fn default() -> Executors {
        Executors::new()
    }
}

/// The outcome where nothing here has the code. Another worker may have it, so it is retryable.
fn not_hosted(call: &Call) -> Outcome {
    failed(
        "not_hosted",
        format!(
            "no code of {} with the digest {} is hosted here",
            call.integration, call.code_digest
        ),
        true,
    )
}

/// The outcome of an attempt that ran into its own limit.
fn timed_out(limit: Duration) -> Outcome {
    failed(
        "timeout",
        format!("the task was stopped after its limit of {limit:?}"),
        true,
    )
}

fn failed(kind: &str, message: impl Into<String>, retryable: bool) -> Outcome {
    Outcome::Failed(TaskError {
        kind: kind.to_owned(),
        message: message.into(),
        retryable,
    })
}
