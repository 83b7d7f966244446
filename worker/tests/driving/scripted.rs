//! Tasks that do what their method is called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Json;
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskError};
use neena_store::Hosts;
use neena_worker::executors::{Call, Executor};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The digest of the code that is scripted here.
pub const DIGEST: &str = "scripted@1";

/// `echo` returns its arguments, `nap` takes a second, `long` twenty, `minutes` five minutes, `hang` goes on until it is stopped,
/// `stubborn` for four seconds more, `gate` until it is let through, `fail` fails, `nap_and_fail` after a
/// second, `flood` returns more than can be recorded, `panic` breaks the executor down.
#[derive(Debug)]
pub struct Scripted {
    pub gate: Semaphore,
    hosted: Mutex<bool>,
    seen: Mutex<Seen>,
}

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Attempts begun, by index.
    pub begun: BTreeMap<u32, u32>,
    /// Attempts begun, by run.
    pub of_runs: BTreeMap<RunId, u32>,
    pub stopped: usize,
    under_way: usize,
    pub most_at_once: usize,
}

impl Scripted {
    pub fn new() -> Arc<Scripted> {
        Arc::new(Scripted {
            gate: Semaphore::new(0),
            hosted: Mutex::new(true),
            seen: Mutex::default(),
        })
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Whether the code is here.
    pub fn host(&self, hosted: bool) {
        *self.hosted.lock() = hosted;
    }
}

#[async_trait]
impl Executor for Scripted {
    fn hosts(&self, _integration: &str, code_digest: &str) -> bool {
        code_digest == DIGEST && *self.hosted.lock()
    }

    fn hosted(&self) -> Hosts {
        let digests = self.hosted.lock().then(|| DIGEST.to_owned());
        Hosts::from([("scripted".to_owned(), digests.into_iter().collect())])
    }

    async fn run(&self, call: Call, stop: CancellationToken) -> Outcome {
        {
            let mut seen = self.seen.lock();
            *seen.begun.entry(call.key.index).or_default() += 1;
            *seen.of_runs.entry(call.run).or_default() += 1;
            seen.under_way += 1;
            seen.most_at_once = seen.most_at_once.max(seen.under_way);
        }
        let outcome = tokio::select! {
            outcome = play(self, &call) => outcome,
            () = stop.cancelled() => {
                if call.method == "stubborn" {
                    tokio::time::sleep(Duration::from_secs(4)).await;
                }
                self.seen.lock().stopped += 1;
                Outcome::Stopped
            }
        };
        self.seen.lock().under_way -= 1;
        outcome
    }
}

async fn play(script: &Scripted, call: &Call) -> Outcome {
    match call.method.as_str() {
        "nap" => tokio::time::sleep(Duration::from_secs(1)).await,
        "long" => tokio::time::sleep(Duration::from_secs(20)).await,
        "minutes" => tokio::time::sleep(Duration::from_secs(300)).await,
        "hang" | "stubborn" => std::future::pending().await,
        "panic" => panic!("as asked"),
        "gate" => script.gate.acquire().await.unwrap().forget(),
        "flood" => return Outcome::Completed(Json::of(&"x".repeat(1 << 20))),
        "fail" | "nap_and_fail" => {
            if call.method == "nap_and_fail" {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return Outcome::Failed(TaskError {
                kind: "exception".into(),
                message: "asked to fail".into(),
                retryable: true,
            });
        }
        _ => {}
    }
    Outcome::Completed(call.arguments.clone())
}
