//! Plans whose code has moved on while they waited.

use std::collections::HashMap;

use neena_engine::Hash;
use neena_engine::ids::{OrganizationId, RunId, TaskDefinitionId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, History, Refused};
use neena_store::entities::flow_run;
use neena_store::queries::catalogue;
use neena_store::renewal::{Renewal, history, renewal};
use neena_store::{Decided, Deciding, Message};
use uuid::Uuid;

use super::sentence;
use crate::error::ApiError;
use crate::state::AppState;

/// Whether the code of plans is current, found out once for each graph that no run has begun to walk.
#[derive(Default)]
pub(super) struct Currency(HashMap<Hash, bool>);

impl Currency {
    /// Whether every task of the plan that has not ended still has, in the catalogue, the code it was planned with.
    pub(super) async fn of(
        &mut self,
        app: &AppState,
        row: &flow_run::Model,
        plan: &Plan,
    ) -> Result<bool, ApiError> {
        if row.start_time.is_some() {
            let history = app.store().load(RunId(row.id)).await?;
            return is_current(app, plan, &history).await;
        }
        let graph = plan.graph.hash();
        if let Some(known) = self.0.get(&graph) {
            return Ok(*known);
        }
        let current = is_current(app, plan, &History::default()).await?;
        self.0.insert(graph, current);
        Ok(current)
    }
}

async fn is_current(app: &AppState, plan: &Plan, history: &History) -> Result<bool, ApiError> {
    let operations = &plan.graph.body().operations;
    let ended = history.ended();
    let planned: HashMap<Uuid, &str> = operations
        .iter()
        .filter(|operation| !ended.contains(&operation.index))
        .map(|operation| (operation.definition, operation.code_digest.as_str()))
        .collect();
    let ids = planned.keys().map(|id| TaskDefinitionId(*id));
    let known = catalogue::digests_of(app.db().reader(), ids).await?;
    let current = |(id, digest): (&Uuid, &&str)| known.get(id).is_some_and(|now| now == digest);
    Ok(planned.iter().all(current))
}

/// Gives a run whose code is not the registry's any more the plan with the code there is now. The answer to who would
/// have approved the old one, and what is to be announced.
pub(super) async fn renew(
    app: &AppState,
    organization: OrganizationId,
    run: RunId,
    began: bool,
) -> Result<(Vec<Message>, ApiError), ApiError> {
    let plan = app.store().plan(run).await?;
    let history = history(app.store(), run, began).await?;
    let changed = sentence(&Refused::CodeChanged.to_string());
    let answer = |answer: String| Ok((Vec::new(), ApiError::Conflict(answer)));
    let decision = match renewal(app.store(), &plan, &history).await? {
        Renewal::Plan(new) => Decision::Resubmit {
            plan: new,
            from: plan.hash,
            why: Refused::CodeChanged.to_string(),
        },
        Renewal::Current => return answer(changed),
        Renewal::Unfit(why) => {
            return answer(format!(
                "{changed}, and the flow does not fit it any more: {why}"
            ));
        }
    };
    let deciding = Deciding {
        run,
        organization,
        decision,
        code_current: true,
    };
    // Another may have done it meanwhile: whatever the plan is now, it is to be read.
    let messages = match app.store().decide(&deciding).await? {
        Decided::Done { outbox, .. } => outbox,
        _ => Vec::new(),
    };
    let answer = format!("{changed}; it holds a new plan now, which is to be read and approved");
    Ok((messages, ApiError::Conflict(answer)))
}
