//! What a new owner reads: the plan, verified, and what is recorded of the run.

use std::collections::HashMap;
use std::sync::Arc;

use moka::sync::Cache;
use neena_engine::Hash;
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::plan::{Graph, Head, Plan, PlanError};
use neena_engine::run::History;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::chunk::lists;
use super::row::{Reader, TASK, task};
use super::{all, asks, one};
use crate::{Res, StoreError};

impl From<PlanError> for StoreError {
    /// What is stored is not what was approved; trying again does not help.
    fn from(error: PlanError) -> StoreError {
        StoreError::Refused(error.to_string())
    }
}

/// The plan of a run: its head, and the graph the head names, both checked against their hashes.
pub(super) async fn plan(
    connection: &impl ConnectionTrait,
    graphs: &Cache<Hash, Arc<Graph>>,
    run: RunId,
) -> Res<Arc<Plan>> {
    let sql = "SELECT f.plan_hash, p.body FROM flow_runs f \
         JOIN run_plans p ON p.run_id = f.id AND p.hash = f.plan_hash WHERE f.id = $1";
    let row = one(connection, sql, [run.0.into()]).await?;
    let row = row.ok_or_else(|| StoreError::Refused(format!("run {run} has no plan")))?;
    whole(connection, graphs, Reader::new(&row)).await
}

/// The plan of a run of this organization; none if it has no such run.
pub(super) async fn plan_of(
    connection: &impl ConnectionTrait,
    graphs: &Cache<Hash, Arc<Graph>>,
    (run, organization): (RunId, OrganizationId),
) -> Res<Option<Arc<Plan>>> {
    let sql = "SELECT p.hash, p.body FROM flow_runs f \
         LEFT JOIN run_plans p ON p.run_id = f.id AND p.hash = f.plan_hash \
         WHERE f.id = $1 AND (f.organization_id = $2) IS TRUE";
    let Some(row) = one(connection, sql, [run.0.into(), organization.0.into()]).await? else {
        return Ok(None);
    };
    match Reader::new(&row).get::<Option<String>>()? {
        Some(_) => whole(connection, graphs, Reader::new(&row)).await.map(Some),
        None => Err(StoreError::Refused(format!("run {run} has no plan"))),
    }
}

/// The plans of those of `runs` that are there, in few statements.
pub(super) async fn plans(
    connection: &impl ConnectionTrait,
    graphs: &Cache<Hash, Arc<Graph>>,
    runs: &[RunId],
) -> Res<HashMap<RunId, Arc<Plan>>> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let mut plans = HashMap::with_capacity(ids.len());
    for list in lists(&ids, 1) {
        let sql = format!(
            "SELECT f.id, f.plan_hash, p.body FROM flow_runs f \
             JOIN run_plans p ON p.run_id = f.id AND p.hash = f.plan_hash WHERE f.id IN ({})",
            list.places
        );
        for row in all(connection, sql, list.ids).await? {
            let mut row = Reader::new(&row);
            let run = row.id()?;
            plans.insert(run, whole(connection, graphs, row).await?);
        }
    }
    Ok(plans)
}

/// The plan under which a run that waits again has begun, which its present one took the place of.
pub(super) async fn former(
    connection: &impl ConnectionTrait,
    graphs: &Cache<Hash, Arc<Graph>>,
    run: RunId,
) -> Res<Option<Arc<Plan>>> {
    let sql = "SELECT p.hash, p.body FROM decisions d \
         JOIN live_runs l ON l.run_id = d.run_id AND l.phase = 'waiting' AND l.epoch > 0 \
         JOIN run_plans p ON p.run_id = d.run_id AND p.hash = d.plan_hash \
         WHERE d.run_id = $1 AND d.what = 'resubmit' ORDER BY d.at DESC, d.id DESC LIMIT 1";
    match one(connection, sql, [run.0.into()]).await? {
        Some(row) => whole(connection, graphs, Reader::new(&row)).await.map(Some),
        None => Ok(None),
    }
}

/// The plan whose hash and head are in the next columns.
async fn whole(
    connection: &impl ConnectionTrait,
    graphs: &Cache<Hash, Arc<Graph>>,
    mut row: Reader<'_>,
) -> Res<Arc<Plan>> {
    let hash: Hash = row.word()?;
    let head = Head::parse(&row.get::<String>()?, hash)?;
    let graph = match graphs.get(&head.graph) {
        Some(graph) => graph,
        None => {
            let graph = Arc::new(read_graph(connection, head.graph).await?);
            graphs.insert(head.graph, Arc::clone(&graph));
            graph
        }
    };
    Ok(Arc::new(Plan { hash, head, graph }))
}

async fn read_graph(connection: &impl ConnectionTrait, hash: Hash) -> Res<Graph> {
    let sql = "SELECT body FROM plan_graphs WHERE hash = $1";
    let row = one(connection, sql, [hash.to_string().into()]).await?;
    let row = row.ok_or_else(|| StoreError::Refused(format!("there is no graph {hash}")))?;
    Ok(Graph::parse(&Reader::new(&row).get::<String>()?, hash)?)
}

/// What is recorded of a run, by index and item.
pub(super) async fn history(connection: &impl ConnectionTrait, run: RunId) -> Res<History> {
    let sql = format!("SELECT {TASK} FROM task_runs WHERE run_id = $1 ORDER BY idx, item");
    let rows = all(connection, sql, [run.0.into()]).await?;
    Ok(History {
        rows: rows.iter().map(task).collect::<Res<_>>()?,
        asks: asks::gates(connection, run).await?,
    })
}
