//! What a call of a warm host costs: the median over many calls of a method that does nothing.
//!
//! `cargo run --release -p neena-worker --example python_call [CALLS]`

use std::error::Error;
use std::time::Instant;

use neena_engine::Json;
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskKey};
use neena_worker::executors::python::{Interpreter, PythonHosts, Settings};
use neena_worker::executors::{Call, Executor};
use tokio_util::sync::CancellationToken;

const SOURCE: &str = r#"
from neena import integration, task

@integration(name="Nothing", short_name="nothing")
class Nothing:
    @task
    def do_nothing(self):
        return None

    @task
    async def do_nothing_async(self):
        return None

    @task
    def give_back(self, value):
        return value
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let calls = std::env::args()
        .nth(1)
        .map_or(Ok(10_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("nothing.py");
    std::fs::write(&path, SOURCE)?;
    let settings = Settings::new(Interpreter::find().await?, folder.path().join("sdk"), 4);
    println!("{}", settings.interpreter.program.display());
    let hosts = PythonHosts::new(settings)?;
    let start = Instant::now();
    let found = hosts.host(&path).await?.remove(0);
    println!("introspected and warm in {:?}", start.elapsed());

    let kilobyte = format!(r#"{{"value":{:?}}}"#, "x".repeat(1 << 10));
    let large = format!(
        r#"{{"value":[{}0]}}"#,
        "[1,2.5,\"three\",null],".repeat(20_000)
    );
    for (method, arguments, calls) in [
        ("do_nothing", "{}", calls),
        ("do_nothing_async", "{}", calls),
        ("give_back", kilobyte.as_str(), calls),
        ("give_back", large.as_str(), calls / 100 + 1),
    ] {
        let call = Call {
            run: RunId(uuid::Uuid::now_v7()),
            epoch: 1,
            key: TaskKey {
                index: 0,
                item: None,
            },
            attempt: 1,
            integration: found.short_name.clone(),
            method: method.to_owned(),
            code_digest: found.code_digest.clone(),
            arguments: Json::parse(arguments.to_owned())?,
            timeout: Some(std::time::Duration::from_secs(60)),
        };
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            let outcome = hosts.run(call.clone(), CancellationToken::new()).await;
            times.push(start.elapsed());
            if !matches!(outcome, Outcome::Completed(_)) {
                return Err(format!("{outcome:?}").into());
            }
        }
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{method} with {} bytes, {calls} calls: median {:?}, p99 {:?}, worst {:?}",
            arguments.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    hosts.shutdown().await;
    Ok(())
}
