//! Making runs: their plans, their rows and their live rows.

use std::collections::HashSet;

use neena_engine::Micros;
use neena_engine::approval::Asked;
use neena_engine::ids::RunId;
use neena_engine::plan::{Graph, Plan};
use neena_engine::run::RunStatus;
use sea_orm::{ConnectionTrait, Value};

use super::chunk::Rows;
use super::row::{INSERT_LIVE, live_values, small};
use super::script::Script;
use super::{asks, execute, one};
use crate::{NewRun, Res};

const DAY: i64 = 86_400_000_000;

static INSERT_PLANS: Rows = Rows::new(
    "INSERT INTO run_plans (run_id, hash, v, body) VALUES",
    4,
    "",
);

static INSERT_RUNS: Rows = Rows::new(
    "INSERT INTO flow_runs (id, organization_id, flow_id, flow_version, flow_request_id, status, plan_hash, \
     epoch, round, triggered_by, triggered_time) VALUES",
    11,
    "",
);

/// Inserts a run that waits for approval, in the caller's transaction.
pub async fn insert_run(connection: &impl ConnectionTrait, new: &NewRun) -> Res<()> {
    let now = crate::db::now(connection).await?;
    insert_runs(connection, std::slice::from_ref(new), now).await
}

/// Inserts runs that wait for approval since `now`, in the caller's transaction. A graph that is stored already is
/// marked as used today, which also keeps a clean-up that is under way from taking it.
pub async fn insert_runs(
    connection: &impl ConnectionTrait,
    all: &[NewRun],
    now: Micros,
) -> Res<()> {
    insert_graphs(connection, all, now.0 / DAY).await?;
    let mut script = Script::default();
    let plans = all.iter().flat_map(plan_values);
    INSERT_PLANS.add(plans.collect(), &mut script);
    let runs = all.iter().flat_map(|new| run_values(new, now));
    INSERT_RUNS.add(runs.collect(), &mut script);
    let live = all.iter().flat_map(|new| live_values(&new.live()));
    INSERT_LIVE.add(live.collect(), &mut script);
    let asked: Vec<Asked> = all.iter().map(|new| new.asked(now)).collect();
    let of_runs = all.iter().map(|new| (new.run, new.organization, new.flow));
    asks::put(&of_runs.zip(&asked).collect::<Vec<_>>(), &mut script);
    script.run(connection).await
}

fn plan_values(new: &NewRun) -> [Value; 4] {
    [
        new.run.0.into(),
        new.plan.hash.to_string().into(),
        small(new.plan.head.v),
        new.head.as_str().into(),
    ]
}

fn run_values(new: &NewRun, now: Micros) -> [Value; 11] {
    let head = &new.plan.head;
    [
        new.run.0.into(),
        new.organization.0.into(),
        new.flow.0.into(),
        small(head.flow_version),
        new.flow_request.0.into(),
        RunStatus::Pending.as_str().into(),
        new.plan.hash.to_string().into(),
        0_i64.into(),
        1_i32.into(),
        head.triggered_by.clone().into(),
        new.triggered_time.unwrap_or(now).0.into(),
    ]
}

/// The graphs of all of them, each once, in the order of their hashes: two that bring the same ones do not wait for
/// each other crosswise.
async fn insert_graphs(connection: &impl ConnectionTrait, all: &[NewRun], today: i64) -> Res<()> {
    let mut seen = HashSet::new();
    let mut graphs: Vec<&Graph> = all
        .iter()
        .map(|new| &*new.plan.graph)
        .filter(|graph| seen.insert(graph.hash()))
        .collect();
    graphs.sort_by_key(|graph| graph.hash().to_string());
    for graph in graphs {
        insert_graph(connection, graph, today).await?;
    }
    Ok(())
}

/// A graph that was used today already is left alone: an upsert would lock its row even if it changes
/// nothing, and all that make runs of one flow would wait for each other's commits.
async fn insert_graph(connection: &impl ConnectionTrait, graph: &Graph, today: i64) -> Res<()> {
    let hash = graph.hash().to_string();
    let sql = "SELECT 1 FROM plan_graphs WHERE hash = $1 AND last_used >= $2";
    let used = one(connection, sql, [hash.clone().into(), today.into()]).await?;
    if used.is_some() {
        return Ok(());
    }
    let sql = "INSERT INTO plan_graphs (hash, v, body, last_used) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (hash) DO UPDATE SET last_used = excluded.last_used \
         WHERE plan_graphs.last_used < excluded.last_used";
    let values: [Value; 4] = [
        hash.into(),
        small(graph.body().v),
        graph.canonical_text().into(),
        today.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// Stores a plan of a run with the text of its head; one that the run had before is there already.
pub(super) async fn insert_plan(
    connection: &impl ConnectionTrait,
    run: RunId,
    (plan, head): (&Plan, &str),
    now: Micros,
) -> Res<()> {
    insert_graph(connection, &plan.graph, now.0 / DAY).await?;
    let sql = "INSERT INTO run_plans (run_id, hash, v, body) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (run_id, hash) DO NOTHING";
    let values: [Value; 4] = [
        run.0.into(),
        plan.hash.to_string().into(),
        small(plan.head.v),
        head.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}
