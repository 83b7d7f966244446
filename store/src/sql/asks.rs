//! What waits for people, and the votes on it.

use std::collections::BTreeMap;

use neena_engine::Hash;
use neena_engine::approval::{Ask, AskState, Asked, Audience, Policy, Subject};
use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::run::{TaskKey, Vote, VoteKind};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::{Rows, bare_lists};
use super::row::{Reader, item, small, text, time};
use super::script::Script;
use super::{all, execute};
use crate::{Lapsed, Res, StoreError};

/// Columns of `asks`, in the order [`ask`] reads them.
pub(super) const ASK: &str = "s.idx, s.item, s.state, s.stage, s.asked_at, s.due_at, s.wake_at, s.escalated, \
     s.tell, s.answer, s.reason";

/// Inserts rows of `asks`; a question that was put already stays as it is.
static INSERT: Rows = Rows::new(
    "INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, needed, audience, \
     asked_at, due_at, wake_at, escalated, tell, requester, author) VALUES",
    17,
    "ON CONFLICT (run_id, idx, item) DO NOTHING",
);

const INSERT_AUDIENCE: &str = "INSERT INTO audiences (organization_id, hash, body) SELECT ?, ?, ? \
     WHERE NOT EXISTS (SELECT 1 FROM audiences WHERE organization_id = ? AND hash = ?) \
     ON CONFLICT (organization_id, hash) DO NOTHING";

/// Writes what became of questions.
pub(super) static UPDATE: Rows = Rows::new(
    "UPDATE asks SET state = v.column4, stage = v.column5, audience = v.column6, asked_at = v.column7, \
     due_at = v.column8, wake_at = v.column9, escalated = v.column10, tell = v.column11, answer = v.column12, \
     reason = v.column13, needed = v.column14 FROM (VALUES",
    14,
    ") AS v WHERE run_id = v.column1 AND idx = v.column2 AND item = v.column3",
);

/// Writes the votes of people in stages; the last one of each counts.
pub(super) static UPSERT_VOTES: Rows = Rows::new(
    "INSERT INTO approvals (id, run_id, idx, item, stage, approver, approver_email, stands_in_for, plan_hash, \
     decision, comment, way, at) VALUES",
    13,
    "ON CONFLICT (run_id, idx, item, plan_hash, stage, approver) DO UPDATE SET \
       stands_in_for = excluded.stands_in_for, decision = excluded.decision, \
       comment = excluded.comment, way = excluded.way, at = excluded.at",
);

/// The place of a subject: the index and item of a gate's task, -1 and -1 of the run itself.
pub(super) fn place(subject: Subject) -> (i64, i64) {
    match subject {
        Subject::Run => (-1, -1),
        Subject::Gate(key) => (i64::from(key.index), item(key)),
    }
}

fn subject(index: i64, item: i64) -> Subject {
    match u32::try_from(index) {
        Ok(index) => Subject::Gate(TaskKey {
            index,
            item: u32::try_from(item).ok(),
        }),
        Err(_) => Subject::Run,
    }
}

/// A run, its organization and its flow.
pub(super) type OfRun = (RunId, OrganizationId, FlowId);

/// Puts questions about runs.
pub(super) fn put(asked: &[(OfRun, &Asked)], script: &mut Script) {
    let mut values: Vec<Value> = Vec::with_capacity(asked.len() * 17);
    let mut audiences = Audiences::new();
    for ((run, organization, flow), one) in asked {
        let (index, item) = place(one.ask.subject);
        let hash = one.audience.hash();
        audiences
            .entry((*organization, hash))
            .or_insert_with(|| one.audience.clone());
        values.extend([
            run.0.into(),
            index.into(),
            item.into(),
            organization.0.into(),
            flow.0.into(),
            one.name.clone().into(),
            one.ask.state.as_str().into(),
            small(one.ask.stage),
            small(one.needed),
            hash.to_string().into(),
            one.ask.asked_at.0.into(),
            time(one.ask.due_at),
            time(one.ask.wake_at),
            one.ask.escalated.into(),
            one.ask.tell.map(|tell| tell.as_str()).into(),
            one.requester.clone().unwrap_or_default().into(),
            one.author.clone().into(),
        ]);
    }
    name(&audiences, script);
    INSERT.add(values, script);
}

/// Audiences by organization and hash: in this order they are made known, so that two that bring the same ones do
/// not wait for each other crosswise.
pub(super) type Audiences = BTreeMap<(OrganizationId, Hash), Audience>;

/// Makes audiences known to their organizations. Most are, and then nothing is written: an upsert would make all
/// that ask the same people wait for each other.
pub(super) fn name(audiences: &Audiences, script: &mut Script) {
    for ((organization, hash), audience) in audiences {
        let (organization, hash) = (Value::from(organization.0), Value::from(hash.to_string()));
        let body = serde_json::to_string(audience).unwrap_or_default();
        let values = vec![
            organization.clone(),
            hash.clone(),
            body.into(),
            organization,
            hash,
        ];
        script.add(INSERT_AUDIENCE, values);
    }
}
/// The values of what became of a question, of which `policy` says who is asked now; and whom that is, if they
/// are to be made known.
pub(super) fn update_values(
    run: RunId,
    ask: &Ask,
    policy: &Policy,
) -> ([Value; 14], Option<Audience>) {
    let audience = ask.audience(policy);
    let (index, item) = place(ask.subject);
    let values = [
        run.0.into(),
        index.into(),
        item.into(),
        ask.state.as_str().into(),
        small(ask.stage),
        audience.hash().to_string().into(),
        ask.asked_at.0.into(),
        time(ask.due_at),
        time(ask.wake_at),
        ask.escalated.into(),
        ask.tell.map(|tell| tell.as_str()).into(),
        text(ask.answer.as_ref()),
        ask.reason.clone().into(),
        small(ask.needed(policy)),
    ];
    (values, (ask.state == AskState::Open).then_some(audience))
}

/// The plans are asked about no more; nor, if the runs go no further, is any gate of them.
pub(super) fn drop(runs: &[Uuid], with_gates: bool, script: &mut Script) {
    let which = match with_gates {
        true => "(idx = -1 OR state = 'open')",
        false => "idx = -1",
    };
    for list in bare_lists(runs) {
        let sql = format!(
            "DELETE FROM asks WHERE run_id IN ({}) AND {which}",
            list.places
        );
        script.add(sql, list.ids);
    }
}

/// These gates are asked about no more.
pub(super) fn withdraw(run: RunId, gates: &[TaskKey], script: &mut Script) {
    let sql =
        "DELETE FROM asks WHERE run_id = ? AND idx = ? AND item = ? AND (state = 'open') IS TRUE";
    for gate in gates {
        let (index, item) = place(Subject::Gate(*gate));
        script.add(sql, vec![run.0.into(), index.into(), item.into()]);
    }
}

/// A new round: the gates of tasks that did not complete are asked about again, and the votes on them gone. What
/// was said is in the decision log.
pub(super) async fn open_round(connection: &impl ConnectionTrait, run: RunId) -> Res<()> {
    for table in ["asks", "approvals"] {
        let sql = format!(
            "DELETE FROM {table} WHERE run_id = $1 AND idx >= 0 AND NOT EXISTS (SELECT 1 FROM task_runs t \
             WHERE t.run_id = {table}.run_id AND t.idx = {table}.idx AND t.item = {table}.item \
               AND t.status = 'completed')"
        );
        execute(connection, sql, [run.0.into()]).await?;
    }
    Ok(())
}

/// The gates of a run that were reached, in order.
pub(super) async fn gates(connection: &impl ConnectionTrait, run: RunId) -> Res<Vec<Ask>> {
    let sql = format!(
        "SELECT {ASK} FROM asks s WHERE s.run_id = $1 AND s.idx >= 0 ORDER BY s.idx, s.item"
    );
    let rows = all(connection, sql, [run.0.into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            ask(&mut row)?.ok_or_else(|| StoreError::Refused("an ask without a place".to_owned()))
        })
        .collect()
}

/// Questions whose time has come. Nothing is locked: each is looked at again when it is decided.
pub(super) async fn lapsed(connection: &impl ConnectionTrait, limit: u16) -> Res<Vec<Lapsed>> {
    let now = crate::db::now(connection).await?;
    let sql = "SELECT run_id, organization_id, idx, item FROM asks WHERE wake_at <= $1 \
         ORDER BY wake_at LIMIT $2";
    let rows = all(connection, sql, [now.0.into(), i64::from(limit).into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            Ok(Lapsed {
                run: row.id()?,
                organization: row.id()?,
                subject: subject(row.get()?, row.get()?),
            })
        })
        .collect()
}

/// The ask in the next columns, if there is one.
pub(super) fn ask(row: &mut Reader<'_>) -> Res<Option<Ask>> {
    let index: Option<i64> = row.get()?;
    let item: Option<i64> = row.get()?;
    let state: Option<String> = row.get()?;
    let stage: Option<i32> = row.get()?;
    let asked_at = row.time()?;
    let (due_at, wake_at) = (row.time()?, row.time()?);
    let escalated: Option<bool> = row.get()?;
    let tell = row.maybe_word()?;
    let answer = row.json()?;
    let reason = row.get()?;
    let (Some(index), Some(item), Some(state)) = (index, item, state) else {
        return Ok(None);
    };
    Ok(Some(Ask {
        subject: subject(index, item),
        state: state
            .parse()
            .map_err(|error| StoreError::Refused(format!("`{state}`: {error}")))?,
        stage: u32::try_from(stage.unwrap_or_default()).unwrap_or_default(),
        asked_at: asked_at.unwrap_or_default(),
        due_at,
        wake_at,
        escalated: escalated.unwrap_or_default(),
        tell,
        answer,
        reason,
    }))
}

/// Columns of `approvals`, in the order [`vote`] reads them.
pub(super) const VOTE: &str = "a.approver, a.approver_email, a.stands_in_for, a.stage, a.decision";

/// The vote in the next columns, if there is one.
pub(super) fn vote(row: &mut Reader<'_>) -> Res<Option<Vote>> {
    let approver = row.maybe_id()?;
    let email: Option<String> = row.get()?;
    let stands_in_for = row.get()?;
    let stage: Option<i32> = row.get()?;
    let decision: Option<String> = row.get()?;
    let (Some(approver), Some(email), Some(decision)) = (approver, email, decision) else {
        return Ok(None);
    };
    Ok(Some(Vote {
        approver,
        email,
        stands_in_for,
        stage: u32::try_from(stage.unwrap_or_default()).unwrap_or_default(),
        kind: match decision.as_str() {
            "approve" => VoteKind::Approve,
            "reject" => VoteKind::Reject,
            other => return Err(StoreError::Refused(format!("`{other}` is no vote"))),
        },
    }))
}

/// The values of the vote of a person in a stage.
pub(super) fn vote_values(
    (run, subject): (RunId, Subject),
    vote: &Vote,
    said: Said<'_>,
) -> [Value; 13] {
    let (index, item) = place(subject);
    [
        said.id.into(),
        run.0.into(),
        index.into(),
        item.into(),
        small(vote.stage),
        vote.approver.0.into(),
        vote.email.clone().into(),
        vote.stands_in_for.clone().into(),
        said.plan_hash.into(),
        vote.kind.as_str().into(),
        said.comment.map(str::to_owned).into(),
        said.way.into(),
        said.at.into(),
    ]
}

/// How a vote was cast.
pub(super) struct Said<'a> {
    pub(super) id: Uuid,
    pub(super) plan_hash: String,
    pub(super) comment: Option<&'a str>,
    pub(super) way: &'static str,
    pub(super) at: i64,
}
