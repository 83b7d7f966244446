//! What waits for people, and the votes on it.

use neena_engine::approval::{Ask, AskState, Asked, Audience, Policy, Subject};
use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::run::{TaskKey, Vote, VoteKind};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::Insert;
use super::row::{Reader, item, small, text, time};
use super::{all, execute};
use crate::{Lapsed, Res, StoreError};

/// Columns of `asks`, in the order [`ask`] reads them.
pub(super) const ASK: &str = "s.idx, s.item, s.state, s.stage, s.asked_at, s.due_at, s.wake_at, s.escalated, \
     s.tell, s.answer, s.reason";

/// Inserts rows of `asks`; a question that was put already stays as it is.
static INSERT: Insert = Insert::new(
    "INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, needed, audience, \
     asked_at, due_at, wake_at, escalated, tell, requester, author) VALUES",
    17,
    "ON CONFLICT (run_id, idx, item) DO NOTHING",
);

static INSERT_AUDIENCE: Insert = Insert::new(
    "INSERT INTO audiences (organization_id, hash, body) VALUES",
    3,
    "ON CONFLICT (organization_id, hash) DO NOTHING",
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

/// Puts questions about a run.
pub(super) async fn put(
    connection: &impl ConnectionTrait,
    (run, organization, flow): (RunId, OrganizationId, FlowId),
    asked: &[Asked],
) -> Res<()> {
    let mut values: Vec<Value> = Vec::with_capacity(asked.len() * 17);
    for one in asked {
        let (index, item) = place(one.ask.subject);
        name_audience(connection, organization, &one.audience).await?;
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
            one.audience.hash().to_string().into(),
            one.ask.asked_at.0.into(),
            time(one.ask.due_at),
            time(one.ask.wake_at),
            one.ask.escalated.into(),
            one.ask.tell.map(|tell| tell.as_str()).into(),
            one.requester.clone().unwrap_or_default().into(),
            one.author.clone().into(),
        ]);
    }
    INSERT.run(connection, values).await?;
    Ok(())
}

/// Makes an audience known to its organization. Most are, and then nothing is written: an upsert would make all
/// that ask the same people wait for each other.
async fn name_audience(
    connection: &impl ConnectionTrait,
    organization: OrganizationId,
    audience: &Audience,
) -> Res<()> {
    let hash = audience.hash().to_string();
    let sql = "SELECT 1 FROM audiences WHERE organization_id = $1 AND hash = $2";
    let known = super::one(
        connection,
        sql,
        [organization.0.into(), hash.clone().into()],
    )
    .await?;
    if known.is_some() {
        return Ok(());
    }
    let body = serde_json::to_string(audience).unwrap_or_default();
    INSERT_AUDIENCE
        .run(
            connection,
            vec![organization.0.into(), hash.into(), body.into()],
        )
        .await?;
    Ok(())
}

/// Writes what became of a question, of which `policy` says who is asked now.
pub(super) async fn write(
    connection: &impl ConnectionTrait,
    (run, organization): (RunId, OrganizationId),
    ask: &Ask,
    policy: &Policy,
) -> Res<()> {
    let audience = ask.audience(policy);
    if ask.state == AskState::Open {
        name_audience(connection, organization, &audience).await?;
    }
    let sql = "UPDATE asks SET state = $1, stage = $2, audience = $3, asked_at = $4, due_at = $5, wake_at = $6, \
         escalated = $7, tell = $8, answer = $9, reason = $10, needed = $11 \
         WHERE run_id = $12 AND idx = $13 AND item = $14";
    let (index, item) = place(ask.subject);
    let values: [Value; 14] = [
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
        run.0.into(),
        index.into(),
        item.into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// The plan is asked about no more; nor, if the run goes no further, is any gate of it.
pub(super) async fn drop(
    connection: &impl ConnectionTrait,
    run: RunId,
    with_gates: bool,
) -> Res<()> {
    let sql = match with_gates {
        true => "DELETE FROM asks WHERE run_id = $1 AND (idx = -1 OR state = 'open')",
        false => "DELETE FROM asks WHERE run_id = $1 AND idx = -1",
    };
    execute(connection, sql, [run.0.into()]).await?;
    Ok(())
}

/// These gates are asked about no more.
pub(super) async fn withdraw(
    connection: &impl ConnectionTrait,
    run: RunId,
    gates: &[TaskKey],
) -> Res<()> {
    let sql = "DELETE FROM asks WHERE run_id = $1 AND idx = $2 AND item = $3 AND state = 'open'";
    for gate in gates {
        let (index, item) = place(Subject::Gate(*gate));
        execute(connection, sql, [run.0.into(), index.into(), item.into()]).await?;
    }
    Ok(())
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

/// Writes the vote of a person in a stage; their last one counts.
pub(super) async fn write_vote(
    connection: &impl ConnectionTrait,
    (run, subject): (RunId, Subject),
    vote: &Vote,
    said: Said<'_>,
) -> Res<()> {
    let sql = "INSERT INTO approvals (id, run_id, idx, item, stage, approver, approver_email, stands_in_for, \
           plan_hash, decision, comment, way, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (run_id, idx, item, plan_hash, stage, approver) DO UPDATE SET \
           stands_in_for = excluded.stands_in_for, decision = excluded.decision, \
           comment = excluded.comment, way = excluded.way, at = excluded.at";
    let (index, item) = place(subject);
    let values: [Value; 13] = [
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
    ];
    execute(connection, sql, values).await?;
    Ok(())
}

/// How a vote was cast.
pub(super) struct Said<'a> {
    pub(super) id: Uuid,
    pub(super) plan_hash: String,
    pub(super) comment: Option<&'a str>,
    pub(super) way: &'static str,
    pub(super) at: i64,
}
