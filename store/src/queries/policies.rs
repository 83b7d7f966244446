//! The organization's policy, which every flow is laid on.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::Tenant;
use crate::entities::organization::{ActiveModel, Column, Entity};

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// The policy as it was given: JSON; none where none was.
    pub async fn policy(&self) -> Result<Option<String>, DbErr> {
        let row = Entity::find_by_id(self.organization.0).one(self.db).await?;
        Ok(row.and_then(|row| row.approval))
    }

    /// Sets it, or goes back to none.
    pub async fn set_policy(&self, policy: Option<&str>) -> Result<(), DbErr> {
        let row = ActiveModel {
            approval: Set(policy.map(str::to_owned)),
            ..Default::default()
        };
        Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(self.organization.0))
            .exec(self.db)
            .await?;
        Ok(())
    }
}
