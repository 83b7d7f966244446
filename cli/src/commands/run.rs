//! `neena run`

use serde_json::{Map, Value, json};

use super::decide::{approve_plan, finish, with_plan};
use super::{Done, print, print_json};
use crate::client::{Client, read};
use crate::config::Run as Options;
use crate::names;
use crate::plan_view::PlanView;
use crate::view::{Flow, FlowRequest, Run};

/// Makes a request and a run of it; approves and watches it if asked.
pub async fn run(options: Options, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let flow: Flow = read(&names::flow(&client, &options.flow).await?)?;
    let request: FlowRequest = read(
        &client
            .post("flow_requests/", &request_body(&options, &flow.id))
            .await?,
    )?;
    let body = json!({ "flow": flow.id, "flow_request": request.id });
    let mut answer = client.post("flow_runs/", &body).await?;
    let run: Run = read(&answer)?;
    let mut plan = None;
    if options.approve || options.watch {
        plan = Some(PlanView::load(&client, &run.id).await?);
    }
    let mut approved = None;
    if let (true, Some(plan)) = (options.approve, &plan) {
        answer = approve_plan(&client, plan).await?;
        approved = Some(plan);
    }
    if let (true, Some(plan)) = (options.watch, &plan) {
        return finish(&client, &run.id, &plan.steps(), approved, json).await;
    }
    if json {
        print_json(&with_plan(answer, approved))?;
    } else {
        if !options.approve {
            eprintln!("waits for approval: neena approve {}", run.id);
        }
        print(&run.id)?;
    }
    Ok(Done::Well)
}

/// The request as the API takes it.
fn request_body(options: &Options, flow: &str) -> Value {
    let mut metadata = Map::new();
    for fields in &options.metadata {
        metadata.extend(fields.0.clone());
    }
    let mut body = json!({ "request_instructions": options.instructions, "flow": flow });
    if !metadata.is_empty() {
        body["request_metadata"] = json!([metadata]);
    }
    if let Some(name) = &options.name {
        body["request_name"] = name.as_str().into();
    }
    body
}
