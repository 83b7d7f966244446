//! Flows: the definitions of work.

mod body;
mod later;
mod stored;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::flow::Flow;
use neena_engine::ids::FlowId;
use neena_engine::{Fault, Micros};
use neena_store::Transaction;
use neena_store::entities::flow::Model;
use neena_store::queries::{self, FlowVersion, NewEntry, NewVersion, VersionBody, catalogue};
use uuid::Uuid;

use body::FlowUpdate;
pub(crate) use body::NewFlow;
pub(crate) use stored::read as read_stored;
use stored::{Earlier, FlowView};

use super::flow_requests::unknown;
use super::parameters::{ById, Paging};
use crate::auth::{Caller, Permission};
use crate::error::ApiError;
use crate::extract::{Body, Post, Query, within};
use crate::offload::offload;
use crate::policies;
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
    let Checked {
        posted,
        flow,
        loosened,
    } = check(&app, &caller, body, Vec::new()).await?;
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
                    loosened: &words(&loosened),
                };
                let row = queries::of(tx, caller.organization)
                    .insert_flow(row, content)
                    .await?;
                note_loosened(tx, &caller, &row, &loosened, now).await?;
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
    let Checked {
        posted,
        flow,
        loosened,
    } = check(&app, &caller, body.flow, faults).await?;
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
                        loosened: &words(&loosened),
                    },
                    by: &caller.email,
                };
                let edited = queries::of(tx, caller.organization)
                    .edit_flow(id, version, &new, now)
                    .await?;
                match edited {
                    Some(row) => {
                        note_loosened(tx, &caller, &row, &loosened, now).await?;
                        stored::view(row, &text)
                    }
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

/// A posted flow that holds.
struct Checked {
    posted: NewFlow,
    flow: Flow,
    /// By which settings it asks for less than the organization's policy.
    loosened: Vec<String>,
}

/// Checks a posted flow against the catalogue and its organization's policy; its faults come after those
/// already found.
async fn check(
    app: &AppState,
    caller: &Caller,
    posted: NewFlow,
    mut faults: Vec<Fault>,
) -> Result<Checked, ApiError> {
    let catalogue = catalogue::known(app.db().reader(), posted.definitions()).await?;
    let floor = policies::floor(app, caller.organization, caller.local).await?;
    let heavy = posted.size() > SMALL;
    let work = move || {
        let laid = policies::lay(&posted, &floor);
        let (gates, loosened, mut faults) = match laid {
            Ok(laid) => (laid.gates, laid.loosened, Vec::new()),
            Err(faults) => (policies::unchecked(&posted, &floor), Vec::new(), faults),
        };
        match Flow::check(posted.spec(gates), &catalogue) {
            Ok(flow) if faults.is_empty() => Ok(Checked {
                posted,
                flow,
                loosened,
            }),
            Ok(_) => Err(faults),
            Err(found) => {
                faults.extend(found);
                Err(faults)
            }
        }
    };
    let checked = match offload(heavy, work).await? {
        Ok(checked) if faults.is_empty() => checked,
        Ok(_) => return Err(ApiError::Invalid(faults)),
        Err(found) => {
            faults.extend(within("body", found));
            return Err(ApiError::Invalid(faults));
        }
    };
    if !checked.loosened.is_empty() && !caller.may(Permission::Admin) {
        return Err(ApiError::Forbidden(format!(
            "The flow asks for less than its organization, by {}: that needs the permission `admin`",
            checked.loosened.join(", ")
        )));
    }
    Ok(checked)
}

/// That an admin let a flow ask for less than its organization is an entry of the decision log.
async fn note_loosened(
    tx: &Transaction,
    caller: &Caller,
    flow: &Model,
    loosened: &[String],
    now: Micros,
) -> Result<(), ApiError> {
    if loosened.is_empty() {
        return Ok(());
    }
    let result = format!(
        "flow {}, version {}: {}",
        flow.id,
        flow.version,
        loosened.join(", ")
    );
    let entry = NewEntry {
        what: "loosen",
        result: &result,
        ..caller.entry()
    };
    queries::of(tx, caller.organization)
        .append(entry, now)
        .await?;
    Ok(())
}

fn words(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}
