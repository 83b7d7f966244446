//! `neena approve`, `reject`, `cancel` and `retry`

use serde_json::Value;

use super::{Done, print, print_json, print_result};
use crate::client::{Client, ClientError, read};
use crate::config::Decide;
use crate::plan_view::PlanView;
use crate::progress;
use crate::table;
use crate::view::Run;

/// Shows the plan and approves exactly that one.
pub async fn approve(options: Decide, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let run = load(&client, &options).await?;
    let plan = PlanView::load(&client, &run).await;
    // What runs is the plan that the run holds; that its flow or request was deleted since only
    // means that less can be shown.
    let plan = match plan {
        Ok(plan) => Some(plan),
        Err(error) if is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    let answer = approve_plan(&client, &run, plan.as_ref()).await?;
    after(&client, &options, plan, answer, json).await
}

/// The decisions that need no plan in front of the eyes.
pub async fn plain(verb: &str, options: Decide, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let id = options.run.to_string();
    let answer = client
        .put(&format!("flow_runs/{verb}"), &[("flow_run_id", &id)], None)
        .await?;
    let mut plan = None;
    if options.watch {
        plan = PlanView::load(&client, &read(&answer)?).await.ok();
    }
    after(&client, &options, plan, answer, json).await
}

/// Prints the plan on standard error, then approves it by its hash: if the run holds another plan by
/// then, the server refuses.
pub async fn approve_plan(
    client: &Client,
    run: &Run,
    plan: Option<&PlanView>,
) -> Result<Value, ClientError> {
    match plan {
        Some(plan) => eprintln!("{plan}"),
        None => eprintln!("Plan of run {}: its flow or its request is deleted", run.id),
    }
    let mut query = vec![("flow_run_id", run.id.as_str())];
    query.extend(run.plan_hash.as_deref().map(|hash| ("plan_hash", hash)));
    let answer = client.put("flow_runs/approve", &query, None).await?;
    let by = run
        .plan_hash
        .as_deref()
        .map(|hash| format!(" plan {}", table::short(hash, 13)));
    eprintln!("Approved{}", by.unwrap_or_default());
    Ok(answer)
}

/// Watches the run to its end and prints what it gave.
pub async fn finish(
    client: &Client,
    run: &str,
    plan: &PlanView,
    json: bool,
) -> anyhow::Result<Done> {
    let answer = progress::watch(client, run, &plan.steps).await?;
    let run: Run = read(&answer)?;
    if json {
        print_json(&answer)?;
    } else {
        let took = table::took(run.triggered_time.as_deref(), run.end_time.as_deref());
        eprintln!("Run {} {} after {took}", run.id, run.status);
        if let Some(result) = &run.flow_result {
            print_result(&result.body)?;
        }
    }
    Ok(Done::of(&run))
}

async fn after(
    client: &Client,
    options: &Decide,
    plan: Option<PlanView>,
    answer: Value,
    json: bool,
) -> anyhow::Result<Done> {
    let run: Run = read(&answer)?;
    if options.watch {
        let plan = plan.unwrap_or_else(|| PlanView::unknown(&run));
        return finish(client, &run.id, &plan, json).await;
    }
    if json {
        print_json(&answer)?;
    } else {
        let approval = run.approval_status.as_deref().unwrap_or("not decided");
        print(&format!("{}  {}  {approval}", run.id, run.status))?;
    }
    Ok(Done::Well)
}

async fn load(client: &Client, options: &Decide) -> Result<Run, ClientError> {
    read(
        &client
            .get("flow_runs/", &[("id", &options.run.to_string())])
            .await?,
    )
}

fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ClientError::Refused { status: 404, .. })
    )
}
