//! The catalogue of task definitions: written from manifests and built-ins, read into the engine's own.

mod manifest;

use futures_util::FutureExt;
use neena_engine::Micros;
use neena_engine::flow::{BUILT_IN_CLASS, BUILT_IN_INTEGRATION, Definition, Kind};
use neena_engine::flow::{built_in_integration_id, built_ins};
use neena_store::Db;
use neena_store::entities::{integration, task_definition};
use neena_store::queries::catalogue::{self, kind_word};
use serde::Serialize;

pub use manifest::Manifest;

use crate::error::ApiError;

/// Who registers what a server itself brings along.
pub const SYSTEM_EMAIL: &str = "system@neena.local";

/// An integration as it is registered.
#[derive(Clone, Debug)]
pub struct Registered {
    pub integration: integration::Model,
    /// How its tasks are run.
    pub kind: Kind,
    /// Those that are not deleted.
    pub definitions: Vec<task_definition::Model>,
}

/// Registers the integrations of a manifest in one unit of work; `by` is the e-mail of who does so.
pub async fn upsert_manifest(
    db: &Db,
    manifest: Manifest,
    by: Option<&str>,
) -> Result<Vec<Registered>, ApiError> {
    let now = db.now().await?;
    let rows = manifest.rows(by, now);
    upsert(db, rows, now).await
}

/// Registers the tasks that are part of the binary.
pub async fn upsert_built_ins(db: &Db) -> Result<(), ApiError> {
    let now = db.now().await?;
    let integration = integration::Model {
        id: built_in_integration_id().0,
        class_name: BUILT_IN_CLASS.to_owned(),
        name: BUILT_IN_CLASS.to_owned(),
        short_name: BUILT_IN_INTEGRATION.to_owned(),
        auth_type: "none".to_owned(),
        code_digest: None,
        path: None,
        created_at: now.0,
        modified_at: now.0,
    };
    let definitions = built_ins()
        .into_iter()
        .map(|built_in| {
            let Definition {
                id,
                name,
                method,
                code_digest,
                pure,
                repeatable,
                takes_any,
                ..
            } = built_in.definition;
            task_definition::Model {
                id: id.0,
                integration_id: integration.id,
                task_name: name,
                kind: kind_word(Kind::BuiltIn).to_owned(),
                python_method_name: method,
                description: built_in.description.to_owned(),
                parameters: json(&built_in.definition.parameters),
                input_type: "JSON".to_owned(),
                input_yml: built_in.input_yml.to_owned(),
                output_type: "JSON".to_owned(),
                output_yml: built_in.output_yml.to_owned(),
                output_parameters: json(&built_in.definition.outputs),
                output_is_list: built_in.output_is_list,
                pure,
                repeatable,
                takes_any,
                code_digest,
                created_at: now.0,
                modified_at: now.0,
                created_by_email: Some(SYSTEM_EMAIL.to_owned()),
                modified_by_email: Some(SYSTEM_EMAIL.to_owned()),
                deleted_at: None,
            }
        })
        .collect();
    let rows = Rows {
        integration,
        kind: Kind::BuiltIn,
        definitions,
    };
    upsert(db, vec![rows], now).await?;
    Ok(())
}

/// What is to be registered.
struct Rows {
    integration: integration::Model,
    kind: Kind,
    definitions: Vec<task_definition::Model>,
}

async fn upsert(db: &Db, rows: Vec<Rows>, now: Micros) -> Result<Vec<Registered>, ApiError> {
    db.unit(move |tx| {
        async move {
            let mut registered = Vec::with_capacity(rows.len());
            for rows in rows {
                let (integration, definitions) =
                    catalogue::register(tx, rows.integration, rows.definitions, now).await?;
                registered.push(Registered {
                    integration,
                    kind: rows.kind,
                    definitions,
                });
            }
            Ok(registered)
        }
        .boxed()
    })
    .await
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("parameters are JSON")
}
