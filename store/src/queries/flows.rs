//! Flows and their versions.

use neena_engine::Micros;
use neena_engine::ids::{FlowId, UserId};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect, RelationDef, Select,
};
use uuid::Uuid;

use super::{Tenant, Window};
use crate::entities::flow::{ActiveModel, Column, Entity, Model};
use crate::entities::{flow_version, organization};

/// A flow with the body of its current version.
#[derive(Clone, Debug)]
pub struct FlowVersion {
    pub flow: Model,
    /// JSON, as the API shows it.
    pub body: String,
    pub author: Author,
    /// Settings by which it may ask less than the organization's policy.
    pub loosened: Vec<String>,
    /// The organization's policy as it is now: JSON; none where none was given.
    pub floor: Option<String>,
}

/// Who wrote a version of a flow.
#[derive(Clone, Debug)]
pub struct Author {
    /// None where it was not noted.
    pub user: Option<UserId>,
    pub email: String,
}

/// What is stored of a version beside the flow's own row.
#[derive(Clone, Copy, Debug)]
pub struct VersionBody<'a> {
    pub body: &'a str,
    pub by: UserId,
    /// Settings by which an admin allowed it to ask less than the organization's policy.
    pub loosened: &'a [&'a str],
}

/// A new version of a flow.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    pub name: &'a str,
    pub content: VersionBody<'a>,
    /// E-mail of whoever wrote it.
    pub by: &'a str,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// Whether a flow is there and not deleted.
    pub async fn has_flow(&self, id: FlowId) -> Result<bool, DbErr> {
        let found = self
            .flows_there()
            .filter(Column::Id.eq(id.0))
            .one(self.db)
            .await?;
        Ok(found.is_some())
    }

    /// A flow that is not deleted, with its current version.
    pub async fn flow(&self, id: FlowId) -> Result<Option<FlowVersion>, DbErr> {
        Ok(self.flows_of(&[id]).await?.pop())
    }

    /// Those of the flows that are there and not deleted, each with its current version.
    pub async fn flows_of(&self, ids: &[FlowId]) -> Result<Vec<FlowVersion>, DbErr> {
        let flows = self
            .flows_there()
            .filter(Column::Id.is_in(ids.iter().map(|id| id.0)));
        self.versions(flows).await
    }

    /// Which of the flows are there and not deleted.
    pub async fn flows_among(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, DbErr> {
        self.flows_there()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(ids.iter().copied()))
            .into_tuple()
            .all(self.db)
            .await
    }

    /// A page of the flows, each with its current version.
    pub async fn flows(&self, window: Window) -> Result<Vec<FlowVersion>, DbErr> {
        let flows = self
            .flows_there()
            .order_by_desc(Column::Id)
            .offset(window.skip)
            .limit(window.limit);
        self.versions(flows).await
    }

    /// Bodies of given versions of this organization's flows, deleted ones too: runs keep theirs.
    pub async fn flow_bodies(
        &self,
        versions: &[(FlowId, i32)],
    ) -> Result<Vec<flow_version::Model>, DbErr> {
        if versions.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = versions.iter().map(|(flow, version)| (flow.0, *version));
        let key = Expr::tuple([
            Expr::col((flow_version::Entity, flow_version::Column::FlowId)),
            Expr::col((flow_version::Entity, flow_version::Column::Version)),
        ]);
        let own = sea_orm::sea_query::Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Column::OrganizationId.eq(self.organization.0))
            .and_where(Column::Id.is_in(versions.iter().map(|(flow, _)| flow.0)))
            .to_owned();
        flow_version::Entity::find()
            .filter(key.in_tuples(wanted))
            .filter(flow_version::Column::FlowId.in_subquery(own))
            .all(self.db)
            .await
    }

    /// Stores a new flow with its first version; it becomes this organization's.
    pub async fn insert_flow(
        &self,
        mut flow: Model,
        content: VersionBody<'_>,
    ) -> Result<Model, DbErr> {
        flow.organization_id = self.organization.0;
        Entity::insert(flow.clone().into_active_model())
            .exec_without_returning(self.db)
            .await?;
        self.insert_version(&flow, content).await?;
        Ok(flow)
    }

    /// Gives a flow a new version; none if it is not there or not at `version` any more.
    pub async fn edit_flow(
        &self,
        id: FlowId,
        version: i32,
        new: &NewVersion<'_>,
        now: Micros,
    ) -> Result<Option<Model>, DbErr> {
        let change = ActiveModel {
            name: Set(new.name.to_owned()),
            version: Set(version + 1),
            modified_at: Set(now.0),
            modified_by_email: Set(new.by.to_owned()),
            ..Default::default()
        };
        let Some(flow) = self.change_flow(id, Some(version), change).await? else {
            return Ok(None);
        };
        self.insert_version(&flow, new.content).await?;
        Ok(Some(flow))
    }

    /// Soft-deletes a flow; answers it as it was last, none if it is not there.
    pub async fn delete_flow(
        &self,
        id: FlowId,
        by: &str,
        now: Micros,
    ) -> Result<Option<FlowVersion>, DbErr> {
        let change = ActiveModel {
            modified_at: Set(now.0),
            modified_by_email: Set(by.to_owned()),
            deleted_at: Set(Some(now.0)),
            ..Default::default()
        };
        if self.change_flow(id, None, change).await?.is_none() {
            return Ok(None);
        }
        let own = Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::Id.eq(id.0));
        Ok(self.versions(own).await?.pop())
    }

    async fn change_flow(
        &self,
        id: FlowId,
        version: Option<i32>,
        change: ActiveModel,
    ) -> Result<Option<Model>, DbErr> {
        let mut update = Entity::update_many()
            .set(change)
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::DeletedAt.is_null())
            .filter(Column::Id.eq(id.0));
        if let Some(version) = version {
            update = update.filter(Column::Version.eq(version));
        }
        Ok(update
            .exec_with_returning(self.db)
            .await?
            .into_iter()
            .next())
    }

    async fn insert_version(&self, flow: &Model, content: VersionBody<'_>) -> Result<(), DbErr> {
        let row = flow_version::Model {
            flow_id: flow.id,
            version: flow.version,
            body: content.body.to_owned(),
            created_at: flow.modified_at,
            created_by_email: flow.modified_by_email.clone(),
            created_by: Some(content.by.0),
            loosened: (!content.loosened.is_empty())
                .then(|| serde_json::to_string(content.loosened).unwrap_or_default()),
        };
        flow_version::Entity::insert(row.into_active_model())
            .exec_without_returning(self.db)
            .await?;
        Ok(())
    }

    /// The flows in their order, each with its current version and what it is laid on, in one query.
    async fn versions(&self, flows: Select<Entity>) -> Result<Vec<FlowVersion>, DbErr> {
        let rows = flows
            .join(JoinType::InnerJoin, current_version())
            .select_also(flow_version::Entity)
            .find_also_related(organization::Entity)
            .all(self.db)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(flow, version, organization)| {
                let version = version?;
                let loosened = version.loosened.as_deref().map(serde_json::from_str);
                Some(FlowVersion {
                    flow,
                    body: version.body,
                    author: Author {
                        user: version.created_by.map(UserId),
                        email: version.created_by_email,
                    },
                    loosened: loosened.transpose().unwrap_or_default().unwrap_or_default(),
                    floor: organization?.approval,
                })
            })
            .collect())
    }

    fn flows_there(&self) -> Select<Entity> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::DeletedAt.is_null())
    }
}

fn current_version() -> RelationDef {
    Entity::belongs_to(flow_version::Entity)
        .from((Column::Id, Column::Version))
        .to((flow_version::Column::FlowId, flow_version::Column::Version))
        .into()
}
