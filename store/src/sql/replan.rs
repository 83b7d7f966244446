//! A run is given another plan: the code behind the one it had has moved on.

use neena_engine::Micros;
use neena_engine::approval::{Asked, Subject};
use neena_engine::plan::Plan;
use neena_engine::run::{AskChange, Change, Facts};
use sea_orm::{ConnectionTrait, Value};

use super::row::small;
use super::script::Script;
use super::{asks, create, execute};
use crate::{Res, StoreError};

/// Writes the plan beside those that the run had, makes it the run's own, and puts the question about it as `change`
/// says. Whatever was voted on this plan before it was another's turn counts no more; the decision log keeps it.
pub(super) async fn replan(
    connection: &impl ConnectionTrait,
    facts: &Facts,
    change: &Change,
    plan: &Plan,
    now: Micros,
) -> Res<()> {
    let Some(live) = &change.live else {
        return Ok(());
    };
    let run = live.run;
    let head = plan.head.text();
    let head = head.map_err(|error| StoreError::Refused(error.to_string()))?;
    create::insert_plan(connection, run, (plan, &head), now).await?;
    let hash = plan.hash.to_string();
    let sql = "UPDATE flow_runs SET plan_hash = $1 WHERE id = $2";
    execute(connection, sql, [hash.clone().into(), run.0.into()]).await?;
    let sql = "UPDATE live_runs SET plan_hash = $1, plan_v = $2, claims = $3 WHERE run_id = $4";
    let values: [Value; 4] = [
        hash.clone().into(),
        small(live.plan_v),
        live.claims.into(),
        run.0.into(),
    ];
    execute(connection, sql, values).await?;
    let sql = "DELETE FROM approvals WHERE run_id = $1 AND idx = -1 AND plan_hash = $2";
    execute(connection, sql, [run.0.into(), hash.into()]).await?;
    let (AskChange::Anew, Some(origin)) = (&change.ask, &facts.origin) else {
        return Ok(());
    };
    let mut dropping = Script::default();
    asks::drop(&[run.0], false, &mut dropping);
    dropping.run(connection).await?;
    let asked = Asked::new(Subject::Run, "", &plan.head.policy, origin, now);
    let mut putting = Script::default();
    asks::put(
        &[((run, live.organization, live.flow), &asked)],
        &mut putting,
    );
    putting.run(connection).await
}
