//! The plan a run holds, as an approver reads it: from what was stored and hashed, and nothing else.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::RunId;
use neena_engine::plan::{Arguments, Head, NamedSource, Operation, Plan};
use serde::Serialize;
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::THING;
use super::asks::{self, AskView};
use super::decide::{OnRun, find};
use crate::auth::Caller;
use crate::error::{ApiError, json_text};
use crate::extract::Query;
use crate::offload::offload;
use crate::policies::{PolicyView, seconds};
use crate::state::AppState;

/// Plans of more operations than this are written on a thread for such work.
const SMALL: usize = 256;

/// The plan of a run: what is approved and what runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView<'a> {
    flow_run: Uuid,
    /// SHA-256 of the plan.
    plan_hash: String,
    /// The plan's format.
    v: u32,
    flow: Uuid,
    flow_name: &'a str,
    flow_version: u32,
    triggered_by: &'a str,
    /// Who asked for it; by id, too, since format 2.
    requester: PartyView<'a>,
    /// Who wrote this version of the flow; null where that was not noted.
    author: Option<PartyView<'a>>,
    request: RequestView<'a>,
    policy: PolicyView,
    /// In the order of the plan.
    operations: Vec<OperationView<'a>>,
    dependencies: Vec<DependencyView>,
    /// What a failed task means for the rest: `stop` or `continue`.
    #[schema(value_type = String)]
    on_failure: OnFailure,
    /// Limit of the whole run, from its approval.
    #[schema(value_type = Option<f64>)]
    timeout_seconds: Option<Number>,
    /// What people were asked about the run and what they said: its plan first, then each gate that was reached.
    asks: Vec<AskView>,
}

/// Somebody a plan names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanParty)]
struct PartyView<'a> {
    user: Option<Uuid>,
    email: &'a str,
}

/// The request as it was when the run was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanRequest)]
struct RequestView<'a> {
    instructions: &'a str,
    name: Option<&'a str>,
    /// The objects of the request's metadata as one, later ones winning.
    #[schema(value_type = Object)]
    metadata: &'a Map<String, Value>,
}

/// A task of the plan, with the definition and the code it was planned with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanOperation)]
struct OperationView<'a> {
    index: u32,
    /// Its place in the order of the plan.
    sorted_index: usize,
    name: &'a str,
    instruction: Option<&'a str>,
    task_definition: Uuid,
    /// The integration's short name.
    integration: &'a str,
    /// `built_in` or `python`.
    #[schema(value_type = String)]
    kind: Kind,
    method: &'a str,
    /// Names the code that runs.
    code_digest: &'a str,
    pure: bool,
    repeatable: bool,
    arguments: ArgumentsView<'a>,
    /// An expression; where it is false the task is skipped.
    when: Option<&'a str>,
    #[schema(value_type = String)]
    trigger_rule: TriggerRule,
    retry: RetryView,
    /// Limit of one attempt.
    #[schema(value_type = Option<f64>)]
    timeout_seconds: Option<Number>,
    /// Who must approve before it starts; null: nobody is asked.
    approval: Option<GateView<'a>>,
}

/// A gate before a task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanGate)]
struct GateView<'a> {
    #[serde(flatten)]
    policy: PolicyView,
    /// A JSON Schema of what the approver fills in.
    #[schema(value_type = Option<Object>)]
    input: Option<&'a Value>,
}

/// An object as it was written in the flow; a list where parameters are bound by name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PlanArguments)]
enum ArgumentsView<'a> {
    #[schema(value_type = Object)]
    Written(&'a BTreeMap<String, Value>),
    Named(Vec<SourceView<'a>>),
}

/// Where the value of a parameter comes from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanArgumentSource)]
struct SourceView<'a> {
    parameter: &'a str,
    /// `metadata`: the request's, under the parameter's name; `task`: the result of a task before it;
    /// null: it is optional and not passed.
    source: Option<&'static str>,
    /// `index` of that task.
    task_operation: Option<u32>,
    /// The field of that task's result; null: the whole result.
    output: Option<&'a str>,
}

/// When a failed attempt is tried again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanRetry)]
struct RetryView {
    /// Attempts in all.
    max_attempts: u32,
    #[schema(value_type = f64)]
    delay_seconds: Number,
    /// `constant` or `exponential`.
    #[schema(value_type = String)]
    backoff: Backoff,
    #[schema(value_type = f64)]
    max_delay_seconds: Number,
}

/// The target waits for the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanDependency)]
struct DependencyView {
    source_task_operation: u32,
    target_task_operation: u32,
}

/// Get the plan of a flow run
///
/// What an approval approves and what runs, read from what was stored when the run was made: later
/// edits of the flow or the request change nothing here.
#[utoipa::path(
    get,
    path = "/flow_runs/plan",
    tag = "Flow runs",
    params(OnRun),
    responses((status = 200, body = PlanView<'static>), (status = 404, description = "Not found"))
)]
pub(crate) async fn plan(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnRun>,
) -> Result<Response, ApiError> {
    let run = RunId(on.flow_run_id);
    let row = find(&app, &caller, run).await?;
    let plan = app.store().plan(run).await?;
    if plan.head.organization != caller.organization.0 {
        return Err(ApiError::NotFound(THING));
    }
    let asks = asks::of(&app, &row, &plan).await?;
    let heavy = plan.graph.len() > SMALL;
    let text = offload(heavy, move || {
        serde_json::to_string(&PlanView::of(run, &plan, asks))
    })
    .await?
    .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(json_text(StatusCode::OK, text))
}

impl<'a> PlanView<'a> {
    fn of(run: RunId, plan: &'a Plan, asks: Vec<AskView>) -> PlanView<'a> {
        let (head, body) = (&plan.head, plan.graph.body());
        let operations = body.operations.iter().enumerate();
        let dependencies = body.edges.iter().map(|&(source, target)| DependencyView {
            source_task_operation: source,
            target_task_operation: target,
        });
        PlanView {
            flow_run: run.0,
            plan_hash: plan.hash.to_string(),
            v: head.v,
            flow: head.flow,
            flow_name: &head.flow_name,
            flow_version: head.flow_version,
            triggered_by: &head.triggered_by,
            requester: PartyView {
                user: head.requester,
                email: &head.triggered_by,
            },
            author: head.author.as_ref().map(|author| PartyView {
                user: author.user,
                email: &author.email,
            }),
            request: RequestView {
                instructions: &head.request.instructions,
                name: head.request.name.as_deref(),
                metadata: &head.request.metadata,
            },
            policy: PolicyView::of(&head.policy),
            operations: operations
                .map(|(position, operation)| OperationView::of(position, operation, head))
                .collect(),
            dependencies: dependencies.collect(),
            on_failure: body.on_failure,
            timeout_seconds: body.timeout_ms.map(seconds),
            asks,
        }
    }
}

impl<'a> OperationView<'a> {
    fn of(position: usize, operation: &'a Operation, head: &Head) -> OperationView<'a> {
        OperationView {
            index: operation.index,
            sorted_index: position,
            name: &operation.name,
            instruction: operation.instruction.as_deref(),
            task_definition: operation.definition,
            integration: &operation.integration,
            kind: operation.kind,
            method: &operation.method,
            code_digest: &operation.code_digest,
            pure: operation.pure,
            repeatable: operation.repeatable,
            arguments: match &operation.arguments {
                Arguments::Given(arguments) => ArgumentsView::Written(arguments),
                Arguments::ByName(sources) => {
                    let sources = sources.iter().map(|source| SourceView::of(source, head));
                    ArgumentsView::Named(sources.collect())
                }
            },
            when: operation.when.as_deref(),
            trigger_rule: operation.trigger_rule,
            retry: operation.retry.into(),
            timeout_seconds: operation.timeout_ms.map(seconds),
            approval: operation.approval.as_ref().map(|gate| GateView {
                policy: PolicyView::of(&gate.policy),
                input: gate.input.as_ref(),
            }),
        }
    }
}

impl<'a> SourceView<'a> {
    /// As binding chooses: the request's metadata first, then the task before it.
    fn of(named: &'a NamedSource, head: &Head) -> SourceView<'a> {
        let parameter = named.parameter.as_str();
        let metadata = head.request.metadata.contains_key(parameter);
        let task_operation = named.upstream.filter(|_| !metadata);
        SourceView {
            parameter,
            source: match (metadata, task_operation) {
                (true, _) => Some("metadata"),
                (false, Some(_)) => Some("task"),
                (false, None) => None,
            },
            task_operation,
            output: task_operation.filter(|_| !named.whole).map(|_| parameter),
        }
    }
}

impl From<Retry> for RetryView {
    fn from(retry: Retry) -> RetryView {
        RetryView {
            max_attempts: retry.max_attempts,
            delay_seconds: seconds(retry.delay_ms),
            backoff: retry.backoff,
            max_delay_seconds: seconds(retry.max_delay_ms),
        }
    }
}
