//! The tasks of a process: they do what their flow says, and the checker sees each begin.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Json;
use neena_engine::run::{Outcome, TaskError};
use neena_worker::executors::{Call, Executor};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::flow::{Act, DIGEST, Step, fingerprint};
use crate::incidents;
use crate::process::Process;
use crate::world::World;

/// Runs the scripted tasks of one process.
#[derive(Debug)]
pub(crate) struct Tasks {
    world: Arc<World>,
    process: Arc<Process>,
    database: Arc<Database>,
}

impl Tasks {
    pub fn new(world: Arc<World>, process: Arc<Process>, database: Arc<Database>) -> Tasks {
        Tasks {
            world,
            process,
            database,
        }
    }

    /// What the task does, from its first moment on.
    async fn act(&self, call: &Call, step: &Step) -> Outcome {
        let limit = call.timeout.unwrap_or(Duration::from_secs(86_400));
        let (time, fails) = match step.act {
            Act::Echo => (0, false),
            Act::Work(time) => (time, false),
            Act::Fail { times, after } => (after, call.attempt <= times),
            Act::Hang => (86_400_000, false),
            Act::Poison => {
                incidents::crash(&self.world, &self.process, "poison");
                (0, false)
            }
        };
        let time = Duration::from_millis(time);
        if limit < time {
            sleep(limit).await;
            return failed("timeout");
        }
        sleep(time).await;
        if fails {
            return failed("exception");
        }
        let arguments: Value = serde_json::from_str(call.arguments.text()).unwrap_or_default();
        let made_of = fingerprint(&arguments);
        Outcome::Completed(match step.pure {
            true => Json::of(&json!({ "made_of": made_of })),
            // Done again, it is never the same.
            false => Json::of(&json!({ "made_of": made_of, "nonce": self.world.nonce() })),
        })
    }
}

#[async_trait]
impl Executor for Tasks {
    fn hosts(&self, _integration: &str, code_digest: &str) -> bool {
        code_digest == DIGEST && self.process.hosts()
    }

    async fn run(&self, call: Call, stop: CancellationToken) -> Outcome {
        self.process.gate().await;
        let claims = self.database.claims_of(call.run, call.epoch);
        let index = call.key.index;
        let number = self.process.number;
        self.world.note(|| {
            let (run, attempt) = (call.run, call.attempt);
            format!("p{number} begin {run} {index}#{attempt}")
        });
        let flow = {
            let mut checker = self.world.checker.lock();
            self.world.held(checker.begins(&call, &claims));
            checker.flows.get(&call.run).cloned()
        };
        let Some(flow) = flow else {
            return failed("unknown");
        };
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => {
                // Some take their time.
                if self.process.dice.chance(100) {
                    sleep(self.process.dice.millis(0, 3_000)).await;
                }
                Outcome::Stopped
            }
            outcome = self.act(&call, &flow.steps[index as usize]) => outcome,
        };
        self.process.gate().await;
        outcome
    }
}

fn failed(kind: &str) -> Outcome {
    Outcome::Failed(TaskError {
        kind: kind.to_owned(),
        message: "as simulated".to_owned(),
        retryable: true,
    })
}
