//! Flows: the definitions of work.

mod body;
mod later;
mod stored;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::Fault;
use neena_engine::flow::Flow;
use neena_engine::ids::FlowId;
use neena_store::entities::flow::Model;
use neena_store::queries::{self, FlowVersion, NewVersion, VersionBody};
use uuid::Uuid;

use body::FlowUpdate;
pub(crate) use body::NewFlow;
pub(crate) use stored::read as read_stored;
use stored::{Earlier, FlowView};

use super::flow_requests::unknown;
use super::parameters::{ById, Paging};
use crate::auth::Caller;
use crate::catalogue;
use crate::error::ApiError;
use crate::extract::{Body, Post, Query, within};
use crate::offload::offload;
use crate::state::AppState;

const THING: &str = "Flow";

/// Flows of more operations and dependencies than this are checked on a thread for such work.
const SMALL: usize = 256;

/// Create a flow
///
/// Every fault of it is listed at once, each with its place.
#[utoipa::path(
    post,
    path = "/flows/",
    tag = "Flows",
    request_body = NewFlow,
    responses((status = 200, body = FlowView))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewFlow>,
) -> Result<Response, ApiError> {
    let now = app.db().now().await?;
    let (posted, flow) = check(&app, body, Vec::new()).await?;
    let row = Model {
        id: Uuid::now_v7(),
        organization_id: caller.organization.0,
        name: flow.name().to_owned(),
        version: 1,
        created_at: now.0,
        modified_at: now.0,
        created_by_email: caller.email.as_ref().to_owned(),
        modified_by_email: caller.email.as_ref().to_owned(),
        deleted_at: None,
    };
    let (id, by) = (row.id, Arc::clone(&caller.email));
    let write = move || stored::text(id, &posted, &flow, &by, now, Earlier::default());
    let text = offload(true, write).await?;
    let (response, ()) = once
        .run(app.db(), move |tx, _| {
            async move {
                let content = VersionBody {
                    body: &text,
                    by: caller.user,
                    loosened: &[],
                };
                let row = queries::of(tx, caller.organization)
                    .insert_flow(row, content)
                    .await?;
                Ok((stored::view(row, &text)?, ()))
            }
            .boxed()
        })
        .await?;
    Ok(response)
}

/// Edit a flow: a new version
///
/// Runs that exist keep the version they were made from.
#[utoipa::path(
    put,
    path = "/flows/",
    tag = "Flows",
    request_body = FlowUpdate,
    responses(
        (status = 200, body = FlowView),
        (status = 409, description = "Somebody else edited it at the same time")
    )
)]
pub(crate) async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<FlowUpdate>,
) -> Result<Json<FlowView>, ApiError> {
    let id = FlowId(body.id);
    let now = app.db().now().await?;
    let known = queries::of(app.db().reader(), caller.organization)
        .flow(id)
        .await?;
    let faults = if known.is_some() {
        Vec::new()
    } else {
        vec![unknown("id", THING)]
    };
    let (posted, flow) = check(&app, body.flow, faults).await?;
    let known = known.ok_or_else(|| ApiError::fault(unknown("id", THING)))?;
    let (name, version) = (flow.name().to_owned(), known.flow.version);
    let by = Arc::clone(&caller.email);
    let write = move || {
        let earlier: Earlier = read_stored(&known.body)?;
        Ok::<_, ApiError>(stored::text(id.0, &posted, &flow, &by, now, earlier))
    };
    let text = offload(true, write).await??;
    let view = app
        .db()
        .unit(move |tx| {
            async move {
                let new = NewVersion {
                    name: &name,
                    content: VersionBody {
                        body: &text,
                        by: caller.user,
                        loosened: &[],
                    },
                    by: &caller.email,
                };
                let edited = queries::of(tx, caller.organization)
                    .edit_flow(id, version, &new, now)
                    .await?;
                match edited {
                    Some(row) => stored::view(row, &text),
                    None => Err(ApiError::Conflict(
                        "The flow was changed at the same time; read it again".to_owned(),
                    )),
                }
            }
            .boxed()
        })
        .await?;
    Ok(Json(view))
}

/// Read a flow
#[utoipa::path(
    get,
    path = "/flows/",
    tag = "Flows",
    params(ById),
    responses((status = 200, body = FlowView), (status = 404, description = "Not found"))
)]
pub(crate) async fn read(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<FlowView>, ApiError> {
    let found = queries::of(app.db().reader(), caller.organization)
        .flow(FlowId(by.id))
        .await?;
    let FlowVersion { flow, body, .. } = found.ok_or(ApiError::NotFound(THING))?;
    Ok(Json(stored::view(flow, &body)?))
}

/// List flows
#[utoipa::path(
    get,
    path = "/flows/all",
    tag = "Flows",
    params(Paging),
    responses((status = 200, body = Vec<FlowView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<FlowView>>, ApiError> {
    let rows = queries::of(app.db().reader(), caller.organization)
        .flows(paging.window())
        .await?;
    let views = rows
        .into_iter()
        .map(|row| stored::view(row.flow, &row.body));
    Ok(Json(views.collect::<Result<_, _>>()?))
}

/// Delete a flow
///
/// Runs that exist keep it.
#[utoipa::path(
    delete,
    path = "/flows/",
    tag = "Flows",
    params(ById),
    responses((status = 200, body = FlowView), (status = 404, description = "Not found"))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<FlowView>, ApiError> {
    let now = app.db().now().await?;
    let deleted = app
        .db()
        .unit(move |tx| {
            async move {
                queries::of(tx, caller.organization)
                    .delete_flow(FlowId(by.id), &caller.email, now)
                    .await?
                    .ok_or(ApiError::NotFound(THING))
            }
            .boxed()
        })
        .await?;
    Ok(Json(stored::view(deleted.flow, &deleted.body)?))
}

/// Checks a posted flow against the catalogue; its faults come after those already found.
async fn check(
    app: &AppState,
    posted: NewFlow,
    mut faults: Vec<Fault>,
) -> Result<(NewFlow, Flow), ApiError> {
    let catalogue = catalogue::read(app.db().reader(), posted.definitions()).await?;
    let heavy = posted.size() > SMALL;
    let work = move || Flow::check(posted.spec(), &catalogue).map(|flow| (posted, flow));
    match offload(heavy, work).await? {
        Ok(checked) if faults.is_empty() => Ok(checked),
        Ok(_) => Err(ApiError::Invalid(faults)),
        Err(found) => {
            faults.extend(within("body", found));
            Err(ApiError::Invalid(faults))
        }
    }
}
