//! `neena runs`

use std::collections::HashMap;

use serde_json::Value;

use super::{Done, print, print_json, print_result};
use crate::client::{Client, read};
use crate::config::Runs;
use crate::plan_view::{Plan, PlanView, Step};
use crate::table;
use crate::view::{Preview, Run, TaskRun};

/// Lists the newest runs, or shows one.
pub async fn run(options: Runs, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.list.server)?;
    match options.run {
        Some(run) => one(&client, &run.to_string(), json).await,
        None => all(&client, &options, json).await,
    }
}

async fn all(client: &Client, options: &Runs, json: bool) -> anyhow::Result<Done> {
    let (skip, limit) = (
        options.list.skip.to_string(),
        options.list.limit.to_string(),
    );
    let query = [("skip", skip.as_str()), ("limit", limit.as_str())];
    let runs = client.get("flow_runs/preview/all", &query).await?;
    if json {
        print_json(&runs)?;
        return Ok(Done::Well);
    }
    let runs: Vec<Preview> = read(&runs)?;
    let mut table = table::table(&[
        "run", "flow", "status", "approval", "asked at", "took", "request",
    ]);
    for run in &runs {
        table.add_row([
            run.id.clone(),
            table::short(run.flow_name.as_deref().unwrap_or("–"), 40),
            run.status.clone(),
            run.approval_status
                .clone()
                .unwrap_or_else(|| "–".to_owned()),
            table::local(run.start_time.as_deref()),
            table::took(run.start_time.as_deref(), run.end_time.as_deref()),
            table::short(run.flow_request_instructions.as_deref().unwrap_or("–"), 60),
        ]);
    }
    print(&table.trim_fmt())?;
    Ok(Done::Well)
}

async fn one(client: &Client, id: &str, json: bool) -> anyhow::Result<Done> {
    let answer = client
        .get("flow_runs/with_flow_result", &[("id", id)])
        .await?;
    if json {
        print_json(&answer)?;
        return Ok(Done::Well);
    }
    let run: Run = read(&answer)?;
    // A plan that cannot be read is the server's to complain about: how the run stands is told all the same.
    let plan = PlanView::load(client, &run.id).await.ok();
    print(&heading(&run, plan.as_ref().map(|plan| &plan.plan)))?;
    if !run.task_runs.is_empty() {
        let steps = plan.map(|plan| plan.steps()).unwrap_or_default();
        print(&format!("\n{}", tasks(&run.task_runs, &steps)))?;
    }
    if let Some(result) = &run.flow_result {
        print("")?;
        print_result(&result.body)?;
    }
    Ok(Done::Well)
}

fn heading(run: &Run, plan: Option<&Plan>) -> String {
    let approval = run.approval_status.as_deref().unwrap_or("not decided");
    let (flow, request) = match plan {
        Some(plan) => (&plan.flow_name, &plan.request.instructions),
        None => (&run.flow, &run.flow_request),
    };
    let mut lines = vec![
        format!("run       {}", run.id),
        format!("flow      {}", table::short(flow, 200)),
        format!("request   {}", table::short(request, 600)),
        format!("status    {} ({approval})", run.status),
        format!("asked at  {}", table::local(run.triggered_time.as_deref())),
    ];
    if run.end_time.is_some() {
        let took = table::took(run.triggered_time.as_deref(), run.end_time.as_deref());
        lines.push(format!(
            "ended at  {} (after {took})",
            table::local(run.end_time.as_deref())
        ));
    }
    if let Some(waiting) = &run.waiting_for {
        lines.push(format!("waits for {}", table::short(waiting, 200)));
    }
    if let Some(reason) = &run.reason {
        lines.push(format!("reason    {}", table::short(reason, 600)));
    }
    if let Some(hash) = &run.plan_hash {
        lines.push(format!("plan      {hash}"));
    }
    lines.join("\n")
}

fn tasks(task_runs: &[TaskRun], steps: &[Step]) -> String {
    let steps: HashMap<u32, _> = steps.iter().map(|step| (step.index, step)).collect();
    let mut table = table::table(&["", "task", "kind", "status", "attempt", "took", "result"]);
    for task in task_runs {
        let step = steps.get(&task.task_operation_index);
        let told = match &task.error {
            Some(error) => format!("{}: {}", error.kind, error.message),
            None if task.result.is_null() => String::new(),
            None => text(&task.result),
        };
        table.add_row([
            task.task_operation_index.to_string(),
            step.map(|step| table::short(&step.name, 48))
                .unwrap_or_default(),
            step.map(|step| step.task.clone()).unwrap_or_default(),
            task.status.clone(),
            task.attempt
                .map(|attempt| attempt.to_string())
                .unwrap_or_default(),
            table::took(task.start_time.as_deref(), task.end_time.as_deref()),
            table::short(&told, 80),
        ]);
    }
    table.trim_fmt()
}

/// A value as text: a string as it is, anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
