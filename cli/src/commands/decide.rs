//! `neena cancel` and `retry`, and what follows any decision.

use serde_json::Value;

use super::approve::told;
use super::{Done, print_json, print_result};
use crate::client::{Client, ClientError, read};
use crate::config::Decide;
use crate::diff_view::DiffView;
use crate::plan_view::{Plan, PlanView, Step};
use crate::progress;
use crate::table;
use crate::view::Run;

/// The decisions that need no plan in front of the eyes.
pub async fn plain(verb: &str, options: Decide, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let id = options.run.to_string();
    let answer = client
        .put(&format!("flow_runs/{verb}"), &[("flow_run_id", &id)], None)
        .await?;
    let mut steps = Vec::new();
    if options.watch {
        steps = PlanView::load(&client, &id)
            .await
            .map(|plan| plan.steps())
            .unwrap_or_default();
    }
    after(
        &client,
        options.run,
        options.watch,
        &steps,
        None,
        answer,
        json,
    )
    .await
}

/// Prints the plan on standard error, then approves it by its hash: if the run holds another plan by
/// then, the server refuses.
pub async fn approve_plan(client: &Client, plan: &PlanView) -> Result<Value, ClientError> {
    show(client, plan).await?;
    let Plan {
        flow_run,
        plan_hash,
        ..
    } = &plan.plan;
    let query = [
        ("flow_run_id", flow_run.as_str()),
        ("plan_hash", plan_hash.as_str()),
    ];
    let answer = client.put("flow_runs/approve", &query, None).await?;
    eprintln!("Approved plan {}", table::short(plan_hash, 13));
    Ok(answer)
}

/// Prints the plan on standard error, and what changed since the last approved one of its flow.
pub async fn show(client: &Client, plan: &PlanView) -> Result<(), ClientError> {
    eprintln!("{plan}");
    let diff = DiffView::load(client, &plan.plan.flow_run).await?;
    diff.print();
    Ok(())
}

/// Watches the run to its end and prints what it gave.
pub async fn finish(
    client: &Client,
    run: &str,
    steps: &[Step],
    shown: Option<&PlanView>,
    json: bool,
) -> anyhow::Result<Done> {
    let answer = progress::watch(client, run, steps).await?;
    let run: Run = read(&answer)?;
    if json {
        print_json(&with_plan(answer, shown))?;
    } else {
        let took = table::took(run.triggered_time.as_deref(), run.end_time.as_deref());
        eprintln!("Run {} {} after {took}", run.id, run.status);
        if let Some(result) = &run.flow_result {
            print_result(&result.body)?;
        }
    }
    Ok(Done::of(&run))
}

/// The run as the server answered it, and beside it the plan that was shown and approved.
pub fn with_plan(mut answer: Value, shown: Option<&PlanView>) -> Value {
    if let (Value::Object(run), Some(shown)) = (&mut answer, shown) {
        run.insert("plan".to_owned(), shown.answer.clone());
    }
    answer
}

pub(super) async fn after(
    client: &Client,
    run: uuid::Uuid,
    watch: bool,
    steps: &[Step],
    shown: Option<&PlanView>,
    answer: Value,
    json: bool,
) -> anyhow::Result<Done> {
    if watch {
        return finish(client, &run.to_string(), steps, shown, json).await;
    }
    let run: Run = read(&answer)?;
    let approval = run.approval_status.as_deref().unwrap_or("not decided");
    let line = format!("{}  {}  {approval}", run.id, run.status);
    told(&with_plan(answer, shown), &line, json)?;
    Ok(Done::Well)
}
