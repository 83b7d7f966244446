//! Requests that flows be run.

pub(crate) mod bulk;

pub(crate) use bulk::faults_of;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::ids::{FlowId, FlowRequestId};
use neena_engine::{Fault, Loc, Micros, loc};
use neena_store::entities::flow_request::Model;
use neena_store::queries::{self, FlowRequestEdit};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::{ById, Paging};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Body, Once, Post, Query, payload};
use crate::state::AppState;
use crate::view::{Time, raw};

const THING: &str = "Flow request";

/// A new request.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewFlowRequest {
    /// What is wanted.
    #[schema(min_length = 8, max_length = 512, pattern = r"^[^\x00]*$")]
    request_instructions: String,
    /// Values for the flow's parameters, later objects winning.
    #[schema(value_type = Option<Vec<Object>>)]
    request_metadata: Option<Vec<Map<String, Value>>>,
    #[schema(max_length = 64, pattern = r"^[^\x00]*$")]
    request_name: Option<String>,
    /// The flow it asks for.
    flow: Option<Uuid>,
    /// Your organization.
    organization: Option<Uuid>,
}

payload!(NewFlowRequest);

/// A changed request; fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FlowRequestUpdate {
    id: Uuid,
    /// What is wanted.
    #[schema(min_length = 8, max_length = 512, pattern = r"^[^\x00]*$")]
    request_instructions: String,
    /// Values for the flow's parameters, later objects winning.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<Object>>)]
    request_metadata: Option<Option<Vec<Map<String, Value>>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 64, pattern = r"^[^\x00]*$")]
    request_name: Option<Option<String>>,
    /// The flow it asks for.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Uuid>)]
    flow: Option<Option<Uuid>>,
    /// Your organization.
    organization: Option<Uuid>,
}

payload!(FlowRequestUpdate);

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowRequestView {
    request_instructions: String,
    #[schema(value_type = Vec<Object>)]
    request_metadata: Option<Box<RawValue>>,
    request_name: Option<String>,
    flow: Option<Uuid>,
    organization: Uuid,
    id: Uuid,
    created_date: Time,
    modified_date: Time,
    created_by_email: String,
    modified_by_email: String,
}

impl From<Model> for FlowRequestView {
    fn from(row: Model) -> FlowRequestView {
        FlowRequestView {
            request_instructions: row.request_instructions,
            request_metadata: raw(row.request_metadata),
            request_name: row.request_name,
            flow: row.flow_id,
            organization: row.organization_id,
            id: row.id,
            created_date: Time::of(row.created_at),
            modified_date: Time::of(row.modified_at),
            created_by_email: row.created_by_email,
            modified_by_email: row.modified_by_email,
        }
    }
}

/// Create a flow request
#[utoipa::path(
    post,
    path = "/flow_requests/",
    tag = "Flow requests",
    request_body = NewFlowRequest,
    responses((status = 200, body = FlowRequestView))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewFlowRequest>,
) -> Result<Response, ApiError> {
    check_ids(&app, &caller, body.flow, body.organization, Vec::new()).await?;
    store(&app, caller, once, vec![body], |mut one| one.pop()).await
}

/// Update a flow request
///
/// Runs that exist keep the request as it was when they were made.
#[utoipa::path(
    put,
    path = "/flow_requests/",
    tag = "Flow requests",
    request_body = FlowRequestUpdate,
    responses((status = 200, body = FlowRequestView))
)]
pub(crate) async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<FlowRequestUpdate>,
) -> Result<Json<FlowRequestView>, ApiError> {
    let id = FlowRequestId(body.id);
    let there = queries::of(app.db().reader(), caller.organization)
        .flow_request(id)
        .await?;
    let faults = if there.is_some() {
        Vec::new()
    } else {
        vec![unknown("id", THING)]
    };
    check_ids(
        &app,
        &caller,
        body.flow.flatten(),
        body.organization,
        faults,
    )
    .await?;
    let now = app.db().now().await?;
    let edit = FlowRequestEdit {
        instructions: body.request_instructions,
        metadata: body
            .request_metadata
            .map(|metadata| text(&metadata.unwrap_or_default())),
        name: body.request_name,
        flow: body.flow,
    };
    let row = app
        .db()
        .unit(move |tx| {
            async move {
                queries::of(tx, caller.organization)
                    .edit_flow_request(id, edit, &caller.email, now)
                    .await?
                    .ok_or_else(|| ApiError::fault(unknown("id", THING)))
            }
            .boxed()
        })
        .await?;
    Ok(Json(row.into()))
}

/// Read a flow request
#[utoipa::path(
    get,
    path = "/flow_requests/",
    tag = "Flow requests",
    params(ById),
    responses((status = 200, body = FlowRequestView), (status = 404, description = "Not found"))
)]
pub(crate) async fn read(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<FlowRequestView>, ApiError> {
    let row = queries::of(app.db().reader(), caller.organization)
        .flow_request(FlowRequestId(by.id))
        .await?;
    Ok(Json(row.ok_or(ApiError::NotFound(THING))?.into()))
}

/// List flow requests
#[utoipa::path(
    get,
    path = "/flow_requests/all",
    tag = "Flow requests",
    params(Paging),
    responses((status = 200, body = Vec<FlowRequestView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<FlowRequestView>>, ApiError> {
    let rows = queries::of(app.db().reader(), caller.organization)
        .flow_requests(paging.window())
        .await?;
    Ok(Json(rows.into_iter().map(FlowRequestView::from).collect()))
}

/// Delete a flow request
///
/// Runs that exist keep it.
#[utoipa::path(
    delete,
    path = "/flow_requests/",
    tag = "Flow requests",
    params(ById),
    responses((status = 200, body = FlowRequestView), (status = 404, description = "Not found"))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<FlowRequestView>, ApiError> {
    let now = app.db().now().await?;
    let row = app
        .db()
        .unit(move |tx| {
            async move {
                queries::of(tx, caller.organization)
                    .delete_flow_request(FlowRequestId(by.id), &caller.email, now)
                    .await?
                    .ok_or(ApiError::NotFound(THING))
            }
            .boxed()
        })
        .await?;
    Ok(Json(row.into()))
}

/// Stores requests in one unit of work, and answers what `shape` makes of them, which come in order.
async fn store<V: Serialize + Send + 'static>(
    app: &AppState,
    caller: Caller,
    once: Once,
    bodies: Vec<NewFlowRequest>,
    shape: impl FnOnce(Vec<FlowRequestView>) -> V + Send + 'static,
) -> Result<Response, ApiError> {
    let stored = once.run(app.db(), move |tx, now| {
        async move {
            let rows = bodies.iter().map(|body| new_row(&caller, body, now));
            let rows = queries::of(tx, caller.organization)
                .insert_flow_requests(rows.collect())
                .await?;
            let views = rows.into_iter().map(FlowRequestView::from);
            Ok((shape(views.collect()), ()))
        }
        .boxed()
    });
    Ok(stored.await?.0)
}

/// A new request as it is stored.
pub(crate) fn new_row(caller: &Caller, body: &NewFlowRequest, now: Micros) -> Model {
    Model {
        id: Uuid::now_v7(),
        organization_id: caller.organization.0,
        request_instructions: body.request_instructions.clone(),
        request_metadata: text(body.request_metadata.as_deref().unwrap_or_default()),
        request_name: body.request_name.clone(),
        flow_id: body.flow,
        created_at: now.0,
        modified_at: now.0,
        created_by_email: caller.email.as_ref().to_owned(),
        modified_by_email: caller.email.as_ref().to_owned(),
        deleted_at: None,
    }
}

/// The metadata as it is stored.
fn text(metadata: &[Map<String, Value>]) -> String {
    serde_json::to_string(metadata).expect("JSON values are JSON")
}

/// Ids of a body that must be the caller's: found out outside the unit of work, all faults at once.
async fn check_ids(
    app: &AppState,
    caller: &Caller,
    flow: Option<Uuid>,
    organization: Option<Uuid>,
    mut faults: Vec<Fault>,
) -> Result<(), ApiError> {
    if let Some(flow) = flow {
        let tenant = queries::of(app.db().reader(), caller.organization);
        if !tenant.has_flow(FlowId(flow)).await? {
            faults.push(unknown("flow", "Flow"));
        }
    }
    if organization.is_some_and(|organization| organization != caller.organization.0) {
        faults.push(unknown("organization", "Organization"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Invalid(faults))
    }
}

/// An id in a body that names nothing of the caller's, whether or not it is somebody else's.
pub(crate) fn unknown(field: &'static str, thing: &str) -> Fault {
    let loc: Vec<Loc> = loc!["body", field];
    Fault::new(loc, "unknown_id", format!("{thing} not found"))
}

/// Tells a field that is null from one that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
