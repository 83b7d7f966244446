//! One machine under measurement, and the floor beside it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::FutureExt;
use neena::{Node, Options, Role, WorkerOptions};
use neena_engine::Hash;
use neena_engine::flow::{Catalogue, Definition, Flow, FlowSpec, Kind, Parameter, built_ins};
use neena_engine::ids::TaskDefinitionId;
use neena_engine::plan::Graph;
use neena_engine::run::RunStatus;
use neena_store::{Commits, StoreError};
use uuid::Uuid;

use crate::floor::{Floor, WarmHost};
use crate::runs;
use crate::stack::{self, Place, Stack};

/// The steps that Python scenarios run: naive Fibonacci, as engines are usually compared by.
pub const STEPS: &str = r#"
from neena import integration, task


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@integration(name="Bench", short_name="bench")
class Bench:
    """What the benchmark runs."""

    @task(name="A recorded step")
    def step(self, n: int) -> int:
        """The n-th Fibonacci number."""
        return fibonacci(n)

    @task(name="A pure step", pure=True)
    def pure_step(self, n: int) -> int:
        """The n-th Fibonacci number."""
        return fibonacci(n)
"#;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub took: Duration,
    pub durable: u64,
}

/// Everything in this process.
#[derive(Debug)]
pub struct Machine {
    node: Node,
    pub floor: Floor,
    pub host: WarmHost,
    catalogue: Catalogue,
    methods: HashMap<String, TaskDefinitionId>,
    _dir: tempfile::TempDir,
}

impl Machine {
    /// One process on this stack.
    pub async fn start(python: &Path, stack: &Stack) -> anyhow::Result<Machine> {
        Machine::starting(python, stack, true).await
    }

    /// One that makes no commits but those of what it is asked for.
    #[cfg(test)]
    pub async fn unsealed(python: &Path, stack: &Stack) -> anyhow::Result<Machine> {
        Machine::starting(python, stack, false).await
    }

    async fn starting(python: &Path, stack: &Stack, seals: bool) -> anyhow::Result<Machine> {
        let dir = stack::folder()?;
        let place = stack.place(dir.path()).await?;
        if let Place::Cluster { .. } = place {
            let db = place.backends().open().await?;
            db.migrate().await?;
            db.close().await;
        }
        let steps = dir.path().join("bench.py");
        std::fs::write(&steps, STEPS)?;
        let worker = WorkerOptions {
            name: "bench".into(),
            slots: 8,
            runs: 64,
            grace: Duration::from_secs(1),
            python: python.to_owned(),
            sdk_dir: dir.path().join("sdk"),
            integrations: vec![steps.clone()],
        };
        let node = Node::start(Options {
            backends: place.backends(),
            role: Role::All(worker),
            lease: Duration::from_secs(600),
            seals,
        })
        .await?;
        let hosts = node.hosting.as_ref().context("no Python")?.hosts().clone();
        let (found, _) = hosts.find(&steps).await?;
        let digest = found.first().context("no integration")?.code_digest.clone();
        let mut catalogue = catalogue();
        for (method, pure) in [("step", false), ("pure_step", true)] {
            let definition = python_step(method, pure, &digest);
            catalogue.insert(definition.id, Arc::new(definition));
        }
        let methods = catalogue
            .values()
            .map(|one| (one.method.clone(), one.id))
            .collect();
        Ok(Machine {
            node,
            floor: Floor::beside(&place).await?,
            host: WarmHost { hosts, digest },
            catalogue,
            methods,
            _dir: dir,
        })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.floor.close().await;
        self.node.stop().await
    }

    /// Id of the task definition behind a method.
    pub fn definition(&self, method: &str) -> TaskDefinitionId {
        self.methods[method]
    }

    pub fn graph(&self, spec: FlowSpec) -> anyhow::Result<Arc<Graph>> {
        let flow = Flow::check(spec, &self.catalogue)
            .map_err(|faults| anyhow::anyhow!("the flow has faults: {faults:?}"))?;
        Ok(Arc::new(flow.graph().context("the flow has no graph")?))
    }

    /// Makes a run, then measures from its approval to its end.
    pub async fn run(&self, graph: &Arc<Graph>) -> anyhow::Result<Sample> {
        let run = runs::waiting(&self.node, graph).await?;
        let before = self.node.db.commits();
        let began = Instant::now();
        runs::approve(&self.node, run).await?;
        match runs::ended(&self.node, run).await? {
            RunStatus::Completed => {}
            status => bail!("the run ended as {status}"),
        }
        let took = began.elapsed();
        let after = self.commits().await?;
        Ok(Sample {
            took,
            durable: after.durable - before.durable,
        })
    }

    /// Commits so far, one more lazy one included.
    pub async fn commits(&self) -> anyhow::Result<Commits> {
        // A commit is seen before it is counted; the writer has counted it when it takes the next job.
        self.node
            .db
            .lazy(|_| async { Ok::<(), StoreError>(()) }.boxed())
            .await?;
        Ok(self.node.db.commits())
    }

    #[cfg(test)]
    pub fn node(&self) -> &Node {
        &self.node
    }
}

/// The built-in tasks.
pub fn catalogue() -> Catalogue {
    built_ins()
        .into_iter()
        .map(|one| (one.definition.id, Arc::new(one.definition)))
        .collect()
}

fn python_step(method: &str, pure: bool, digest: &str) -> Definition {
    let parameter = |name: &str| Parameter {
        name: name.into(),
        data_type: "integer".into(),
        position: 1,
        doc_string: None,
        optional: false,
    };
    let Hash(bytes) = Hash::of(method.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    Definition {
        id: TaskDefinitionId(Uuid::new_v8(id)),
        name: method.into(),
        integration: "bench".into(),
        kind: Kind::Python,
        method: method.into(),
        code_digest: digest.into(),
        pure,
        repeatable: true,
        takes_any: false,
        parameters: vec![parameter("n")],
        outputs: vec![parameter("result")],
    }
}
