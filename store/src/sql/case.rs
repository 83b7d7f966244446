//! A decision to be carried out: with what the plan says about it, and the ids of what it will write.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::approval::{Origin, Policy, Subject};
use neena_engine::plan::{PLAN_V, Plan};
use neena_engine::run::Decision;
use uuid::Uuid;

use super::SqlStore;
use super::plan::plan_of;
use crate::{Deciding, Res};

/// A decision, and what it takes beside what is read under the lock.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) deciding: Deciding,
    pub(super) terms: Terms,
    pub(super) ids: Ids,
}

impl Case {
    pub(super) fn new(deciding: Deciding, terms: Terms) -> Case {
        Case {
            deciding,
            terms,
            ids: Ids::new(),
        }
    }

    /// One whose plan is at hand.
    pub(super) fn of(deciding: Deciding, plan: &Plan) -> Case {
        let terms = Terms::of(plan, deciding.decision.subject());
        Case::new(deciding, terms)
    }
}

/// The ids of what a decision writes, made before its first try. A second try of the same decision knows
/// the first by them.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    /// Its entry in the decision log.
    pub(super) decision: Uuid,
    /// The entry that it was refused: an earlier try may have been, and this one not.
    pub(super) refusal: Uuid,
    pub(super) vote: Uuid,
    pub(super) message: Uuid,
}

impl Ids {
    fn new() -> Ids {
        Ids {
            decision: Uuid::now_v7(),
            refusal: Uuid::now_v7(),
            vote: Uuid::now_v7(),
            message: Uuid::now_v7(),
        }
    }
}

/// What the plan says about deciding.
#[derive(Clone)]
pub(super) struct Terms {
    /// Of what is decided about; none where the plan has no such gate, or where it plays no part.
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) origin: Option<Arc<Origin>>,
    /// The key of the gate.
    pub(super) gate: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) plan_v: u32,
}

impl Terms {
    fn of(plan: &Plan, subject: Subject) -> Terms {
        let (policy, gate) = match subject {
            Subject::Run => (Some(&plan.head.policy), None),
            Subject::Gate(key) => {
                let position = plan.graph.position(key.index);
                let gate =
                    position.and_then(|position| plan.graph.operation(position).approval.as_ref());
                (
                    gate.map(|gate| &gate.policy),
                    position.map(|position| plan.graph.key(position)),
                )
            }
        };
        Terms {
            policy: policy.cloned().map(Arc::new),
            origin: Some(Arc::new(plan.head.origin())),
            gate,
            timeout: plan.graph.body().timeout_ms.map(Duration::from_millis),
            plan_v: plan.head.v,
        }
    }
}

/// Reads the terms where the decision depends on them; none if there is no such run. A plan never
/// changes, so this needs no lock.
pub(super) async fn terms(store: &SqlStore, deciding: &Deciding) -> Res<Option<Terms>> {
    if matches!(deciding.decision, Decision::Cancel { .. }) {
        return Ok(Some(Terms {
            policy: None,
            origin: None,
            gate: None,
            timeout: None,
            plan_v: PLAN_V,
        }));
    }
    let whose = (deciding.run, deciding.organization);
    let plan = plan_of(store.db().reader(), &store.graphs, whose).await?;
    Ok(plan.map(|plan| Terms::of(&plan, deciding.decision.subject())))
}
