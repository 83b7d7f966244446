//! Approvals given beforehand: they collect votes as a run does, and are used up one run at a time.

use std::collections::{BTreeMap, HashMap};

use neena_engine::Micros;
use neena_engine::ids::{FlowId, OrganizationId, RunId, UserId};
use neena_engine::run::{Vote, VoteKind};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use super::{Tenant, Window};
use crate::entities::standing_approval::{Column, Entity, Model};
use crate::entities::{approval, flow_run, standing_use};

/// A vote on a standing approval.
#[derive(Clone, Copy, Debug)]
pub struct NewVote<'a> {
    pub vote: &'a Vote,
    pub comment: Option<&'a str>,
    pub way: &'a str,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// Adds one.
    pub async fn insert_standing(&self, row: Model) -> Result<(), DbErr> {
        Entity::insert(row.into_active_model())
            .exec_without_returning(self.db)
            .await?;
        Ok(())
    }

    /// One by its id.
    pub async fn standing(&self, id: Uuid) -> Result<Option<Model>, DbErr> {
        Entity::find_by_id(id)
            .filter(Column::OrganizationId.eq(self.organization.0))
            .one(self.db)
            .await
    }

    /// One by its id, locked for this transaction.
    pub async fn lock_standing(&self, id: Uuid) -> Result<Option<Model>, DbErr> {
        let mut query =
            Entity::find_by_id(id).filter(Column::OrganizationId.eq(self.organization.0));
        if self.db.get_database_backend() == DatabaseBackend::Postgres {
            query = query.lock(LockType::NoKeyUpdate);
        }
        query.one(self.db).await
    }

    /// Those of some that can be used, locked for this transaction in the order of their ids. One that is used up keeps
    /// nobody waiting.
    async fn lock_usable(&self, ids: &[Uuid], now: Micros) -> Result<Vec<Model>, DbErr> {
        let left = Condition::any()
            .add(Column::MaxRuns.is_null())
            .add(Expr::col(Column::Used).lt(Expr::col(Column::MaxRuns)));
        let lasts = Condition::any()
            .add(Column::EndsAt.is_null())
            .add(Column::EndsAt.gt(now.0));
        let mut query = Entity::find()
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::State.eq("active"))
            .filter(left)
            .filter(lasts)
            .order_by_asc(Column::Id);
        if self.db.get_database_backend() == DatabaseBackend::Postgres {
            query = query.lock(LockType::NoKeyUpdate);
        }
        query.all(self.db).await
    }

    /// A page of them, newest first.
    pub async fn standings(&self, window: Window) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .order_by_desc(Column::Id)
            .offset(window.skip)
            .limit(window.limit)
            .all(self.db)
            .await
    }

    /// Those that are in force for a flow, oldest first.
    pub async fn active_standings(&self, flow: FlowId) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Column::FlowId.eq(flow.0))
            .filter(Column::State.eq("active"))
            .filter(Column::OrganizationId.eq(self.organization.0))
            .order_by_asc(Column::Id)
            .all(self.db)
            .await
    }

    /// A run of the flow that has this plan, the newest one.
    pub async fn run_of_plan(&self, flow: FlowId, plan_hash: &str) -> Result<Option<RunId>, DbErr> {
        let run = flow_run::Entity::find()
            .filter(flow_run::Column::OrganizationId.eq(self.organization.0))
            .filter(flow_run::Column::FlowId.eq(flow.0))
            .filter(flow_run::Column::PlanHash.eq(plan_hash))
            .order_by_desc(flow_run::Column::Id)
            .one(self.db)
            .await?;
        Ok(run.map(|run| RunId(run.id)))
    }

    /// The votes on standing approvals, oldest first.
    pub async fn standing_votes(&self, rows: &[&Model]) -> Result<Vec<approval::Model>, DbErr> {
        let own = |row: &&&Model| row.organization_id == self.organization.0;
        let ids: Vec<Uuid> = rows.iter().filter(own).map(|row| row.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        approval::Entity::find()
            .filter(approval::Column::RunId.is_in(ids))
            .order_by_asc(approval::Column::At)
            .order_by_asc(approval::Column::Id)
            .all(self.db)
            .await
    }

    /// Adds a vote on what a standing approval says.
    pub async fn vote_standing(
        &self,
        row: &Model,
        new: NewVote<'_>,
        now: Micros,
    ) -> Result<(), DbErr> {
        let vote = approval::Model {
            id: Uuid::now_v7(),
            run_id: row.id,
            idx: -1,
            item: -1,
            stage: i32::try_from(new.vote.stage).unwrap_or(i32::MAX),
            approver: new.vote.approver.0,
            approver_email: new.vote.email.clone(),
            stands_in_for: new.vote.stands_in_for.clone(),
            plan_hash: row.hash.clone(),
            decision: new.vote.kind.as_str().to_owned(),
            comment: new.comment.map(str::to_owned),
            way: new.way.to_owned(),
            at: now.0,
        };
        approval::Entity::insert(vote.into_active_model())
            .exec_without_returning(self.db)
            .await?;
        Ok(())
    }

    /// From now on runs start by it.
    pub async fn activate_standing(&self, id: Uuid, now: Micros) -> Result<(), DbErr> {
        let sql = "UPDATE standing_approvals SET state = 'active', active_at = $1 \
             WHERE id = $2 AND organization_id = $3 AND state = 'open'";
        let values = [now.0.into(), id.into(), self.organization.0.into()];
        self.db
            .execute_raw(self.statement(sql.to_owned(), values.to_vec()))
            .await?;
        Ok(())
    }

    /// From now on none does; false if that was so before.
    pub async fn revoke_standing(&self, id: Uuid, by: &str, now: Micros) -> Result<bool, DbErr> {
        let sql = "UPDATE standing_approvals SET state = 'revoked', revoked_at = $1, revoked_by_email = $2 \
             WHERE id = $3 AND organization_id = $4 AND state <> 'revoked'";
        let values = [
            now.0.into(),
            by.into(),
            id.into(),
            self.organization.0.into(),
        ];
        let done = self
            .db
            .execute_raw(self.statement(sql.to_owned(), values.to_vec()))
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Uses standing approvals for runs, each of which can be covered by those it names, the first of them that is in
/// force, not used up and not over. They are locked in the order of their ids and looked at again, so however many
/// runs come at once, no more than `max_runs` find it so. By which each run is covered, in order.
pub async fn use_for(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    runs: &[(RunId, Vec<Uuid>)],
    now: Micros,
) -> Result<Vec<Option<Uuid>>, DbErr> {
    let mut ids: Vec<Uuid> = runs.iter().flat_map(|(_, ids)| ids).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(vec![None; runs.len()]);
    }
    let mut left = HashMap::new();
    for row in super::of(db, organization).lock_usable(&ids, now).await? {
        let uses = row.max_runs.map_or(i64::MAX, |most| most - row.used);
        left.insert(row.id, uses);
    }
    let mut used: BTreeMap<Uuid, i64> = BTreeMap::new();
    let mut by = Vec::with_capacity(runs.len());
    for (_, candidates) in runs {
        let one = candidates
            .iter()
            .find(|id| left.get(id).is_some_and(|left| *left > 0));
        if let Some(id) = one {
            left.entry(*id).and_modify(|left| *left -= 1);
            *used.entry(*id).or_default() += 1;
        }
        by.push(one.copied());
    }
    write_uses(db, &used, runs, &by).await?;
    Ok(by)
}

async fn write_uses(
    db: &impl ConnectionTrait,
    used: &BTreeMap<Uuid, i64>,
    runs: &[(RunId, Vec<Uuid>)],
    by: &[Option<Uuid>],
) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for (id, times) in used {
        let sql = "UPDATE standing_approvals SET used = used + $1 WHERE id = $2";
        let values = [(*times).into(), (*id).into()];
        db.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    let uses: Vec<_> = runs
        .iter()
        .zip(by)
        .filter_map(|((run, _), by)| {
            let row = standing_use::Model {
                run_id: run.0,
                standing_approval_id: (*by)?,
            };
            Some(row.into_active_model())
        })
        .collect();
    if !uses.is_empty() {
        standing_use::Entity::insert_many(uses)
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}

/// The standing approval a run was started by.
pub async fn used_by(db: &impl ConnectionTrait, run: RunId) -> Result<Option<Uuid>, DbErr> {
    let row = standing_use::Entity::find_by_id(run.0).one(db).await?;
    Ok(row.map(|row| row.standing_approval_id))
}

/// A stored vote as the engine counts it.
pub fn vote(row: &approval::Model) -> Vote {
    Vote {
        approver: UserId(row.approver),
        email: row.approver_email.clone(),
        stands_in_for: row.stands_in_for.clone(),
        stage: u32::try_from(row.stage).unwrap_or_default(),
        kind: match row.decision.as_str() {
            "approve" => VoteKind::Approve,
            _ => VoteKind::Reject,
        },
    }
}
