//! Groups that policies name, and who stands in for whom.

use std::collections::BTreeMap;

use neena_engine::Micros;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::Tenant;
use crate::entities::{delegation, group_member};

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// The groups with their members.
    pub async fn groups(&self) -> Result<BTreeMap<String, Vec<String>>, DbErr> {
        let rows = group_member::Entity::find()
            .filter(group_member::Column::OrganizationId.eq(self.organization.0))
            .order_by_asc(group_member::Column::Name)
            .order_by_asc(group_member::Column::Email)
            .all(self.db)
            .await?;
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows {
            groups.entry(row.name).or_default().push(row.email);
        }
        Ok(groups)
    }

    /// The groups somebody belongs to.
    pub async fn groups_of(&self, email: &str) -> Result<Vec<String>, DbErr> {
        let rows = group_member::Entity::find()
            .filter(group_member::Column::OrganizationId.eq(self.organization.0))
            .filter(group_member::Column::Email.eq(email.to_lowercase()))
            .order_by_asc(group_member::Column::Name)
            .all(self.db)
            .await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// Makes these the members of a group, and no others. One without members is none.
    pub async fn set_group(&self, name: &str, members: &[String]) -> Result<(), DbErr> {
        self.remove_group(name).await?;
        let mut emails: Vec<String> = members.iter().map(|email| email.to_lowercase()).collect();
        emails.sort_unstable();
        emails.dedup();
        // Some at a time: a statement takes only so many values.
        for emails in emails.chunks(1_000) {
            let rows = emails.iter().map(|email| {
                let row = group_member::Model {
                    organization_id: self.organization.0,
                    name: name.to_owned(),
                    email: email.clone(),
                };
                row.into_active_model()
            });
            group_member::Entity::insert_many(rows)
                .exec_without_returning(self.db)
                .await?;
        }
        Ok(())
    }

    /// Removes a group; whether there was one.
    pub async fn remove_group(&self, name: &str) -> Result<bool, DbErr> {
        let removed = group_member::Entity::delete_many()
            .filter(group_member::Column::OrganizationId.eq(self.organization.0))
            .filter(group_member::Column::Name.eq(name))
            .exec(self.db)
            .await?;
        Ok(removed.rows_affected > 0)
    }

    /// Lends a place; it becomes this organization's, and its e-mails lower case.
    pub async fn add_delegation(
        &self,
        mut row: delegation::Model,
    ) -> Result<delegation::Model, DbErr> {
        row.organization_id = self.organization.0;
        row.from_email = row.from_email.to_lowercase();
        row.to_email = row.to_email.to_lowercase();
        delegation::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(self.db)
            .await?;
        Ok(row)
    }

    /// Delegations that are not over at `now`, the next to end first.
    pub async fn delegations(&self, now: Micros) -> Result<Vec<delegation::Model>, DbErr> {
        delegation::Entity::find()
            .filter(delegation::Column::OrganizationId.eq(self.organization.0))
            .filter(delegation::Column::EndsAt.gt(now.0))
            .order_by_asc(delegation::Column::EndsAt)
            .order_by_asc(delegation::Column::Id)
            .all(self.db)
            .await
    }

    /// A delegation.
    pub async fn delegation(&self, id: Uuid) -> Result<Option<delegation::Model>, DbErr> {
        delegation::Entity::find_by_id(id)
            .filter(delegation::Column::OrganizationId.eq(self.organization.0))
            .one(self.db)
            .await
    }

    /// Whose place `email` may take at `now`.
    pub async fn delegations_to(
        &self,
        email: &str,
        now: Micros,
    ) -> Result<Vec<delegation::Model>, DbErr> {
        delegation::Entity::find()
            .filter(delegation::Column::OrganizationId.eq(self.organization.0))
            .filter(delegation::Column::ToEmail.eq(email.to_lowercase()))
            .filter(delegation::Column::StartsAt.lte(now.0))
            .filter(delegation::Column::EndsAt.gt(now.0))
            .order_by_asc(delegation::Column::FromEmail)
            .all(self.db)
            .await
    }

    /// Takes a place back; whether it was lent.
    pub async fn remove_delegation(&self, id: Uuid) -> Result<bool, DbErr> {
        let removed = delegation::Entity::delete_many()
            .filter(delegation::Column::Id.eq(id))
            .filter(delegation::Column::OrganizationId.eq(self.organization.0))
            .exec(self.db)
            .await?;
        Ok(removed.rows_affected > 0)
    }
}
