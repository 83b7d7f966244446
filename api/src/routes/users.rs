//! The user behind a token.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use neena_store::queries::accounts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Post, payload};
use crate::state::AppState;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    email: String,
    /// As the user or the token told it, else the e-mail.
    full_name: String,
    /// As the user told it, else the subject of the token.
    auth0_id: String,
    id: Uuid,
    /// What the token grants.
    permissions: Option<Vec<String>>,
    organization: Uuid,
}

/// What a user says of themselves.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewUser {
    /// The e-mail of the token.
    #[schema(min_length = 1, max_length = 320)]
    email: String,
    #[schema(max_length = 256, pattern = r"^[^\x00]*$")]
    full_name: Option<String>,
    /// Stored and shown, never used to decide anything.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00]*$")]
    auth0_id: String,
}

payload!(NewUser);

/// The current user
///
/// Who the token says you are.
#[utoipa::path(get, path = "/users/", tag = "Users", responses((status = 200, body = UserView)))]
pub(crate) async fn current(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<UserView>, ApiError> {
    let row = accounts::user(app.db().reader(), caller.user)
        .await?
        .ok_or(ApiError::NotFound("User"))?;
    Ok(Json(UserView {
        email: caller.email.as_ref().to_owned(),
        full_name: row.full_name.unwrap_or(row.email),
        auth0_id: row.auth0_id.unwrap_or(row.subject),
        id: row.id,
        permissions: Some(caller.permissions.words().to_vec()),
        organization: caller.organization.0,
    }))
}

/// Create the user if it does not exist
///
/// A token that holds makes its user, so this stores what you say of yourself. The e-mail must be yours.
#[utoipa::path(
    post,
    path = "/users/create_if_not_exists",
    tag = "Users",
    request_body = NewUser,
    responses(
        (status = 200, body = UserView),
        (status = 403, description = "Another person's e-mail", body = inline(crate::docs::ErrorDetail))
    )
)]
pub(crate) async fn create_if_not_exists(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewUser>,
) -> Result<Response, ApiError> {
    if !caller.is(&body.email) {
        let why = "You can only create a user with your own e-mail";
        return Err(ApiError::Forbidden(why.to_owned()));
    }
    let (response, ()) = once
        .run(app.db(), move |tx, now| {
            async move {
                let NewUser {
                    full_name,
                    auth0_id,
                    ..
                } = body;
                let id = caller.user;
                accounts::set_profile(tx, id, full_name, auth0_id.clone(), now).await?;
                let row = accounts::user(tx, id)
                    .await?
                    .ok_or(ApiError::NotFound("User"))?;
                let view = UserView {
                    full_name: row.full_name.unwrap_or_else(|| row.email.clone()),
                    email: row.email,
                    auth0_id,
                    id: row.id,
                    permissions: None,
                    organization: caller.organization.0,
                };
                Ok((view, ()))
            }
            .boxed()
        })
        .await?;
    Ok(response)
}
