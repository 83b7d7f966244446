//! A vote on a standing approval: by the same rules as one on a run.

use futures_util::FutureExt;
use neena_engine::approval::{Origin, Party, Person, Policy, may_approve, tally};
use neena_engine::ids::UserId;
use neena_engine::run::{Refused, Vote, VoteKind, What};
use neena_engine::{Fault, Hash, loc};
use neena_store::entities::standing_approval::Model;
use neena_store::queries::standing::{NewVote, vote};
use neena_store::queries::{self, NewEntry};
use uuid::Uuid;

use super::{StandingView, THING};
use crate::auth::Caller;
use crate::deciding::refusal;
use crate::error::ApiError;
use crate::extract::{Pairs, QueryParameters};
use crate::state::AppState;

/// Which one, and why.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Approving {
    id: Uuid,
    /// Needed where the policy asks for a reason.
    #[param(required = false, value_type = String, max_length = 4096)]
    comment: Option<String>,
}

impl QueryParameters for Approving {
    fn read(pairs: &mut Pairs) -> Option<Approving> {
        let (id, comment) = (pairs.id("id"), pairs.words("comment", 4_096));
        Some(Approving {
            id: id?,
            comment: comment?,
        })
    }
}

pub(super) async fn approve(
    app: &AppState,
    caller: Caller,
    approving: Approving,
) -> Result<StandingView, ApiError> {
    let now = app.db().now().await?;
    let work = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            let row = tenant.lock_standing(approving.id).await?;
            let row = row.ok_or(ApiError::NotFound(THING))?;
            let stored = tenant.standing_votes(&[&row]).await?;
            let votes: Vec<Vote> = stored.iter().map(vote).collect();
            let policy = policy(&row)?;
            let stage = tally(&policy, &votes).stage;
            let spoke = |vote: &Vote| vote.approver == caller.user;
            let here = |vote: &Vote| vote.stage as usize == stage;
            let active = row.state == "active";
            if votes
                .iter()
                .any(|vote| spoke(vote) && (active || here(vote)))
            {
                return Ok(Ok(StandingView::of(row, &stored, now.0)));
            }
            if row.state != "open" || row.ends_at.is_some_and(|ends| ends <= now.0) {
                let why = "The standing approval does not ask for approvals any more";
                return Err(ApiError::Conflict(why.to_owned()));
            }
            let email = caller.email.as_ref();
            let roles = neena_store::roles(tx, caller.organization, email, now).await?;
            let person = Person {
                user: caller.user,
                email,
                permissions: caller.permissions.words(),
                roles: &roles,
            };
            let name = policy.stages.get(stage).map(|stage| stage.name.as_str());
            let right = match may_approve(&policy, stage, false, &person, &origin(&row), &votes) {
                Ok(right) => right,
                // It is noted, as with a run; nothing else was written that would have to go.
                Err(denied) => {
                    let result = format!("standing approval {}: refused: {denied}", row.id);
                    let entry = NewEntry {
                        what: What::Refused.as_str(),
                        plan_hash: plan_hash(&row),
                        stage: name,
                        comment: approving.comment.as_deref(),
                        result: &result,
                        ..caller.entry()
                    };
                    tenant.append(entry, now).await?;
                    return Ok(Err(refusal(&Refused::Denied(denied))));
                }
            };
            let given = approving.comment.as_deref().map(str::trim);
            if policy.reason_required && given.is_none_or(str::is_empty) {
                let msg = "The policy asks for a reason: a comment is needed";
                let fault = Fault::new(loc!["query", "comment"], "missing", msg);
                return Err(ApiError::fault(fault));
            }
            let own = Vote {
                approver: caller.user,
                email: email.to_owned(),
                stands_in_for: right.stands_in_for,
                stage: u32::try_from(stage).unwrap_or_default(),
                kind: VoteKind::Approve,
            };
            let new = NewVote {
                vote: &own,
                comment: approving.comment.as_deref(),
                way: caller.way,
            };
            tenant.vote_standing(&row, new, now).await?;
            let stands_in_for = own.stands_in_for.clone();
            let after = tally(&policy, &[votes, vec![own]].concat());
            let full = after.stage >= policy.stages.len();
            let have = after.approvals.get(stage).copied().unwrap_or_default();
            let needed = policy.stages.get(stage).map_or(1, |stage| stage.count);
            let result = format!("standing approval {}: {have} of {needed}", row.id);
            let entry = NewEntry {
                what: "standing_approve",
                stands_in_for: stands_in_for.as_deref(),
                plan_hash: plan_hash(&row),
                stage: name,
                comment: approving.comment.as_deref(),
                result: &result,
                ..caller.entry()
            };
            tenant.append(entry, now).await?;
            if full {
                tenant.activate_standing(row.id, now).await?;
                let result = format!("standing approval {} is active: {}", row.id, row.hash);
                let entry = NewEntry {
                    what: "standing_active",
                    result: &result,
                    stage: None,
                    comment: None,
                    ..entry
                };
                tenant.append(entry, now).await?;
            }
            let row = tenant.standing(approving.id).await?;
            let row = row.ok_or(ApiError::NotFound(THING))?;
            let votes = tenant.standing_votes(&[&row]).await?;
            Ok::<_, ApiError>(Ok(StandingView::of(row, &votes, now.0)))
        }
        .boxed()
    });
    work.await?
}

fn plan_hash(row: &Model) -> Option<Hash> {
    row.plan_hash.as_deref()?.parse().ok()
}

/// The policy it was made under.
pub(super) fn policy(row: &Model) -> Result<Policy, ApiError> {
    serde_json::from_str(&row.policy)
        .map_err(|error| ApiError::Internal(format!("the policy of {}: {error}", row.id)))
}

/// Whoever asked for it, and who wrote the flow's version.
fn origin(row: &Model) -> Origin {
    Origin {
        requester: Party {
            user: Some(UserId(row.requester)),
            email: row.requester_email.clone(),
        },
        author: Some(Party {
            user: row.author.map(UserId),
            email: row.author_email.clone(),
        }),
    }
}
