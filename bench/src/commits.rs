//! The promise behind the figures: how many durable commits each path costs, on every stack there is. Nothing seals the
//! log here: that is a commit of its own, up to twice a second, whatever is decided.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use neena_engine::approval::Policy;
use neena_engine::flow::{DependencySpec, FlowSpec, OperationSpec, Retry, TriggerRule};
use neena_engine::plan::{Gate, Graph};
use neena_engine::run::RunStatus;
use neena_store::Durability;
use serde_json::{Map, json};

use crate::machine::Machine;
use crate::stack::{Servers, Stack};
use crate::{path, runs};

/// One machine by itself and, where the tests have servers, one process over those.
async fn machines() -> anyhow::Result<Vec<(&'static str, Machine)>> {
    let mut stacks = vec![Stack::Embedded(Durability::Full)];
    stacks.extend(Servers::of_tests().map(Stack::Cluster));
    let mut machines = Vec::new();
    for stack in stacks {
        machines.push((stack.mode(), Machine::unsealed(&python(), &stack).await?));
    }
    Ok(machines)
}

fn python() -> PathBuf {
    std::env::var_os("NEENA_PYTHON")
        .unwrap_or_else(|| "python3".into())
        .into()
}

#[tokio::test]
async fn a_run_costs_as_many_durable_commits_as_promised() -> anyhow::Result<()> {
    // Commits that do not wait for the disk are counted alike; they are left to the figures.
    for (stack, machine) in machines().await? {
        for path in path::PATHS.iter().filter(|path| path.scenario != "heavy10") {
            let Some(promised) = path.commits else {
                continue;
            };
            let definition = machine.definition(path.work.task.method());
            let graph = machine.graph(path.work.flow(path.scenario, definition))?;
            machine.run(&graph).await?;
            for _ in 0..3 {
                let durable = machine.run(&graph).await?.durable;
                let name = format!("{stack}, {}, {}", path.scenario, path.what);
                ensure!(
                    durable == promised,
                    "{name}: {durable} instead of {promised}"
                );
            }
        }
        machine.stop().await?;
    }
    Ok(())
}

/// One task that sleeps.
fn sleeping(machine: &Machine, seconds: f64) -> anyhow::Result<Arc<Graph>> {
    let operation = OperationSpec {
        name: "wait".into(),
        task_definition: machine.definition("core.sleep"),
        index: 0,
        instruction: None,
        arguments: Some(Map::from_iter([("seconds".to_owned(), json!(seconds))])),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: None,
    };
    machine.graph(FlowSpec {
        name: "waits".into(),
        task_operations: vec![operation],
        ..FlowSpec::default()
    })
}

#[tokio::test]
async fn making_approving_and_cancelling_cost_a_durable_commit_each() -> anyhow::Result<()> {
    for (stack, machine) in machines().await? {
        let node = machine.node();
        let graph = sleeping(&machine, 60.0)?;
        let mut durable = machine.commits().await?.durable;
        let mut since = async || -> anyhow::Result<u64> {
            let now = machine.commits().await?.durable;
            Ok(now - std::mem::replace(&mut durable, now))
        };
        let run = runs::waiting(node, &graph).await?;
        ensure!(since().await? == 1, "{stack}: making a run");
        runs::cancel(node, run).await?;
        ensure!(since().await? == 1, "{stack}: cancelling what never ran");
        let run = runs::waiting(node, &graph).await?;
        since().await?;
        runs::approve(node, run).await?;
        started(&machine, run).await?;
        ensure!(
            since().await? == 1,
            "{stack}: approving, to the first start"
        );
        runs::cancel(node, run).await?;
        let status = runs::ended(node, run).await?;
        ensure!(status == RunStatus::Cancelled, "it ended as {status}");
        closed(&machine, run).await?;
        ensure!(
            since().await? == 2,
            "{stack}: cancelling what runs, and its close"
        );
        machine.stop().await?;
    }
    Ok(())
}

/// Recorded steps one after the other, of which these wait for people.
fn gated(machine: &Machine, steps: u32, gates: &[u32]) -> anyhow::Result<Arc<Graph>> {
    let operation = |index| OperationSpec {
        name: format!("step {index}"),
        task_definition: machine.definition("step"),
        index,
        instruction: None,
        arguments: Some(Map::from_iter([("n".to_owned(), json!(1))])),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: gates.contains(&index).then(|| Gate {
            policy: Policy::quorum(1),
            input: None,
        }),
    };
    machine.graph(FlowSpec {
        name: "asks".into(),
        task_operations: (0..steps).map(operation).collect(),
        dependencies: (1..steps)
            .map(|target| DependencySpec {
                source_task_operation: target - 1,
                target_task_operation: target,
                instruction: None,
            })
            .collect(),
        ..FlowSpec::default()
    })
}

#[tokio::test]
async fn a_gate_costs_its_decision_and_one_more_where_nothing_was_recorded_before_it()
-> anyhow::Result<()> {
    // The question and the park ride with the outcome before the gate.
    for (gates, expected) in [(&[][..], 3), (&[1], 4), (&[0], 5), (&[0, 1], 6)] {
        for (stack, machine) in machines().await? {
            let graph = gated(&machine, 2, gates)?;
            let durable = cost(&machine, &graph, gates).await?;
            ensure!(durable == expected, "{stack}, gates {gates:?}: {durable}");
            machine.stop().await?;
        }
    }
    Ok(())
}

/// Durable commits of one run whose gates are opened as they are reached, its approval included.
async fn cost(machine: &Machine, graph: &Arc<Graph>, gates: &[u32]) -> anyhow::Result<u64> {
    let node = machine.node();
    let run = runs::waiting(node, graph).await?;
    let before = machine.commits().await?.durable;
    runs::approve(node, run).await?;
    for gate in gates {
        live(machine, run, Some("parked")).await?;
        runs::open(node, run, *gate).await?;
    }
    let status = runs::ended(node, run).await?;
    ensure!(status == RunStatus::Completed, "it ended as {status}");
    Ok(machine.commits().await?.durable - before)
}

/// Waits until a worker holds the run.
async fn started(machine: &Machine, run: neena_engine::ids::RunId) -> anyhow::Result<()> {
    live(machine, run, Some("running")).await
}

/// Waits until nothing of the run is left to be cleaned up.
async fn closed(machine: &Machine, run: neena_engine::ids::RunId) -> anyhow::Result<()> {
    live(machine, run, None).await
}

async fn live(
    machine: &Machine,
    run: neena_engine::ids::RunId,
    phase: Option<&str>,
) -> anyhow::Result<()> {
    use neena_store::entities::live_run;
    use sea_orm::EntityTrait;

    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let row = live_run::Entity::find_by_id(run.0)
            .one(machine.node().db.reader())
            .await?;
        if row.map(|row| row.phase).as_deref() == phase {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the run never was {phase:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
