//! Which standing approval covers a run that is made: what can be told beforehand is told outside the transaction,
//! and the use is counted within it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::Beforehand;
use neena_engine::{Hash, Micros};
use neena_store::entities::approval;
use neena_store::entities::standing_approval::Model;
use neena_store::queries;
use neena_store::queries::standing::use_for;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use uuid::Uuid;

use super::vote::policy;
use crate::error::ApiError;
use crate::offload::offload;
use crate::state::AppState;

/// A standing approval that covers a plan, unless it is used up, over or revoked by then.
#[derive(Debug)]
pub(crate) struct Candidate {
    id: Uuid,
    /// Who approved it, in words.
    by: String,
}

/// Of each plan those that cover it, oldest first. Where no policy allows any, nothing is read.
pub(crate) async fn candidates(
    app: &AppState,
    plans: &[Arc<Plan>],
) -> Result<Vec<Vec<Candidate>>, ApiError> {
    let mut flows: HashMap<Uuid, InForce> = HashMap::new();
    let mut all = Vec::with_capacity(plans.len());
    for plan in plans {
        if !plan.head.policy.standing {
            all.push(Vec::new());
            continue;
        }
        let in_force = match flows.entry(plan.head.flow) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(InForce::for_flow_of(app, plan).await?),
        };
        all.push(in_force.covering(app, plan).await?);
    }
    Ok(all)
}

/// The standing approvals of a flow.
struct InForce {
    rows: Vec<Model>,
    votes: Vec<approval::Model>,
}

impl InForce {
    async fn for_flow_of(app: &AppState, plan: &Plan) -> Result<InForce, ApiError> {
        let organization = OrganizationId(plan.head.organization);
        let tenant = queries::of(app.db().reader(), organization);
        let rows = tenant.active_standings(FlowId(plan.head.flow)).await?;
        let votes = tenant
            .standing_votes(&rows.iter().collect::<Vec<_>>())
            .await?;
        Ok(InForce { rows, votes })
    }

    async fn covering(&self, app: &AppState, plan: &Plan) -> Result<Vec<Candidate>, ApiError> {
        let mut covering = Vec::new();
        for row in &self.rows {
            let votes = self.votes.iter();
            let own: Vec<&approval::Model> = votes
                .filter(|vote| vote.run_id == row.id && vote.plan_hash == row.hash)
                .collect();
            let counts = policy(row)? == plan.head.policy && by_others(plan, &own);
            if counts && covers(app, row, plan).await? {
                let by: Vec<&str> = own
                    .iter()
                    .map(|vote| vote.approver_email.as_str())
                    .collect();
                covering.push(Candidate {
                    id: row.id,
                    by: by.join(", "),
                });
            }
        }
        Ok(covering)
    }
}

/// Of each run the first of its candidates that has a use left, which is counted in this transaction.
pub(crate) async fn covering(
    tx: &impl ConnectionTrait,
    organization: OrganizationId,
    runs: &[(RunId, Vec<Candidate>)],
    now: Micros,
) -> Result<Vec<Option<Covered>>, ApiError> {
    let ids = |candidates: &[Candidate]| candidates.iter().map(|one| one.id).collect();
    let wanted: Vec<(RunId, Vec<Uuid>)> = runs
        .iter()
        .map(|(run, candidates)| (*run, ids(candidates)))
        .collect();
    let used = use_for(tx, organization, &wanted, now).await?;
    let covered = |((_, candidates), id): (&(RunId, Vec<Candidate>), Option<Uuid>)| {
        let one = candidates.iter().find(|one| Some(one.id) == id)?;
        Some(Covered {
            standing: one.id,
            why: Beforehand::Standing {
                id: one.id,
                by: one.by.clone(),
            },
        })
    };
    Ok(runs.iter().zip(used).map(covered).collect())
}

/// By which standing approval a run is covered.
pub(crate) struct Covered {
    pub(crate) standing: Uuid,
    pub(crate) why: Beforehand,
}

/// Whether the requester of the run is none of those who approved beforehand, where they may not be.
fn by_others(plan: &Plan, votes: &[&approval::Model]) -> bool {
    let requester = plan.head.origin().requester;
    let by_requester = votes.iter().any(|vote| {
        let place = vote.stands_in_for.as_deref();
        requester.is(Some(vote.approver.into()), &vote.approver_email)
            || place.is_some_and(|place| requester.is(None, place))
    });
    !plan.head.policy.distinct_from_requester || !by_requester
}

async fn covers(app: &AppState, row: &Model, plan: &Plan) -> Result<bool, ApiError> {
    let head = &plan.head;
    if let Some(hash) = &row.plan_hash {
        return Ok(hash.parse::<Hash>().is_ok_and(|hash| hash == plan.hash));
    }
    let same = row.graph == head.graph.to_string()
        && u32::try_from(row.flow_version).is_ok_and(|version| version == head.flow_version);
    let bounds = row.bounds.as_deref().map(serde_json::from_str::<Value>);
    let (true, Some(Ok(bounds))) = (same, bounds) else {
        return Ok(false);
    };
    let metadata = Value::Object((*head.request.metadata).clone()).to_string();
    let forms = app.forms().clone();
    let faults = offload(metadata.len() > 4_096, move || {
        forms.faults(&bounds, &metadata)
    });
    Ok(faults.await?.is_empty())
}
