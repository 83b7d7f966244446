//! Which standing approval covers a run that is made: what can be told beforehand is told outside the transaction,
//! and the use is counted within it.

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

/// Those that cover `plan`, oldest first. Where the policy allows none, nothing is read.
pub(crate) async fn candidates(app: &AppState, plan: &Plan) -> Result<Vec<Candidate>, ApiError> {
    if !plan.head.policy.standing {
        return Ok(Vec::new());
    }
    let organization = OrganizationId(plan.head.organization);
    let tenant = queries::of(app.db().reader(), organization);
    let rows = tenant.active_standings(FlowId(plan.head.flow)).await?;
    let mut covering = Vec::new();
    for row in rows {
        if policy(&row)? == plan.head.policy && covers(app, &row, plan).await? {
            covering.push(row);
        }
    }
    let votes = tenant
        .standing_votes(&covering.iter().collect::<Vec<_>>())
        .await?;
    let candidate = |row: Model| {
        let own: Vec<&approval::Model> = votes
            .iter()
            .filter(|vote| vote.run_id == row.id && vote.plan_hash == row.hash)
            .collect();
        let by: Vec<&str> = own
            .iter()
            .map(|vote| vote.approver_email.as_str())
            .collect();
        by_others(plan, &own).then(|| Candidate {
            id: row.id,
            by: by.join(", "),
        })
    };
    Ok(covering.into_iter().filter_map(candidate).collect())
}

/// The first of the candidates that has a use left, which is counted in this transaction.
pub(crate) async fn covering(
    tx: &impl ConnectionTrait,
    organization: OrganizationId,
    run: RunId,
    candidates: &[Candidate],
    now: Micros,
) -> Result<Option<Beforehand>, ApiError> {
    for candidate in candidates {
        if use_for(tx, organization, candidate.id, run, now).await? {
            return Ok(Some(Beforehand::Standing {
                id: candidate.id,
                by: candidate.by.clone(),
            }));
        }
    }
    Ok(None)
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
