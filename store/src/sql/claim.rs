//! Taking runs: one statement each, so that of two claimers one gets the run.

use std::collections::HashMap;

use neena_engine::ids::{ClaimId, RunId};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::lists;
use super::row::Reader;
use super::row::{LIVE, live};
use super::{all, among, for_update, one, skip_locked};
use crate::{Claim, Held, Res};

/// What may be claimed: `$3` is the newest plan format the worker reads.
const CLAIMABLE: &str = "owner IS NULL AND phase IN ('ready', 'closing') \
     AND (phase = 'closing' OR approved_hash = plan_hash) AND plan_v <= $3";

/// The same of runs that are named, said so that the index of all that is ready, which is as long as the backlog, does
/// not fit.
const NAMED: &str = "(owner IS NULL) IS TRUE AND phase IN ('ready', 'closing') \
     AND (phase = 'closing' OR approved_hash = plan_hash) AND plan_v <= $3";

/// A run that brought down two workers, maybe: at most one is taken at a time, since whatever else its
/// worker holds would go down with it.
const SUSPECT: &str = "claims >= 2";

/// Takes those of `runs` that are free.
pub(super) async fn named(
    connection: &impl ConnectionTrait,
    claim: Claim,
    mut runs: Vec<RunId>,
) -> Res<Vec<Held>> {
    runs.sort_unstable();
    runs.dedup();
    let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let mut taken: Vec<Held> = Vec::new();
    for list in lists(&ids, 5) {
        let which = format!("{NAMED} AND run_id IN ({})", list.places);
        let free = format!(
            "SELECT run_id FROM live_runs WHERE {which} AND claims < 2 ORDER BY run_id{}",
            for_update(connection),
        );
        // Not waited for: its place in the order of locks is gone.
        let suspect = format!(
            "SELECT run_id FROM live_runs WHERE {which} AND {SUSPECT} ORDER BY run_id \
             LIMIT CASE WHEN $4 THEN 1 ELSE 0 END{}",
            skip_locked(connection),
        );
        let suspect_too = claim.suspect && !taken.iter().any(Held::suspect);
        let mut values = vec![suspect_too.into()];
        values.extend(list.ids);
        taken.extend(take(connection, claim, &free, &suspect, values).await?);
    }
    Ok(taken)
}

/// Whether a run waits to be claimed.
pub(super) async fn any(connection: &impl ConnectionTrait) -> Res<bool> {
    let sql =
        "SELECT 1 FROM live_runs WHERE owner IS NULL AND phase IN ('ready', 'closing') LIMIT 1";
    Ok(one(connection, sql, []).await?.is_some())
}

/// Takes up to `limit` free runs, by priority and age.
pub(super) async fn next(
    connection: &impl ConnectionTrait,
    claim: Claim,
    limit: u16,
) -> Res<Vec<Held>> {
    let skip = skip_locked(connection);
    let free = format!(
        "SELECT run_id FROM live_runs WHERE {CLAIMABLE} AND claims < 2 \
         ORDER BY priority DESC, ready_at LIMIT $5{skip}"
    );
    let suspect = format!(
        "SELECT run_id FROM live_runs WHERE {CLAIMABLE} AND {SUSPECT} ORDER BY priority DESC, ready_at \
         LIMIT (SELECT CASE WHEN $4 AND count(*) < $5 THEN 1 ELSE 0 END FROM free){skip}"
    );
    let values = vec![claim.suspect.into(), i64::from(limit).into()];
    take(connection, claim, &free, &suspect, values).await
}

/// Claims the runs that `free` and `suspect` select, in one statement; their own values start at `$4`.
async fn take(
    connection: &impl ConnectionTrait,
    claim: Claim,
    free: &str,
    suspect: &str,
    values: Vec<Value>,
) -> Res<Vec<Held>> {
    let free = &planted(free);
    let taken = among(
        connection,
        "SELECT run_id FROM free UNION ALL SELECT run_id FROM suspect",
    );
    let sql = format!(
        "WITH free AS MATERIALIZED ({free}), suspect AS MATERIALIZED ({suspect}) \
         UPDATE live_runs SET owner = $1, claim = $2, epoch = epoch + 1, claims = claims + 1, \
           wake_at = NULL, phase = CASE phase WHEN 'ready' THEN 'running' ELSE phase END \
         WHERE run_id {taken} RETURNING {LIVE}"
    );
    let mut all_values: Vec<Value> = vec![
        claim.worker.0.into(),
        claim.id.0.into(),
        i32::try_from(claim.plan_v).unwrap_or(i32::MAX).into(),
    ];
    all_values.extend(values);
    let rows = all(connection, sql, all_values).await?;
    let taken = rows.iter().map(live).collect::<Res<Vec<_>>>()?;
    Ok(taken.into_iter().filter_map(Held::of).collect())
}

/// What selects the free runs; with a planted bug those that are held, too.
fn planted(free: &str) -> String {
    fail::fail_point!("claim.takes_held", |_| free
        .replace("(owner IS NULL) IS TRUE AND ", "")
        .replace("owner IS NULL AND ", "")
        .replace("('ready', 'closing')", "('ready', 'closing', 'running')"));
    free.to_owned()
}

/// The live row of a run, while it is held under `claim`.
pub(super) async fn reread(
    connection: &impl ConnectionTrait,
    run: RunId,
    claim: ClaimId,
) -> Res<Option<Held>> {
    let sql = format!("SELECT {LIVE} FROM live_runs WHERE run_id = $1 AND claim = $2");
    let row = one(connection, sql, [run.0.into(), claim.0.into()]).await?;
    Ok(row.as_ref().map(live).transpose()?.and_then(Held::of))
}

/// Whether each run goes on under that very claim.
pub(super) async fn current(
    connection: &impl ConnectionTrait,
    claims: &[(RunId, i64)],
) -> Res<Vec<bool>> {
    let mut ids: Vec<Uuid> = claims.iter().map(|(run, _)| run.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut epochs: HashMap<RunId, i64> = HashMap::with_capacity(ids.len());
    for list in lists(&ids, 1) {
        let sql = format!(
            "SELECT run_id, epoch FROM live_runs WHERE run_id IN ({}) AND phase = 'running'",
            list.places
        );
        for row in all(connection, sql, list.ids).await? {
            let mut row = Reader::new(&row);
            epochs.insert(row.id()?, row.get()?);
        }
    }
    let stands = |(run, epoch): &(RunId, i64)| epochs.get(run) == Some(epoch);
    Ok(claims.iter().map(stands).collect())
}
