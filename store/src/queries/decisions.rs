//! The decision log: lists, the whole of it in order, and entries that are no decision about a run.

use neena_engine::approval::chain::{self, Head, Line, Seal};
use neena_engine::ids::{RunId, UserId};
use neena_engine::{Hash, Micros};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::{Tenant, Window};
use crate::entities::decision::{Column, Entity, Model};
use crate::entities::decision_chain;

/// An entry to be added: a policy, a group, a delegation, a standing approval that was changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewEntry<'a> {
    /// `policy`, `group`, `delegate`, `undelegate`, `loosen`, …
    pub what: &'a str,
    pub user: Option<UserId>,
    pub email: Option<&'a str>,
    pub stands_in_for: Option<&'a str>,
    /// `rest`, `cli`, …
    pub way: &'a str,
    pub run: Option<RunId>,
    pub plan_hash: Option<Hash>,
    pub stage: Option<&'a str>,
    pub comment: Option<&'a str>,
    /// What it is now, in words.
    pub result: &'a str,
}

/// The newest unsealed entry that was read: where the next piece of an export begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub at: i64,
    pub id: Uuid,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// Adds an entry, in the transaction of what it tells of; its id.
    pub async fn append(&self, new: NewEntry<'_>, now: Micros) -> Result<Uuid, DbErr> {
        let id = Uuid::now_v7();
        let row = Model {
            id,
            organization_id: self.organization.0,
            run_id: new.run.map(|run| run.0),
            idx: None,
            item: None,
            gate: None,
            what: new.what.to_owned(),
            actor: new.user.map(|user| user.0),
            actor_email: new.email.map(str::to_owned),
            stands_in_for: new.stands_in_for.map(str::to_owned),
            way: new.way.to_owned(),
            plan_hash: new.plan_hash.map(|hash| hash.to_string()),
            stage: new.stage.map(str::to_owned),
            comment: new.comment.map(str::to_owned),
            result: new.result.to_owned(),
            at: now.0,
            seq: None,
            prev: None,
            hash: None,
        };
        Entity::insert(row.into_active_model())
            .exec_without_returning(self.db)
            .await?;
        Ok(id)
    }

    /// A page of the log, of all runs or of one, newest first.
    pub async fn decisions(&self, run: Option<RunId>, window: Window) -> Result<Vec<Model>, DbErr> {
        let mut rows = Entity::find().filter(Column::OrganizationId.eq(self.organization.0));
        if let Some(run) = run {
            rows = rows.filter(Column::RunId.eq(run.0));
        }
        rows.order_by_desc(Column::Id)
            .offset(window.skip)
            .limit(window.limit)
            .all(self.db)
            .await
    }

    /// Sealed entries in the order of the chain, after the one numbered `seq`: an export, and whoever follows the
    /// log, reads them piece by piece.
    pub async fn sealed_after(&self, seq: i64, limit: u64) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::Seq.gt(seq))
            .order_by_asc(Column::Seq)
            .limit(limit)
            .all(self.db)
            .await
    }

    /// Entries that are not sealed yet, in the order in which they will be, after `mark`.
    pub async fn unsealed_after(
        &self,
        mark: Option<Mark>,
        limit: u64,
    ) -> Result<Vec<Model>, DbErr> {
        let mut rows = Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::Seq.is_null());
        if let Some(mark) = mark {
            let later = Condition::any().add(Column::At.gt(mark.at)).add(
                Condition::all()
                    .add(Column::At.eq(mark.at))
                    .add(Column::Id.gt(mark.id)),
            );
            rows = rows.filter(later);
        }
        rows.order_by_asc(Column::At)
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(self.db)
            .await
    }

    /// How many entries are not sealed yet.
    pub async fn unsealed(&self) -> Result<u64, DbErr> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::Seq.is_null())
            .count(self.db)
            .await
    }

    /// Where the chain stands.
    pub async fn chain(&self) -> Result<Head, DbErr> {
        let row = decision_chain::Entity::find_by_id(self.organization.0)
            .one(self.db)
            .await?;
        row.map_or(Ok(Head::START), |row| {
            Ok(Head {
                seq: row.seq,
                hash: hash(&row.hash)?,
            })
        })
    }
}

impl Model {
    /// As the chain has it.
    pub fn line(self) -> Result<Line, DbErr> {
        let seal = match (self.seq, &self.prev, &self.hash) {
            (Some(seq), Some(prev), Some(own)) => Some(Seal {
                seq,
                prev: hash(prev)?,
                hash: hash(own)?,
            }),
            _ => None,
        };
        let entry = chain::Entry {
            id: self.id,
            organization: self.organization_id,
            run: self.run_id,
            idx: self.idx,
            item: self.item,
            gate: self.gate,
            what: self.what,
            actor: self.actor,
            actor_email: self.actor_email,
            stands_in_for: self.stands_in_for,
            way: self.way,
            plan_hash: self.plan_hash,
            stage: self.stage,
            comment: self.comment,
            result: self.result,
            at: self.at,
        };
        Ok(Line { entry, seal })
    }

    /// Where the next piece begins after this unsealed one.
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            id: self.id,
        }
    }
}

fn hash(text: &str) -> Result<Hash, DbErr> {
    text.parse()
        .map_err(|error| DbErr::Type(format!("`{text}`: {error}")))
}
