//! What waits for the caller.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use neena_engine::approval::{Person, Policy, Principal, Right, Roles, among, may_approve};
use neena_engine::ids::RunId;
use neena_engine::plan::Plan;
use neena_engine::run::Vote;
use neena_store::queries::{self, Place, Reader, Tenant, Waiting, Window};
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
    let mut rights = Rights::new();
    for asked in tenant.audiences().await? {
        if let Some(right) = among(&asked.audience, &person) {
            rights.insert(asked.hash, right.stands_in_for.is_none());
        }
    }
    let window = paging.window();
    let places = open_to(&app, &tenant, &person, &rights, window).await?;
    let mut lent = HashMap::new();
    let page: Vec<Place> = places
        .into_iter()
        .map(|(place, right)| {
            lent.insert((place.run_id, place.idx, place.item), right.stands_in_for);
            place
        })
        .collect();
    let rows = tenant.at_places(&page).await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let stage = match &row.stage_name {
            Some(name) => name.clone(),
            // The stages of gates stand in the graph, which is read once for all runs of a flow version.
            None => stage_of(&*app.store().plan(RunId(row.run_id)).await?, &row),
        };
        let stands_in_for = lent.remove(&(row.run_id, row.idx, row.item)).flatten();
        views.push(WaitingView::of(row, stage, stands_in_for));
    }
    Ok(Json(views))
}

/// The audiences somebody is one of, by hash; whether in their own place.
type Rights = HashMap<String, bool>;

/// The places of the window among what `person` may decide, each with their right.
async fn open_to<C: ConnectionTrait>(
    app: &AppState,
    tenant: &Tenant<'_, C>,
    person: &Person<'_>,
    rights: &Rights,
    window: Window,
) -> Result<Vec<(Place, Right)>, ApiError> {
    let audiences: Vec<String> = rights.keys().cloned().collect();
    let reader = Reader {
        user: person.user,
        email: person.email,
    };
    let wanted = window.skip.saturating_add(window.limit);
    let mut most = wanted;
    let mut checked = 0;
    let mut open: Vec<(Place, Right)> = Vec::new();
    loop {
        let places = tenant.inbox(&audiences, reader, most).await?;
        let last = (places.len() as u64) < most;
        for place in places.into_iter().skip(checked) {
            checked += 1;
            let own = rights.get(&place.audience).copied().unwrap_or_default();
            if let Some(right) = right(app, tenant, person, &place, own).await? {
                open.push((place, right));
            }
        }
        if last || open.len() as u64 >= wanted {
            break;
        }
        // As many again as are missing, and some more.
        most = most.saturating_mul(2);
    }
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(open
        .into_iter()
        .skip(number(window.skip))
        .take(number(window.limit))
        .collect())
}

/// The right of `person` to approve what is asked at `place`; none: they may not. `own`: whether it is asked of them
/// in their own place. Then a first stage holds nothing that was not looked at in finding it, and no plan is read.
async fn right<C: ConnectionTrait>(
    app: &AppState,
    tenant: &Tenant<'_, C>,
    person: &Person<'_>,
    place: &Place,
    own: bool,
) -> Result<Option<Right>, ApiError> {
    if own && place.stage == 0 {
        return Ok(Some(Right {
            stands_in_for: None,
        }));
    }
    let run = RunId(place.run_id);
    let plan = app.store().plan(run).await?;
    let votes = tenant.votes(run).await?;
    let votes: Vec<Vote> = votes
        .iter()
        .filter(|vote| (vote.idx, vote.item) == (place.idx, place.item))
        .map(queries::standing::vote)
        .collect();
    let stage = usize::try_from(place.stage).unwrap_or_default();
    let right = policy(&plan, place.idx).and_then(|policy| {
        let origin = plan.head.origin();
        may_approve(policy, stage, place.escalated, person, &origin, &votes).ok()
    });
    Ok(right)
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

/// The policy of the plan, or of its gate before the operation `index`.
fn policy(plan: &Plan, index: i64) -> Option<&Policy> {
    let Ok(index) = u32::try_from(index) else {
        return Some(&plan.head.policy);
    };
    let position = plan.graph.position(index)?;
    let gate = plan.graph.operation(position).approval.as_ref()?;
    Some(&gate.policy)
}

fn stage_of(plan: &Plan, row: &Waiting) -> String {
    let stage = usize::try_from(row.stage).unwrap_or_default();
    policy(plan, row.idx)
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
