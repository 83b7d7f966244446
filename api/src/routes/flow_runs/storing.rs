//! Runs that are planned, written: all of a call in one transaction, with what is decided about them at once.

use std::collections::HashMap;

use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::Micros;
use neena_engine::approval::Mode;
use neena_engine::plan::Plan;
use neena_engine::run::{Beforehand, Decision, Say};
use neena_store::{Message, NewRun, Transaction, insert_runs, queries};
use serde::Serialize;
use uuid::Uuid;

use super::making::{Making, Place};
use super::view::RunView;
use crate::auth::Caller;
use crate::deciding::{AtOnce, decide_new};
use crate::error::ApiError;
use crate::extract::Once;
use crate::routes::standing_approvals::covering as standing;
use crate::routes::standing_approvals::covering::Candidate;
use crate::state::AppState;

impl Making {
    /// Stores all of it, and answers what `shape` makes of the runs, which come in order.
    pub(super) async fn store<V: Serialize + Send + 'static>(
        self,
        app: &AppState,
        caller: Caller,
        once: Once,
        shape: impl FnOnce(Vec<RunView>) -> V + Send + 'static,
    ) -> Result<Response, ApiError> {
        let plans: Vec<_> = self
            .runs
            .iter()
            .map(|made| made.new.plan().clone())
            .collect();
        let candidates = standing::candidates(app, &plans).await?;
        let made = once.run(app.db(), move |tx, now| {
            async move {
                let (views, messages) = self.write(tx, &caller, candidates, now).await?;
                Ok((shape(views), messages))
            }
            .boxed()
        });
        let (response, messages) = made.await?;
        app.announce(messages, None);
        Ok(response)
    }

    async fn write(
        self,
        tx: &Transaction,
        caller: &Caller,
        candidates: Vec<Vec<Candidate>>,
        now: Micros,
    ) -> Result<(Vec<RunView>, Vec<Message>), ApiError> {
        let tenant = queries::of(tx, caller.organization);
        tenant.insert_flow_requests(self.requests).await?;
        let (new, approve): (Vec<NewRun>, Vec<bool>) = self
            .runs
            .into_iter()
            .map(|made| (made.new, made.approve))
            .unzip();
        insert_runs(tx, &new, now).await?;
        let ids: Vec<Uuid> = new.iter().map(|new| new.run().0).collect();
        let runs: Vec<_> = new.iter().map(NewRun::run).zip(candidates).collect();
        let covered = standing::covering(tx, caller.organization, &runs, now).await?;
        let mut by = HashMap::new();
        let (mut places, mut at_once) = (Vec::new(), Vec::new());
        for (place, ((new, approve), covered)) in new.iter().zip(approve).zip(covered).enumerate() {
            let beforehand = covered.map(|covered| {
                by.insert(new.run().0, covered.standing);
                let (actor, why) = (caller.actor(), covered.why);
                Decision::Start { actor, why }
            });
            let decision = beforehand.or_else(|| decided_at_once(caller, new.plan(), approve));
            let Some(decision) = decision else { continue };
            places.push(place);
            at_once.push(AtOnce {
                run: new.run(),
                plan: new.plan().clone(),
                decision,
            });
        }
        let decided = decide_new(tx, caller.organization, at_once).await;
        let messages = decided.map_err(|(nth, error)| refused(self.place, &places, nth, error))?;
        let mut rows: HashMap<Uuid, _> = HashMap::with_capacity(ids.len());
        for row in tenant.flow_run_rows(&ids).await? {
            rows.insert(row.id, row);
        }
        let view = |id: &Uuid| {
            let row = rows.remove(id);
            let row = row.ok_or_else(|| ApiError::Internal("the new run is gone".to_owned()))?;
            Ok(RunView::fresh(row).started_by(by.get(id).copied()))
        };
        let views: Result<Vec<RunView>, ApiError> = ids.iter().map(view).collect();
        Ok((views?, messages))
    }
}

fn refused(place: Place, places: &[usize], nth: usize, error: ApiError) -> ApiError {
    match places.get(nth) {
        Some(item) => place.refusal(*item, error),
        None => error,
    }
}

/// What is decided about a run along with making it.
fn decided_at_once(caller: &Caller, plan: &Plan, approve: bool) -> Option<Decision> {
    let actor = caller.actor();
    if plan.head.policy.mode == Mode::None {
        let why = Beforehand::Policy;
        return Some(Decision::Start { actor, why });
    }
    approve.then(|| Decision::Approve(Say::of_run(actor, None)))
}
