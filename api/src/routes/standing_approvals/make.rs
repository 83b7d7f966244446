//! A standing approval as it is asked for: checked, and bound to the operations, the code and the policy of now.

use neena_engine::approval::Policy;
use neena_engine::flow::Flow;
use neena_engine::ids::FlowId;
use neena_engine::plan::canonical;
use neena_engine::{Fault, Hash, loc};
use neena_store::entities::standing_approval::Model;
use neena_store::queries::{self, FlowVersion, catalogue};
use serde_json::json;
use uuid::Uuid;

use super::NewStanding;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::offload::offload;
use crate::routes::flow_requests::unknown;
use crate::routes::flows::{NewFlow, read_stored};
use crate::state::AppState;
use crate::{forms, policies};

/// What is approved beforehand.
struct Subject {
    graph: Hash,
    flow_version: u32,
    policy: Policy,
    author: Option<Uuid>,
    author_email: String,
}

/// The row; when it was made is filled in where it is.
pub(super) async fn row(
    app: &AppState,
    caller: &Caller,
    body: NewStanding,
) -> Result<Model, ApiError> {
    let now = app.db().now().await?;
    let ends_at = body.ends.map(|ends| ends.timestamp_micros());
    let faults = faults(&body, ends_at.is_some_and(|ends| ends <= now.0));
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let tenant = queries::of(app.db().reader(), caller.organization);
    let flow = tenant.flow(FlowId(body.flow)).await?;
    let flow = flow.ok_or_else(|| ApiError::fault(unknown("flow", "Flow")))?;
    let subject = match (&body.plan_hash, body.flow_version) {
        (Some(hash), _) => of_plan(app, caller, body.flow, hash).await?,
        (None, Some(version)) => of_version(app, caller, flow, version).await?,
        (None, None) => return Err(ApiError::Invalid(Vec::new())),
    };
    if !subject.policy.standing {
        let why = "The policy allows no standing approval of this flow";
        return Err(ApiError::Conflict(why.to_owned()));
    }
    let text = |what: serde_json::Value| {
        canonical(&what).map_err(|error| ApiError::Internal(error.to_string()))
    };
    let id = Uuid::now_v7();
    let policy = json!(subject.policy);
    let says = json!({
        "id": id,
        "organization": caller.organization.0,
        "flow": body.flow,
        "flow_version": subject.flow_version,
        "graph": subject.graph.to_string(),
        "plan_hash": body.plan_hash,
        "bounds": body.bounds,
        "policy": policy,
        "requester": caller.user.0,
        // Texts: a number this large is none in canonical JSON.
        "max_runs": body.max_runs.map(|most| most.to_string()),
        "ends": ends_at.map(|ends| ends.to_string()),
    });
    Ok(Model {
        id,
        organization_id: caller.organization.0,
        flow_id: body.flow,
        flow_version: i32::try_from(subject.flow_version).unwrap_or(i32::MAX),
        graph: subject.graph.to_string(),
        plan_hash: body.plan_hash,
        bounds: body.bounds.map(|bounds| bounds.to_string()),
        policy: policy.to_string(),
        hash: Hash::of(text(says)?.as_bytes()).to_string(),
        requester: caller.user.0,
        requester_email: caller.email.as_ref().to_owned(),
        author: subject.author,
        author_email: subject.author_email,
        max_runs: body.max_runs,
        used: 0,
        ends_at,
        comment: body.comment,
        state: "open".to_owned(),
        created_at: now.0,
        active_at: None,
        revoked_at: None,
        revoked_by_email: None,
    })
}

fn faults(body: &NewStanding, over: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |field: &'static str, kind, msg: &str| {
        faults.push(Fault::new(loc!["body", field], kind, msg));
    };
    match (&body.plan_hash, body.flow_version, &body.bounds) {
        (Some(_), None, None) => {}
        (Some(_), _, _) => {
            let msg = "It is for one plan, or for a version within bounds";
            fault("plan_hash", "extra_forbidden", msg);
        }
        (None, None, _) => {
            let msg = "It is for one plan, or for a version (`flow_version`) within `bounds`";
            fault("plan_hash", "missing", msg);
        }
        (None, Some(_), None) => fault("bounds", "missing", "Field required"),
        (None, Some(_), Some(bounds)) => {
            if let Err(why) = forms::check(bounds) {
                fault("bounds", "bad_schema", &why);
            }
        }
    }
    if body.max_runs.is_none() && body.ends.is_none() {
        let msg = "It is for so many runs, or it ends (`ends`), or both";
        fault("max_runs", "missing", msg);
    }
    if over {
        fault("ends", "value_error", "It ends in the past");
    }
    faults
}

/// Of the plan of a run there is.
async fn of_plan(
    app: &AppState,
    caller: &Caller,
    flow: Uuid,
    hash: &str,
) -> Result<Subject, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let run = tenant.run_of_plan(FlowId(flow), hash).await?;
    let run = run.ok_or_else(|| {
        let msg = "No run of the flow has this plan";
        ApiError::fault(Fault::new(loc!["body", "plan_hash"], "not_found", msg))
    })?;
    let plan = app.store().plan(run).await?;
    let head = &plan.head;
    let author = head.author.as_ref();
    Ok(Subject {
        graph: head.graph,
        flow_version: head.flow_version,
        policy: head.policy.clone(),
        author: author.and_then(|author| author.user),
        author_email: author
            .map(|author| author.email.clone())
            .unwrap_or_default(),
    })
}

/// Of the present version of a flow, as a run of it would be planned now.
async fn of_version(
    app: &AppState,
    caller: &Caller,
    flow: FlowVersion,
    version: u32,
) -> Result<Subject, ApiError> {
    let present = u32::try_from(flow.flow.version).unwrap_or_default();
    if present != version {
        let msg = format!("The flow has version {present} now, and no other is run");
        let fault = Fault::new(loc!["body", "flow_version"], "value_error", msg);
        return Err(ApiError::fault(fault));
    }
    let posted: NewFlow = read_stored(&flow.body)?;
    let catalogue = catalogue::known(app.db().reader(), posted.definitions()).await?;
    let floor = policies::floor(app, caller.organization, caller.local).await?;
    let held = policies::hold(&posted, &floor, &flow.loosened)?;
    let (policy, gates) = (held.policy, held.gates);
    let graph = offload(true, move || {
        let checked = Flow::check(posted.spec(gates), &catalogue).map_err(ApiError::Invalid)?;
        let graph = checked.graph();
        graph.map_err(|error| ApiError::Internal(error.to_string()))
    });
    Ok(Subject {
        graph: graph.await??.hash(),
        flow_version: version,
        policy,
        author: flow.author.user.map(|user| user.0),
        author_email: flow.author.email,
    })
}
