//! Whether a link still decides: it is genuine, unused, in time, its step is asked, and its recipient may.

use std::sync::Arc;

use axum::http::StatusCode;
use neena_engine::approval::{AskState, Subject};
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::TaskKey;
use neena_store::entities::{approval_link, ask, user};
use neena_store::queries;
use neena_store::queries::reaching::{links, people};
use serde_json::Value;

use super::page::Told;
use crate::courier::{named, subject};
use crate::error::ApiError;
use crate::state::AppState;

/// A link that decides, and what it decides about.
pub(super) struct Opened {
    pub(super) link: approval_link::Model,
    pub(super) plan: Arc<Plan>,
    /// What is asked; none if it is not any more.
    pub(super) ask: Option<ask::Model>,
    /// Why there is nothing left to decide. Whoever decides all the same is refused by the one way to decide, which
    /// notes what came too late.
    pub(super) closed: Option<Told>,
    pub(super) subject: Subject,
    /// The name of the gate's task; none: the plan.
    pub(super) gate: Option<String>,
    pub(super) stage: Option<String>,
    /// Whether a reason must be given.
    pub(super) reason_required: bool,
    /// The recipient.
    pub(super) user: user::Model,
}

impl Opened {
    /// The schema of what is filled in, if anything is.
    pub(super) fn schema(&self) -> Option<&Value> {
        let Subject::Gate(TaskKey { index, .. }) = self.subject else {
            return None;
        };
        let graph = &self.plan.graph;
        let gate = graph.operation(graph.position(index)?).approval.as_ref()?;
        gate.input.as_ref()
    }
}

/// Opens the link of a token; or says why it decides nothing.
pub(super) async fn open(app: &AppState, token: &str) -> Result<Result<Opened, Told>, ApiError> {
    let reader = app.db().reader();
    let link = match named(token) {
        Some(id) => links::find(reader, id).await?,
        None => None,
    };
    let genuine = |link: &approval_link::Model| app.reaching().keys().holds(token, link);
    let Some(link) = link.filter(genuine) else {
        return Ok(Err(Told::UNKNOWN));
    };
    if link.done_at.is_some() {
        return Ok(Err(Told::used(link.used_as.as_deref())));
    }
    let now = app.db().now().await?;
    if link.expires_at <= now.0 {
        return Ok(Err(Told::EXPIRED));
    }
    let organization = OrganizationId(link.organization_id);
    let tenant = queries::of(reader, organization);
    let Some(run) = tenant.flow_run(RunId(link.run_id)).await? else {
        return Ok(Err(Told::GONE));
    };
    if run.plan_hash != link.plan_hash {
        return Ok(Err(Told::STALE));
    }
    let asks = tenant.asks(RunId(link.run_id)).await?;
    let asked = |ask: &ask::Model| (ask.idx, ask.item) == (link.idx, link.item);
    let ask = asks.into_iter().find(asked);
    let closed = closed(ask.as_ref(), link.stage);
    let recipient = [link.recipient.clone()];
    let mut able = people::approving(reader, organization, Some(&recipient)).await?;
    let Some(user) = able.remove(&link.recipient) else {
        return Ok(Err(Told::NO_APPROVER));
    };
    let plan = app.store().plan(RunId(link.run_id)).await?;
    let index = Some(link.idx).filter(|index| *index >= 0);
    let (gate, policy) = subject(&plan, index);
    let stage = usize::try_from(link.stage).ok();
    let stage = stage.and_then(|at| Some(policy?.stages.get(at)?.name.clone()));
    let reason_required = policy.is_some_and(|policy| policy.reason_required);
    Ok(Ok(Opened {
        subject: on(&link),
        gate,
        stage,
        reason_required,
        link,
        ask,
        closed,
        user,
        plan,
    }))
}

/// Why a link for `stage` has nothing to decide; none: it has.
fn closed(ask: Option<&ask::Model>, stage: i32) -> Option<Told> {
    match ask {
        None => Some(Told::DECIDED),
        Some(ask) if ask.state != AskState::Open.as_str() => {
            let why = ask.reason.as_ref().unwrap_or(&ask.state);
            let why = format!("It was decided already: {why}.");
            Some(Told::refused(StatusCode::CONFLICT, why))
        }
        Some(ask) if ask.stage != stage => Some(Told::MOVED_ON),
        Some(_) => None,
    }
}

fn on(link: &approval_link::Model) -> Subject {
    match u32::try_from(link.idx) {
        Ok(index) => Subject::Gate(TaskKey {
            index,
            item: u32::try_from(link.item).ok(),
        }),
        Err(_) => Subject::Run,
    }
}
