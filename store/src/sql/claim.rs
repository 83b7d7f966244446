//! Taking runs: one statement each, so that of two claimers one gets the run.

use std::collections::HashMap;

use neena_engine::ids::{ClaimId, RunId};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::chunk::lists;
use super::row::Reader;
use super::row::{LIVE, live};
use super::{all, for_update, one, skip_locked};
use crate::{Claim, Held, Res};

/// What may be claimed: `$3` is the newest plan format the worker reads.
const CLAIMABLE: &str = "owner IS NULL AND phase IN ('ready', 'closing') \
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
    let mut taken = Vec::new();
    for list in lists(&ids, 4) {
        let sql = format!(
            "SELECT run_id FROM live_runs WHERE run_id IN ({}) AND {CLAIMABLE} AND claims < 2 \
             ORDER BY run_id{}",
            list.places,
            for_update(connection),
        );
        taken.extend(take(connection, claim, &sql, list.ids).await?);
    }
    if claim.suspect && taken.len() < ids.len() {
        for list in lists(&ids, 4) {
            let sql = format!(
                "SELECT run_id FROM live_runs WHERE run_id IN ({}) AND {CLAIMABLE} AND {SUSPECT} \
                 ORDER BY run_id LIMIT 1{}",
                list.places,
                for_update(connection),
            );
            taken.extend(take(connection, claim, &sql, list.ids).await?);
        }
    }
    Ok(taken)
}

/// Whether a run waits to be claimed: most often none does, and then nothing is written.
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
    let sql = format!(
        "SELECT run_id FROM live_runs WHERE {CLAIMABLE} AND claims < 2 \
         ORDER BY priority DESC, ready_at LIMIT $4{skip}"
    );
    let mut taken = take(connection, claim, &sql, vec![i64::from(limit).into()]).await?;
    if claim.suspect && taken.len() < usize::from(limit) {
        let sql = format!(
            "SELECT run_id FROM live_runs WHERE {CLAIMABLE} AND {SUSPECT} \
             ORDER BY priority DESC, ready_at LIMIT 1{skip}"
        );
        taken.extend(take(connection, claim, &sql, Vec::new()).await?);
    }
    Ok(taken)
}

/// Claims the runs that `free` selects; its own values start at `$4`.
async fn take(
    connection: &impl ConnectionTrait,
    claim: Claim,
    free: &str,
    values: Vec<Value>,
) -> Res<Vec<Held>> {
    let sql = format!(
        "WITH c AS MATERIALIZED ({free}) \
         UPDATE live_runs SET owner = $1, claim = $2, epoch = epoch + 1, claims = claims + 1, \
           wake_at = NULL, phase = CASE phase WHEN 'ready' THEN 'running' ELSE phase END \
         WHERE run_id IN (SELECT run_id FROM c) RETURNING {LIVE}"
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
