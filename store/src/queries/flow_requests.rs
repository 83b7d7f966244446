//! Requests that flows be run.

use neena_engine::Micros;
use neena_engine::ids::FlowRequestId;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use super::{Tenant, Window, among};
use crate::entities::flow_request::{ActiveModel, Column, Entity, Model};

/// Rows of one statement.
const ROWS: usize = 250;

/// A change of a request; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct FlowRequestEdit {
    pub instructions: String,
    /// JSON list of objects.
    pub metadata: Option<String>,
    pub name: Option<Option<String>>,
    pub flow: Option<Option<Uuid>>,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// A request that is not deleted.
    pub async fn flow_request(&self, id: FlowRequestId) -> Result<Option<Model>, DbErr> {
        self.flow_requests_there()
            .filter(Column::Id.eq(id.0))
            .one(self.db)
            .await
    }

    /// A page of the requests.
    pub async fn flow_requests(&self, window: Window) -> Result<Vec<Model>, DbErr> {
        self.flow_requests_there()
            .order_by_desc(Column::Id)
            .offset(window.skip)
            .limit(window.limit)
            .all(self.db)
            .await
    }

    /// Those of the requests that are there and not deleted.
    pub async fn flow_requests_of(&self, ids: &[Uuid]) -> Result<Vec<Model>, DbErr> {
        self.flow_requests_there()
            .filter(among(self.db, Column::Id, ids))
            .all(self.db)
            .await
    }

    /// Stores new requests; they become this organization's.
    pub async fn insert_flow_requests(&self, rows: Vec<Model>) -> Result<Vec<Model>, DbErr> {
        let own = |row: Model| Model {
            organization_id: self.organization.0,
            ..row
        };
        let rows: Vec<Model> = rows.into_iter().map(own).collect();
        for chunk in rows.chunks(ROWS) {
            Entity::insert_many(
                chunk
                    .iter()
                    .cloned()
                    .map(IntoActiveModel::into_active_model),
            )
            .exec_without_returning(self.db)
            .await?;
        }
        Ok(rows)
    }

    /// Changes a request; none if it is not there.
    pub async fn edit_flow_request(
        &self,
        id: FlowRequestId,
        edit: FlowRequestEdit,
        by: &str,
        now: Micros,
    ) -> Result<Option<Model>, DbErr> {
        let mut change = ActiveModel {
            request_instructions: Set(edit.instructions),
            modified_at: Set(now.0),
            modified_by_email: Set(by.to_owned()),
            ..Default::default()
        };
        if let Some(metadata) = edit.metadata {
            change.request_metadata = Set(metadata);
        }
        if let Some(name) = edit.name {
            change.request_name = Set(name);
        }
        if let Some(flow) = edit.flow {
            change.flow_id = Set(flow);
        }
        self.change_flow_request(id, change).await
    }

    /// Soft-deletes a request; answers it as it was last, none if it is not there.
    pub async fn delete_flow_request(
        &self,
        id: FlowRequestId,
        by: &str,
        now: Micros,
    ) -> Result<Option<Model>, DbErr> {
        let change = ActiveModel {
            modified_at: Set(now.0),
            modified_by_email: Set(by.to_owned()),
            deleted_at: Set(Some(now.0)),
            ..Default::default()
        };
        self.change_flow_request(id, change).await
    }

    async fn change_flow_request(
        &self,
        id: FlowRequestId,
        change: ActiveModel,
    ) -> Result<Option<Model>, DbErr> {
        let changed = Entity::update_many()
            .set(change)
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::DeletedAt.is_null())
            .filter(Column::Id.eq(id.0))
            .exec_with_returning(self.db)
            .await?;
        Ok(changed.into_iter().next())
    }

    fn flow_requests_there(&self) -> Select<Entity> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::DeletedAt.is_null())
    }
}
