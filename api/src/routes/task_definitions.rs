//! Kinds of task that flows can use.

use axum::Json;
use axum::extract::State;
use neena_engine::flow::Parameter;
use neena_engine::ids::TaskDefinitionId;
use neena_store::entities::{integration, task_definition};
use neena_store::queries::catalogue;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::integrations::IntegrationView;
use super::parameters::{ById, Paging};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::Query;
use crate::state::AppState;
use crate::view::{Time, parsed};

/// One parameter of a task, or one part of what it returns.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParameterView {
    name: String,
    data_type: String,
    position: u32,
    /// Empty where the code says nothing.
    doc_string: String,
    optional: bool,
}

impl From<Parameter> for ParameterView {
    fn from(parameter: Parameter) -> ParameterView {
        let Parameter {
            name,
            data_type,
            position,
            doc_string,
            optional,
        } = parameter;
        ParameterView {
            name,
            data_type,
            position,
            doc_string: doc_string.unwrap_or_default(),
            optional,
        }
    }
}

/// A kind of task.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskDefinitionView {
    task_name: String,
    integration: Uuid,
    parameters: Vec<ParameterView>,
    input_type: String,
    input_yml: String,
    description: String,
    /// `built_in`, `python`, or `external`: taken from a queue by workers outside.
    kind: String,
    python_method_name: String,
    output_type: String,
    output_yml: String,
    output_parameters: Vec<ParameterView>,
    output_is_list: bool,
    /// Safe to recompute: a function of its arguments and its code, without effect.
    pure: bool,
    /// Whether an attempt lost with its worker may run again.
    repeatable: bool,
    /// Digest of the code behind it.
    code_digest: String,
    id: Uuid,
    created_date: Time,
    modified_date: Time,
    created_by_email: Option<String>,
    modified_by_email: Option<String>,
    deleted_at: Option<Time>,
    belongs_to_integration: IntegrationView,
}

impl TaskDefinitionView {
    pub(crate) fn of(row: task_definition::Model, integration: integration::Model) -> Self {
        let list = |text: &str| {
            parsed::<Vec<Parameter>>(text)
                .into_iter()
                .map(ParameterView::from)
                .collect()
        };
        TaskDefinitionView {
            parameters: list(&row.parameters),
            output_parameters: list(&row.output_parameters),
            task_name: row.task_name,
            integration: row.integration_id,
            input_type: row.input_type,
            input_yml: row.input_yml,
            description: row.description,
            kind: row.kind,
            python_method_name: row.python_method_name,
            output_type: row.output_type,
            output_yml: row.output_yml,
            output_is_list: row.output_is_list,
            pure: row.pure,
            repeatable: row.repeatable,
            code_digest: row.code_digest,
            id: row.id,
            created_date: Time::of(row.created_at),
            modified_date: Time::of(row.modified_at),
            created_by_email: row.created_by_email,
            modified_by_email: row.modified_by_email,
            deleted_at: row.deleted_at.map(Time::of),
            belongs_to_integration: integration.into(),
        }
    }
}

/// List task definitions
///
/// The catalogue is the same for every organization.
#[utoipa::path(
    get,
    path = "/task_definitions/all",
    tag = "Task definitions",
    params(Paging),
    responses((status = 200, body = Vec<TaskDefinitionView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    _: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<TaskDefinitionView>>, ApiError> {
    let rows = catalogue::definitions(app.db().reader(), paging.window()).await?;
    let view = |row: catalogue::Defined| TaskDefinitionView::of(row.definition, row.integration);
    Ok(Json(rows.into_iter().map(view).collect()))
}

/// Get a task definition by id
#[utoipa::path(
    get,
    path = "/task_definitions/",
    tag = "Task definitions",
    params(ById),
    responses((status = 200, body = TaskDefinitionView), (status = 404, description = "Not found"))
)]
pub(crate) async fn read(
    State(app): State<AppState>,
    _: Caller,
    Query(by): Query<ById>,
) -> Result<Json<TaskDefinitionView>, ApiError> {
    let found = catalogue::definitions_of(app.db().reader(), [TaskDefinitionId(by.id)]).await?;
    let row = found
        .into_iter()
        .next()
        .ok_or(ApiError::NotFound("Task definition"))?;
    Ok(Json(TaskDefinitionView::of(
        row.definition,
        row.integration,
    )))
}
