//! The decision log: every entry is written in the transaction of what it tells of, and never changed.

use neena_engine::Micros;
use neena_engine::approval::Subject;
use neena_engine::run::{Actor, Note};
use sea_orm::Value;
use uuid::Uuid;

use super::asks::place;
use super::chunk::Rows;

/// Adds entries, but for those that an earlier try of the same decision has added.
pub(super) static INSERT: Rows = Rows::new(
    "INSERT INTO decisions (id, organization_id, run_id, idx, item, gate, what, actor, actor_email, \
     stands_in_for, way, plan_hash, stage, comment, result, at) VALUES",
    16,
    "ON CONFLICT (id) DO NOTHING",
);

/// What an entry is about.
pub(super) struct About {
    pub(super) organization: Uuid,
    pub(super) run: Uuid,
    pub(super) plan_hash: String,
    /// The key of the gate.
    pub(super) gate: Option<String>,
}

/// The values of an entry. `actor`: who decided; none: time did.
pub(super) fn values(
    id: Uuid,
    about: About,
    actor: Option<&Actor>,
    note: &Note,
    now: Micros,
) -> [Value; 16] {
    let place = match note.subject {
        Subject::Run => None,
        gate => Some(place(gate)),
    };
    [
        id.into(),
        about.organization.into(),
        about.run.into(),
        place.map(|(index, _)| index).into(),
        place.map(|(_, item)| item).into(),
        about.gate.into(),
        note.what.as_str().into(),
        actor.map(|actor| actor.user.0).into(),
        actor.map(|actor| actor.email.clone()).into(),
        note.stands_in_for.clone().into(),
        actor.map_or("time", |actor| actor.way).into(),
        about.plan_hash.into(),
        note.stage.clone().into(),
        note.comment.clone().into(),
        note.result.clone().into(),
        now.0.into(),
    ]
}
