//! Integrations: groups of task definitions, and how they are registered.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use neena_engine::flow::Kind;
use neena_store::entities::integration;
use neena_store::queries::catalogue as rows;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::Paging;
use super::task_definitions::TaskDefinitionView;
use crate::auth::Caller;
use crate::catalogue::{self, Manifest, Registered};
use crate::error::ApiError;
use crate::extract::{Body, Query};
use crate::state::AppState;
use crate::view::Time;

/// An integration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntegrationView {
    class_name: String,
    name: String,
    short_name: String,
    auth_type: String,
    id: Uuid,
    created_date: Time,
    modified_date: Time,
}

impl From<integration::Model> for IntegrationView {
    fn from(row: integration::Model) -> IntegrationView {
        IntegrationView {
            class_name: row.class_name,
            name: row.name,
            short_name: row.short_name,
            auth_type: row.auth_type,
            id: row.id,
            created_date: Time::of(row.created_at),
            modified_date: Time::of(row.modified_at),
        }
    }
}

/// What a sync did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Synced {
    integrations: Vec<SyncedIntegration>,
}

/// An integration as it is registered now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SyncedIntegration {
    #[serde(flatten)]
    integration: IntegrationView,
    code_digest: Option<String>,
    /// Whether this server's own worker runs its tasks.
    hosted: bool,
    /// Why not.
    reason: Option<String>,
    task_definitions: Vec<TaskDefinitionView>,
}

/// List integrations
#[utoipa::path(
    get,
    path = "/integrations/all",
    tag = "Integrations",
    params(Paging),
    responses((status = 200, body = Vec<IntegrationView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    _: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<IntegrationView>>, ApiError> {
    let rows = rows::integrations(app.db().reader(), paging.window()).await?;
    Ok(Json(rows.into_iter().map(IntegrationView::from).collect()))
}

/// Register integrations from an introspected manifest
///
/// Inserts what is new, updates what changed, and takes away tasks that an integration no longer has.
#[utoipa::path(
    put,
    path = "/integrations/sync",
    tag = "Integrations",
    request_body = Manifest,
    responses((status = 200, body = Synced))
)]
pub(crate) async fn sync(
    State(app): State<AppState>,
    caller: Caller,
    Body(manifest): Body<Manifest>,
) -> Result<Json<Synced>, ApiError> {
    let manifest = if caller.local {
        manifest
    } else {
        manifest.without_paths()
    };
    let by = Some(caller.email.as_ref());
    let registered = catalogue::upsert_manifest(app.db(), manifest, by).await?;
    let mut integrations = Vec::with_capacity(registered.len());
    for one in registered {
        let hosted = host(&app, &one).await;
        integrations.push(synced(one, hosted));
    }
    Ok(Json(Synced { integrations }))
}

/// Has the code of a synced integration loaded by this process's worker, where there is one.
async fn host(app: &AppState, registered: &Registered) -> Result<(), String> {
    let integration = &registered.integration;
    if registered.kind == Kind::External {
        return Err(format!(
            "its tasks wait in the queue `{}.tasks.{}` for workers outside",
            app.config().queue_prefix,
            integration.short_name
        ));
    }
    let Some(hosting) = app.hosting() else {
        return Err("this server runs no tasks".to_owned());
    };
    let (Some(path), Some(digest)) = (&integration.path, &integration.code_digest) else {
        return Err(
            "the manifest names no path, or none that this organization may name".to_owned(),
        );
    };
    hosting
        .host(&integration.short_name, digest, Path::new(path))
        .await
}

fn synced(one: Registered, hosted: Result<(), String>) -> SyncedIntegration {
    SyncedIntegration {
        code_digest: one.integration.code_digest.clone(),
        hosted: hosted.is_ok(),
        reason: hosted.err(),
        task_definitions: one
            .definitions
            .into_iter()
            .map(|row| TaskDefinitionView::of(row, one.integration.clone()))
            .collect(),
        integration: one.integration.into(),
    }
}
