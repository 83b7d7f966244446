//! What waits for the caller.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use neena_engine::approval::{Person, Principal, Roles, Subject, among};
use neena_engine::ids::RunId;
use neena_engine::plan::Plan;
use neena_engine::run::TaskKey;
use neena_store::queries::{self, Reader, Tenant, Waiting};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::Paging;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::Query;
use crate::state::AppState;
use crate::view::Time;

/// A question that waits for the caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingApproval)]
pub(crate) struct WaitingView {
    flow_run: Uuid,
    flow: Uuid,
    flow_name: Option<String>,
    /// Key of the gate; null: the plan as a whole.
    gate: Option<String>,
    /// Of the gate: what a decision about it names.
    task_operation_index: Option<i64>,
    /// The stage that is asked.
    stage: String,
    /// Approvals that stage has.
    approvals: i64,
    /// How many it takes.
    needed: i32,
    plan_hash: String,
    triggered_by: String,
    request_instructions: Option<String>,
    asked_time: Time,
    /// Until when an answer counts.
    due_time: Option<Time>,
    /// Whether others are asked as well, because nobody decided in time.
    escalated: bool,
    /// In whose place the caller may answer; null: in their own.
    stands_in_for: Option<String>,
}

/// List what waits for you
///
/// Plans and gates that you may decide, or may decide in somebody's place, the oldest first.
#[utoipa::path(
    get,
    path = "/approvals/all",
    tag = "Approvals",
    params(Paging),
    responses((status = 200, body = Vec<WaitingView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<WaitingView>>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let roles = roles(&app, &tenant, &caller).await?;
    let person = Person {
        user: caller.user,
        email: &caller.email,
        permissions: caller.permissions.words(),
        roles: &roles,
    };
    let mut places: HashMap<String, Option<String>> = HashMap::new();
    for asked in tenant.audiences().await? {
        if let Some(right) = among(&asked.audience, &person) {
            places.insert(asked.hash, right.stands_in_for);
        }
    }
    let audiences: Vec<String> = places.keys().cloned().collect();
    let reader = Reader {
        user: caller.user,
        email: &caller.email,
    };
    let rows = tenant.inbox(&audiences, reader, paging.window()).await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let stage = match &row.stage_name {
            Some(name) => name.clone(),
            // The stages of gates stand in the graph, which is read once for all runs of a flow version.
            None => stage_of(&*app.store().plan(RunId(row.run_id)).await?, &row),
        };
        let stands_in_for = places.get(&row.audience).cloned().flatten();
        views.push(WaitingView::of(row, stage, stands_in_for));
    }
    Ok(Json(views))
}

/// What the caller is in the organization now.
async fn roles<C: ConnectionTrait>(
    app: &AppState,
    tenant: &Tenant<'_, C>,
    caller: &Caller,
) -> Result<Roles, ApiError> {
    let now = app.db().now().await?;
    let mut roles = Roles {
        groups: tenant.groups_of(&caller.email).await?,
        stands_in_for: Vec::new(),
    };
    for lent in tenant.delegations_to(&caller.email, now).await? {
        roles.stands_in_for.push(Principal {
            user: lent.from_user.map(Into::into),
            groups: tenant.groups_of(&lent.from_email).await?,
            email: lent.from_email,
        });
    }
    Ok(roles)
}

fn stage_of(plan: &Plan, row: &Waiting) -> String {
    let subject = match u32::try_from(row.idx) {
        Ok(index) => Subject::Gate(TaskKey { index, item: None }),
        Err(_) => Subject::Run,
    };
    let policy = match subject {
        Subject::Run => Some(&plan.head.policy),
        Subject::Gate(key) => plan
            .graph
            .position(key.index)
            .and_then(|position| plan.graph.operation(position).approval.as_ref())
            .map(|gate| &gate.policy),
    };
    let stage = usize::try_from(row.stage).unwrap_or_default();
    policy
        .and_then(|policy| policy.stages.get(stage))
        .map(|stage| stage.name.clone())
        .unwrap_or_default()
}

impl WaitingView {
    fn of(row: Waiting, stage: String, stands_in_for: Option<String>) -> WaitingView {
        let is_gate = row.idx >= 0;
        WaitingView {
            flow_run: row.run_id,
            flow: row.flow_id,
            flow_name: row.flow_name,
            gate: is_gate.then_some(row.name),
            task_operation_index: is_gate.then_some(row.idx),
            stage,
            approvals: row.approvals,
            needed: row.needed,
            plan_hash: row.plan_hash,
            triggered_by: row.triggered_by,
            request_instructions: row.instructions,
            asked_time: Time::of(row.asked_at),
            due_time: row.due_at.map(Time::of),
            escalated: row.escalated,
            stands_in_for,
        }
    }
}
