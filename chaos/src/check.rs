//! The checker: what must hold of a database and of the outside world after whatever happened.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::Row;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::client::Shape;
use crate::report::Outcome;
use crate::sink::Effects;
use crate::site::Site;

/// What a row may leave behind.
#[derive(Debug)]
pub struct Expect<'a> {
    /// Runs whose approval was acknowledged.
    pub accepted: &'a [Uuid],
    pub shape: &'a Shape,
    pub effects: Option<&'a Effects>,
    /// How many may end as `worker_crash`, in percent.
    pub condemned: usize,
    /// Whether statuses other than `completed` are right.
    pub any_status: bool,
}

impl<'a> Expect<'a> {
    /// That all of them are complete.
    pub fn completed(accepted: &'a [Uuid], shape: &'a Shape) -> Expect<'a> {
        Expect {
            accepted,
            shape,
            effects: None,
            condemned: 0,
            any_status: false,
        }
    }
}

/// Waits until all accepted runs are final; how long that took. Whether they are is for [`check`] to say.
pub async fn settle(
    pool: &PgPool,
    accepted: &[Uuid],
    within: Duration,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let sql = "SELECT count(*) FROM flow_runs WHERE id = ANY($1) AND status NOT IN ('completed', 'failed', 'cancelled')";
    loop {
        let left: i64 = sqlx::query_scalar(sql)
            .bind(accepted)
            .fetch_one(pool)
            .await?;
        if left == 0 || began.elapsed() > within {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks everything and notes it.
pub async fn check(
    site: &Site<'_>,
    expect: Expect<'_>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let pool = &site.pool;
    let mut none = Vec::new();
    let mut verdict = |name: &str, wrong: i64| {
        if wrong == 0 {
            none.push(name.to_owned());
        }
        outcome.must(wrong == 0, format!("{name}: {wrong}"));
    };

    let statuses = statuses(pool, expect.accepted).await?;
    let final_ = |status: &str| matches!(status, "completed" | "failed" | "cancelled");
    let is_final = statuses
        .values()
        .filter(|(status, _)| final_(status))
        .count();
    verdict("lost", (expect.accepted.len() - is_final) as i64);
    let condemned = |reason: &Option<String>| reason.as_deref() == Some("worker_crash");
    let doomed = statuses
        .values()
        .filter(|(_, reason)| condemned(reason))
        .count();
    let other = statuses
        .values()
        .filter(|(status, reason)| final_(status) && status != "completed" && !condemned(reason))
        .count();
    if !expect.any_status {
        verdict("not completed", other as i64);
        let many = doomed * 100 > expect.accepted.len() * expect.condemned;
        verdict("condemned too many", if many { doomed as i64 } else { 0 });
    }

    let operations = expect.shape.operations.len() as i64;
    let sql = "SELECT count(*) FROM (SELECT r.id FROM flow_runs r LEFT JOIN task_runs t ON t.run_id = r.id \
         AND t.status IN ('completed', 'failed', 'skipped', 'cancelled') \
         WHERE r.id = ANY($1) AND r.status = 'completed' GROUP BY r.id HAVING count(t.id) <> $2) AS odd";
    let odd = sqlx::query_scalar(sql)
        .bind(expect.accepted)
        .bind(operations);
    verdict("without all outcomes", odd.fetch_one(pool).await?);
    for (name, sql) in COUNTS {
        verdict(name, sqlx::query_scalar(*sql).fetch_one(pool).await?);
    }
    verdict("outbox", outbox(pool).await?);
    verdict("idle in transaction", idle_in_transaction(site).await?);
    let early = "SELECT count(*) FROM task_runs a JOIN task_runs b ON a.run_id = b.run_id \
         WHERE a.idx = $1 AND b.idx = $2 AND b.start_time < a.end_time - 20000";
    let mut disorder = 0;
    for (source, target) in &expect.shape.edges {
        let count: i64 = sqlx::query_scalar(early)
            .bind(source)
            .bind(target)
            .fetch_one(pool)
            .await?;
        disorder += count;
    }
    verdict("started before their inputs", disorder);

    if let Some(effects) = expect.effects {
        let done: Vec<Uuid> = statuses
            .iter()
            .filter(|(_, (status, _))| status == "completed")
            .map(|(run, _)| *run)
            .collect();
        let seen = Outside::of(pool, expect.shape, effects, &done).await?;
        verdict("effects missing", seen.missing);
        verdict("effects before their inputs were recorded", seen.early);
        verdict("effects after their outcome was recorded", seen.late);
        outcome.figures.push(format!(
            "effects: {} keys, {} of them told more than once",
            seen.keys, seen.repeated
        ));
    }
    if doomed > 0 {
        outcome
            .figures
            .push(format!("{doomed} runs ended as worker_crash"));
    }
    outcome.checked = format!("{is_final} final; 0 {}", none.join(", "));
    outcome.must(
        outcome.acknowledged * 10 >= outcome.offered * 9,
        "less than 90 % of the offered work was acknowledged",
    );
    Ok(())
}

const COUNTS: &[(&str, &str)] = &[
    (
        "recorded twice",
        "SELECT count(*) FROM chaos.writes WHERE before IN ('completed', 'failed', 'skipped', 'cancelled')",
    ),
    (
        "outcomes of stale claims",
        "SELECT count(*) FROM chaos.writes WHERE epoch <> stood_epoch OR app <> stood_app OR stood_epoch IS NULL",
    ),
    (
        "ends by stale claims",
        "SELECT count(*) FROM chaos.ends WHERE phase = 'running' AND (epoch <> stood_epoch OR app <> stood_app)",
    ),
    (
        "final states changed",
        "SELECT count(*) FROM chaos.statuses WHERE before IN ('completed', 'failed', 'cancelled') AND after <> 'in_progress'",
    ),
    (
        "live rows",
        "SELECT count(*) FROM live_runs WHERE phase <> 'waiting'",
    ),
    (
        "orphans",
        "SELECT (SELECT count(*) FROM task_runs t WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.id = t.run_id)) \
         + (SELECT count(*) FROM live_runs l WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.id = l.run_id)) \
         + (SELECT count(*) FROM flow_runs r WHERE NOT EXISTS (SELECT 1 FROM run_plans p WHERE p.run_id = r.id)) \
         + (SELECT count(*) FROM flow_results f WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.id = f.run_id \
              AND r.status IN ('completed', 'failed', 'cancelled'))) \
         + (SELECT count(*) FROM flow_runs r WHERE r.status IN ('completed', 'failed') \
              AND NOT EXISTS (SELECT 1 FROM flow_results f WHERE f.run_id = r.id))",
    ),
    (
        "claims without an epoch of their own",
        "SELECT count(*) FROM (SELECT 1 FROM chaos.claims GROUP BY run_id, epoch HAVING count(*) > 1) AS twice",
    ),
];

async fn statuses(
    pool: &PgPool,
    runs: &[Uuid],
) -> anyhow::Result<HashMap<Uuid, (String, Option<String>)>> {
    let sql = "SELECT id, status, reason FROM flow_runs WHERE id = ANY($1)";
    let rows = sqlx::query(sql).bind(runs).fetch_all(pool).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
        .collect()
}

/// What is left in the outbox when it has had its time.
async fn outbox(pool: &PgPool) -> anyhow::Result<i64> {
    let began = Instant::now();
    loop {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(pool)
            .await?;
        if left == 0 || began.elapsed() > Duration::from_secs(30) {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sessions that have had a transaction open for a second without doing anything in it.
pub async fn idle_in_transaction(site: &Site<'_>) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%' \
         AND now() - state_change > interval '1 second'";
    Ok(sqlx::query_scalar(sql)
        .bind(&site.database)
        .fetch_one(&site.pool)
        .await?)
}

/// What the sink saw, held against what was recorded.
struct Outside {
    keys: usize,
    repeated: usize,
    missing: i64,
    early: i64,
    late: i64,
}

impl Outside {
    async fn of(
        pool: &PgPool,
        shape: &Shape,
        effects: &Effects,
        done: &[Uuid],
    ) -> anyhow::Result<Outside> {
        let sql = "SELECT run_id, idx, at FROM chaos.writes WHERE run_id = ANY($1)";
        let rows = sqlx::query(sql).bind(done).fetch_all(pool).await?;
        let recorded: HashMap<(Uuid, i64), i64> = rows
            .iter()
            .map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)))
            .collect::<anyhow::Result<_>>()?;
        let mut seen = Outside {
            keys: 0,
            repeated: 0,
            missing: 0,
            early: 0,
            late: 0,
        };
        for run in done {
            for index in shape.effects() {
                let Some(times) = effects.get(&(*run, index)) else {
                    seen.missing += 1;
                    continue;
                };
                seen.keys += 1;
                seen.repeated += usize::from(times.len() > 1);
                let inputs = shape.edges.iter().filter(|(_, target)| *target == index);
                let ready = inputs
                    .filter_map(|(source, _)| recorded.get(&(*run, *source)))
                    .max();
                let own = recorded.get(&(*run, index));
                let early = |time: &&i64| ready.is_some_and(|ready| *time < ready);
                let late = |time: &&i64| own.is_some_and(|own| *time > own);
                seen.early += i64::from(times.iter().any(|time| early(&time)));
                seen.late += i64::from(times.iter().any(|time| late(&time)));
            }
        }
        Ok(seen)
    }
}
