//! The tasks of the integration `core`: part of the binary, described in `neena_engine::flow::built_ins`.

use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Json;
use neena_engine::flow::{BUILT_IN_INTEGRATION, built_in_version, built_ins};
use neena_engine::run::Outcome;
use neena_store::Hosts;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{Call, Executor, failed, not_hosted, timed_out};

/// Runs built-in tasks. The pure ones complete at the first poll, within microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIns;

#[async_trait]
impl Executor for BuiltIns {
    fn hosts(&self, integration: &str, code_digest: &str) -> bool {
        let method = code_digest.split_once('@').map_or("", |(method, _)| method);
        integration == BUILT_IN_INTEGRATION && built_in_version(method) == Some(code_digest)
    }

    fn hosted(&self) -> Hosts {
        let takes_slots = built_ins()
            .into_iter()
            .filter(|built_in| !built_in.definition.pure)
            .map(|built_in| built_in.definition.code_digest);
        Hosts::from([(BUILT_IN_INTEGRATION.to_owned(), takes_slots.collect())])
    }

    async fn run(&self, call: Call, stop: CancellationToken) -> Outcome {
        if built_in_version(&call.method) != Some(call.code_digest.as_str()) {
            return not_hosted(&call);
        }
        match call.method.as_str() {
            "core.echo" => Outcome::Completed(call.arguments),
            "core.evaluate" => evaluate(&call),
            "core.sleep" => sleep(&call, stop).await,
            "core.fail" => fail(&call),
            _ => not_hosted(&call),
        }
    }
}

#[derive(Deserialize)]
struct Evaluate<'a> {
    // Evaluated already when the arguments were bound.
    #[serde(borrow)]
    expression: &'a RawValue,
}

#[derive(Deserialize)]
struct Sleep {
    seconds: f64,
}

#[derive(Deserialize)]
struct Fail {
    message: Option<String>,
    times: Option<u32>,
}

fn arguments<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, Outcome> {
    serde_json::from_str(call.arguments.text())
        .map_err(|error| failed("invalid_arguments", error.to_string(), false))
}

fn evaluate(call: &Call) -> Outcome {
    match arguments::<Evaluate<'_>>(call) {
        Ok(given) => Outcome::Completed(Json::trusted(given.expression.get())),
        Err(outcome) => outcome,
    }
}

async fn sleep(call: &Call, stop: CancellationToken) -> Outcome {
    let wanted = match arguments::<Sleep>(call) {
        Ok(given) => given.seconds,
        Err(outcome) => return outcome,
    };
    let Ok(wanted) = Duration::try_from_secs_f64(wanted) else {
        let message = format!("seconds: {wanted} is not a time to sleep");
        return failed("invalid_arguments", message, false);
    };
    let (time, outcome) = match call.timeout {
        Some(limit) if limit < wanted => (limit, timed_out(limit)),
        _ => (wanted, Outcome::Completed(Json::null())),
    };
    if time.is_zero() {
        // A timer would take its tick.
        return outcome;
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Outcome::Stopped,
        () = tokio::time::sleep(time) => outcome,
    }
}

fn fail(call: &Call) -> Outcome {
    let given = match arguments::<Fail>(call) {
        Ok(given) => given,
        Err(outcome) => return outcome,
    };
    if given.times.is_some_and(|times| call.attempt > times) {
        return Outcome::Completed(Json::null());
    }
    let message = given
        .message
        .unwrap_or_else(|| "failed, as asked".to_owned());
    failed("failed_as_asked", message, true)
}
