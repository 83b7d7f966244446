//! Making, deciding and awaiting runs, without the API in between.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::FutureExt;
use neena::Node;
use neena_engine::approval::Policy;
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId, UserId};
use neena_engine::plan::{Graph, Head, PLAN_V, Plan, RequestCopy};
use neena_engine::run::{Actor, Decision, RunStatus, Say};
use neena_store::entities::flow_run;
use neena_store::{Decided, Deciding, NewRun, insert_run};
use sea_orm::EntityTrait;
use serde_json::Map;
use tokio::time::timeout;
use uuid::Uuid;

use crate::ends::bell;

/// How often it is looked whether a run has ended that nobody tells of.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A run of the graph that waits for approval.
pub async fn waiting(node: &Node, graph: &Arc<Graph>) -> anyhow::Result<RunId> {
    let run = RunId(Uuid::now_v7());
    let new = NewRun::new(run, FlowRequestId(Uuid::now_v7()), plan(graph)?, None)?;
    node.db
        .unit(move |tx| async move { insert_run(tx, &new).await }.boxed())
        .await?;
    Ok(run)
}

/// A run of the graph, approved.
pub async fn approved(node: &Node, graph: &Arc<Graph>) -> anyhow::Result<RunId> {
    let run = waiting(node, graph).await?;
    approve(node, run).await?;
    Ok(run)
}

pub async fn approve(node: &Node, run: RunId) -> anyhow::Result<()> {
    let decision = Decision::Approve(Say::of_run(actor(), None));
    decide(node, run, decision).await
}

/// Opens the gate of a task.
#[cfg(test)]
pub async fn open(node: &Node, run: RunId, index: u32) -> anyhow::Result<()> {
    use neena_engine::approval::Subject;
    use neena_engine::run::TaskKey;

    let say = Say {
        on: Subject::Gate(TaskKey { index, item: None }),
        ..Say::of_run(actor(), None)
    };
    decide(node, run, Decision::Approve(say)).await
}

#[cfg(test)]
pub async fn cancel(node: &Node, run: RunId) -> anyhow::Result<()> {
    decide(node, run, Decision::Cancel { actor: actor() }).await
}

async fn decide(node: &Node, run: RunId, decision: Decision) -> anyhow::Result<()> {
    let deciding = Deciding {
        run,
        organization: OrganizationId(Uuid::nil()),
        decision,
        code_current: true,
    };
    match node.store.decide(&deciding).await? {
        Decided::Done { outbox, poke, .. } => {
            node.outlet.hand(outbox);
            if let Some(worker) = poke {
                node.bus.poke(worker, run).await;
            }
            Ok(())
        }
        other => bail!("the decision ended as {other:?}"),
    }
}

/// Waits for the run's end.
pub async fn ended(node: &Node, run: RunId) -> anyhow::Result<RunStatus> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut told = pin!(bell().notified());
        told.as_mut().enable();
        let status = status(node, run).await?;
        if status.is_final() {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "the run does not end");
        // Not told is no fault: the end is in the database then.
        let _ = timeout(LOOK_EVERY, told).await;
    }
}

pub async fn status(node: &Node, run: RunId) -> anyhow::Result<RunStatus> {
    let row = flow_run::Entity::find_by_id(run.0)
        .one(node.db.reader())
        .await?;
    Ok(row.context("the run is gone")?.status.parse()?)
}

fn actor() -> Actor {
    Actor {
        user: UserId(Uuid::nil()),
        email: "bench".into(),
        permissions: vec!["approve".into()],
        way: "bench",
    }
}

pub fn plan(graph: &Arc<Graph>) -> anyhow::Result<Arc<Plan>> {
    let head = Head {
        v: PLAN_V,
        organization: Uuid::nil(),
        flow: Uuid::nil(),
        flow_name: "bench".into(),
        flow_version: 1,
        graph: graph.hash(),
        request: RequestCopy {
            instructions: "measure".into(),
            name: None,
            metadata: Map::new().into(),
        },
        triggered_by: "bench".into(),
        requester: None,
        author: None,
        policy: Policy::quorum(1),
    };
    let plan = Plan::make(graph.clone(), head)
        .map_err(|faults| anyhow::anyhow!("the plan has faults: {faults:?}"))?;
    Ok(Arc::new(plan))
}
