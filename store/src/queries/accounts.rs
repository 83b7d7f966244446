//! Organizations and users: made or updated by the tokens that are presented.

use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, UserId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use uuid::Uuid;

use crate::entities::{organization, user};

/// The external id of the organization that local tokens without one share.
pub const LOCAL: &str = "local";

/// What a token that holds says of its user.
#[derive(Clone, Debug)]
pub struct Bearer<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub email: &'a str,
    pub full_name: Option<&'a str>,
    /// JSON list of the permissions of the token.
    pub permissions: &'a str,
}

/// The organization of an external id, made if it is not there. One that is a UUID is the id itself.
pub async fn organization(
    db: &impl ConnectionTrait,
    external: &str,
    now: Micros,
) -> Result<OrganizationId, DbErr> {
    let given = Uuid::try_parse(external).ok();
    let external = given.map_or_else(|| external.to_owned(), |id| id.to_string());
    if let Some(known) = find_organization(db, given, &external).await? {
        return Ok(OrganizationId(known));
    }
    let row = organization::Model {
        id: given.unwrap_or_else(Uuid::now_v7),
        name: external.clone(),
        external_id: external.clone(),
        created_at: now.0,
        approval: None,
    };
    organization::Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    find_organization(db, given, &external)
        .await?
        .map(OrganizationId)
        .ok_or_else(|| DbErr::RecordNotFound("the organization just made".to_owned()))
}

async fn find_organization(
    db: &impl ConnectionTrait,
    given: Option<Uuid>,
    external: &str,
) -> Result<Option<Uuid>, DbErr> {
    let by = match given {
        Some(id) => organization::Column::Id.eq(id),
        None => organization::Column::ExternalId.eq(external),
    };
    Ok(organization::Entity::find()
        .filter(by)
        .one(db)
        .await?
        .map(|row| row.id))
}

/// Makes or updates the user that bears a token; a token without a name leaves the name as it is.
pub async fn enrol(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    bearer: &Bearer<'_>,
    now: Micros,
) -> Result<UserId, DbErr> {
    let row = user::Model {
        id: Uuid::now_v7(),
        issuer: bearer.issuer.to_owned(),
        subject: bearer.subject.to_owned(),
        email: bearer.email.to_owned(),
        full_name: bearer.full_name.map(str::to_owned),
        auth0_id: None,
        organization_id: organization.0,
        permissions: bearer.permissions.to_owned(),
        created_at: now.0,
        modified_at: now.0,
    };
    let mut updated = vec![
        user::Column::Email,
        user::Column::OrganizationId,
        user::Column::Permissions,
        user::Column::ModifiedAt,
    ];
    if bearer.full_name.is_some() {
        updated.push(user::Column::FullName);
    }
    let keyed = [user::Column::Issuer, user::Column::Subject];
    user::Entity::insert(row.into_active_model())
        .on_conflict(
            OnConflict::columns(keyed)
                .update_columns(updated)
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    user::Entity::find()
        .filter(user::Column::Issuer.eq(bearer.issuer))
        .filter(user::Column::Subject.eq(bearer.subject))
        .one(db)
        .await?
        .map(|row| UserId(row.id))
        .ok_or_else(|| DbErr::RecordNotFound("the user just made".to_owned()))
}

/// A user by id.
pub async fn user(db: &impl ConnectionTrait, id: UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id.0).one(db).await
}

/// Stores what a user says of themselves. Never used to decide anything.
pub async fn set_profile(
    db: &impl ConnectionTrait,
    id: UserId,
    full_name: Option<String>,
    auth0_id: String,
    now: Micros,
) -> Result<(), DbErr> {
    let mut row = user::ActiveModel {
        auth0_id: Set(Some(auth0_id)),
        modified_at: Set(now.0),
        ..Default::default()
    };
    if let Some(name) = full_name {
        row.full_name = Set(Some(name));
    }
    user::Entity::update_many()
        .set(row)
        .filter(user::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}
