//! The journal's batch on SQLite: the fence, then rows and attempts, then what becomes of each run. The writer
//! is alone, so the fence needs no lock.

use std::collections::HashMap;

use moka::sync::Cache;
use neena_engine::Micros;
use neena_engine::ids::RunId;
use neena_engine::run::{LiveRun, Phase};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::{Rows, lists};
use super::ending::{Ended, end_all};
use super::row::{LIVE, Reader, UPSERT_TASKS, item, live, task_values, text, time};
use super::script::Script;
use super::{Hold, all, asks, keeper, outbox};
use crate::effect::{Effect, effect};
use crate::rows::standing;
use crate::seam::GIVEN_BACK;
use crate::{Batch, Entry, Message, Res, Verdict};

static INSERT_ATTEMPTS: Rows = Rows::new(
    "INSERT INTO task_attempts (run_id, idx, item, round, attempt, start_time, end_time, error) VALUES",
    8,
    "ON CONFLICT (run_id, idx, item, round, attempt) DO NOTHING",
);

/// An entry whose claim still stands, and the live row it stands in.
type Fenced<'a> = (&'a Entry, &'a LiveRun);

/// Applies `batch`; one verdict per entry, in order. `started` knows the claims whose run's start is noted.
pub(super) async fn commit(
    connection: &impl ConnectionTrait,
    batch: Batch,
    started: Cache<Hold, ()>,
) -> Res<Vec<Verdict>> {
    let fence = fence(connection, &batch.entries).await?;
    let now = crate::db::now(connection).await?;
    let held: Vec<Fenced<'_>> = batch
        .entries
        .iter()
        .filter_map(|entry| Some((entry, stands(&fence, entry)?)))
        .collect();
    let mut script = Script::default();
    write_rows(&held, &mut script);
    write_attempts(connection, &held, &mut script).await?;
    write_asks(&held, &mut script);
    let mut applied = HashMap::with_capacity(held.len());
    let mut ended = Vec::new();
    for (entry, live) in &held {
        let done = match Ended::of(entry, live, now) {
            Some(end) => {
                ended.push(end);
                true
            }
            None => {
                note_progress((entry, live), now, &started, &mut script);
                let_go((entry, live), now, &mut script)
            }
        };
        applied.insert(entry.run, done);
    }
    let messages = end_all(&ended, now, &mut script);
    script.run(connection).await?;
    let verdict = |entry: &Entry| match stands(&fence, entry) {
        Some(live) => Verdict {
            run: entry.run,
            held: true,
            phase: live.phase,
            intent: live.intent,
            inbox_seq: live.inbox_seq,
            applied: applied.get(&entry.run).is_some_and(|applied| *applied),
            outbox: messages
                .iter()
                .filter(|message| message.run == entry.run)
                .cloned()
                .collect(),
        },
        None => Verdict::fenced(entry.run),
    };
    Ok(batch.entries.iter().map(verdict).collect())
}

/// The live rows of all entries.
async fn fence(
    connection: &impl ConnectionTrait,
    entries: &[Entry],
) -> Res<HashMap<RunId, LiveRun>> {
    let mut ids: Vec<Uuid> = entries.iter().map(|entry| entry.run.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut fence = HashMap::with_capacity(ids.len());
    for list in lists(&ids, 1) {
        let sql = format!(
            "SELECT {LIVE} FROM live_runs WHERE run_id IN ({})",
            list.places,
        );
        for row in all(connection, sql, list.ids).await? {
            let live = live(&row)?;
            fence.insert(live.run, live);
        }
    }
    Ok(fence)
}

/// The live row of an entry, if its claim still stands.
fn stands<'a>(fence: &'a HashMap<RunId, LiveRun>, entry: &Entry) -> Option<&'a LiveRun> {
    fence
        .get(&entry.run)
        .filter(|live| live.claim == Some(entry.claim))
}

fn write_rows(held: &[Fenced<'_>], script: &mut Script) {
    let mut values: Vec<Value> = Vec::new();
    for (entry, live) in held {
        for row in standing(&entry.record.rows) {
            task_values(entry.run, live.epoch, row, &mut values);
        }
    }
    UPSERT_TASKS.add(values, script);
}

/// Gates that were reached, unless the run was cancelled, and gates that are asked about no more.
fn write_asks(held: &[Fenced<'_>], script: &mut Script) {
    for (entry, live) in held {
        let record = &entry.record;
        if !record.asks.is_empty() && live.phase != Phase::Closing {
            let about = (entry.run, live.organization, live.flow);
            let asked: Vec<_> = record.asks.iter().map(|asked| (about, asked)).collect();
            asks::put(&asked, script);
        }
        asks::withdraw(entry.run, &record.withdrawn, script);
    }
}

async fn write_attempts(
    connection: &impl ConnectionTrait,
    held: &[Fenced<'_>],
    script: &mut Script,
) -> Res<()> {
    let failed: Vec<&Entry> = held
        .iter()
        .map(|(entry, _)| *entry)
        .filter(|entry| !entry.record.attempts.is_empty())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let rounds = rounds(connection, &failed).await?;
    let mut values: Vec<Value> = Vec::new();
    for entry in failed {
        let round = rounds.get(&entry.run).copied().unwrap_or_default();
        for attempt in &entry.record.attempts {
            values.extend([
                entry.run.0.into(),
                i64::from(attempt.key.index).into(),
                item(attempt.key).into(),
                round.into(),
                i64::from(attempt.attempt).into(),
                time(attempt.start_time),
                time(attempt.end_time),
                text(Some(&attempt.error)),
            ]);
        }
    }
    INSERT_ATTEMPTS.add(values, script);
    Ok(())
}

async fn rounds(connection: &impl ConnectionTrait, entries: &[&Entry]) -> Res<HashMap<RunId, i32>> {
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.run.0).collect();
    let mut rounds = HashMap::with_capacity(ids.len());
    for list in lists(&ids, 1) {
        let sql = format!(
            "SELECT id, round FROM flow_runs WHERE id IN ({})",
            list.places
        );
        for row in all(connection, sql, list.ids).await? {
            let mut row = Reader::new(&row);
            rounds.insert(row.id()?, row.get()?);
        }
    }
    Ok(rounds)
}

/// The signs of life of a run that goes on: when it first started, and that this claim got somewhere.
fn note_progress(
    (entry, live): Fenced<'_>,
    now: Micros,
    started: &Cache<Hold, ()>,
    script: &mut Script,
) {
    let rows = &entry.record.rows;
    if !rows.is_empty() && !started.contains_key(&(entry.run, entry.claim)) {
        let sql = "UPDATE flow_runs SET start_time = COALESCE(start_time, ?), reason = NULL \
             WHERE id = ? AND status = 'in_progress' AND (start_time IS NULL OR reason IS NOT NULL)";
        script.add(sql, vec![entry.start(now).0.into(), entry.run.0.into()]);
    }
    if live.claims > 1 && rows.iter().any(|row| row.status.is_outcome()) {
        let sql = "UPDATE live_runs SET claims = 0 WHERE run_id = ?";
        script.add(sql, vec![entry.run.0.into()]);
    }
}

/// Parks the run or gives it back, if the entry says so and what the owner has seen still stands.
/// Whether it took effect; holding on always does.
fn let_go((entry, live): Fenced<'_>, now: Micros, script: &mut Script) -> bool {
    match effect(entry, live) {
        Effect::Hold => true,
        Effect::Stale | Effect::Finish(_) | Effect::Close(_) => false,
        Effect::Park {
            phase,
            wake_at,
            reason,
        } => {
            let sql = "UPDATE live_runs SET phase = ?, wake_at = ?, intent = NULL, owner = NULL, \
                 claim = NULL, claims = 0 WHERE run_id = ?";
            let values = vec![phase.as_str().into(), time(wake_at), entry.run.0.into()];
            script.add(sql, values);
            if let Some(reason) = reason {
                let sql = "UPDATE flow_runs SET reason = ? WHERE id = ?";
                script.add(sql, vec![reason.to_string().into(), entry.run.0.into()]);
            }
            true
        }
        Effect::Yield => {
            let freed = keeper::FREED.replace("$1", "?");
            let sql = format!("UPDATE live_runs SET {freed}, claims = 0 WHERE run_id = ?");
            script.add(sql, vec![now.0.into(), entry.run.0.into()]);
            let message = outbox::message(
                Message::RESUMED,
                live.organization,
                live.run,
                live.epoch,
                now,
            );
            outbox::add_for(&[message], GIVEN_BACK, script);
            true
        }
    }
}
