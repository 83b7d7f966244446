//! What introspection of integrations prints and a sync sends.

use std::collections::HashSet;

use neena_engine::flow::{BUILT_IN_INTEGRATION, Kind, Parameter};
use neena_engine::plan::canonical;
use neena_engine::{Fault, Hash, Micros, loc};
use neena_store::entities::{integration, task_definition};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use neena_store::queries::catalogue::kind_word;

use super::{Rows, json};
use crate::extract::{checked, payload};

/// Integrations with their tasks, as introspected.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Manifest {
    #[schema(max_items = 1000)]
    pub integrations: Vec<ManifestIntegration>,
}

/// One integration.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ManifestIntegration {
    /// Name of the class that holds its methods.
    #[schema(max_length = 128, pattern = "^[A-Za-z][A-Za-z0-9_]*$")]
    pub class_name: String,
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00]*$")]
    pub name: String,
    /// What it is called in plans and queues.
    #[schema(max_length = 64, pattern = "^[a-z][a-z0-9_]*$")]
    pub short_name: String,
    #[schema(value_type = AuthType)]
    pub auth_type: String,
    /// How its tasks are run.
    #[serde(default)]
    pub kind: ManifestKind,
    /// SHA-256 over its sources, in hexadecimal digits. An external integration may leave it out: then it is
    /// that of its declaration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub code_digest: Option<String>,
    /// Where its sources are on the server's own machine.
    #[schema(max_length = 4096, pattern = r"^[^\x00]*$")]
    pub path: Option<String>,
    #[schema(max_items = 1000)]
    pub tasks: Vec<ManifestTask>,
}

/// How the tasks of an integration are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManifestKind {
    /// Methods of a Python class, called where its sources are.
    #[default]
    Python,
    /// Declared only: workers outside, in any language, take them from a queue.
    External,
}

impl From<ManifestKind> for Kind {
    fn from(kind: ManifestKind) -> Kind {
        match kind {
            ManifestKind::Python => Kind::Python,
            ManifestKind::External => Kind::External,
        }
    }
}

/// How an integration signs in to the system it speaks to.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "documents the words")]
enum AuthType {
    None,
    ApiKey,
    Basic,
    Oauth2,
}

/// One task: a method of the integration's class.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ManifestTask {
    #[schema(min_length = 6, max_length = 64, pattern = r"^[^\x00]*$")]
    pub task_name: String,
    #[schema(max_length = 128, pattern = "^[A-Za-z][A-Za-z0-9_]*$")]
    pub python_method_name: String,
    #[serde(default)]
    #[schema(pattern = r"^[^\x00]*$")]
    pub description: String,
    #[schema(max_items = 255)]
    pub parameters: Vec<ManifestParameter>,
    #[schema(max_length = 64, pattern = r"^[^\x00]*$")]
    pub input_type: String,
    #[schema(pattern = r"^[^\x00]*$")]
    pub input_yml: String,
    #[schema(max_length = 64, pattern = r"^[^\x00]*$")]
    pub output_type: String,
    #[schema(pattern = r"^[^\x00]*$")]
    pub output_yml: String,
    #[schema(max_items = 255)]
    pub output_parameters: Vec<ManifestParameter>,
    pub output_is_list: bool,
    /// Safe to recompute.
    #[serde(default)]
    pub pure: bool,
    /// Whether an attempt lost with its worker may run again.
    #[serde(default = "yes")]
    pub repeatable: bool,
}

/// One parameter of a method, or one part of what it returns.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ManifestParameter {
    #[schema(max_length = 128, pattern = "^[A-Za-z_][A-Za-z0-9_]*$")]
    pub name: String,
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00]*$")]
    pub data_type: String,
    #[schema(minimum = 1, maximum = 255)]
    pub position: u32,
    #[schema(pattern = r"^[^\x00]*$")]
    pub doc_string: Option<String>,
    pub optional: bool,
}

payload!(Manifest, 1 << 20, more_faults);

fn yes() -> bool {
    true
}

impl Manifest {
    /// Reads a manifest, or lists everything that is wrong with it.
    pub fn read(value: &Value) -> Result<Manifest, Vec<Fault>> {
        checked(value)
    }

    /// Without the paths: only the server's own organization may name files of its machine.
    pub(crate) fn without_paths(mut self) -> Manifest {
        for integration in &mut self.integrations {
            integration.path = None;
        }
        self
    }

    /// The rows it asks for.
    pub(super) fn rows(self, by: Option<&str>, now: Micros) -> Vec<Rows> {
        self.integrations
            .into_iter()
            .map(|integration| integration.rows(by, now))
            .collect()
    }
}

impl ManifestIntegration {
    /// The digest that was given; else that of the declaration: of its canonical JSON, all defaults written
    /// out, without digest and path.
    fn digest(&self) -> String {
        if let Some(given) = &self.code_digest {
            return given.clone();
        }
        let mut declared = serde_json::to_value(self).expect("a manifest is JSON");
        if let Some(fields) = declared.as_object_mut() {
            fields.remove("path");
        }
        let text = canonical(&declared).expect("a manifest's only numbers are small");
        Hash::of(text.as_bytes()).to_string()
    }

    fn rows(self, by: Option<&str>, now: Micros) -> Rows {
        let (kind, digest) = (Kind::from(self.kind), self.digest());
        let row = integration::Model {
            id: Uuid::now_v7(),
            class_name: self.class_name,
            name: self.name,
            short_name: self.short_name,
            auth_type: self.auth_type,
            code_digest: Some(digest.clone()),
            path: self.path,
            created_at: now.0,
            modified_at: now.0,
        };
        let tasks = self.tasks.into_iter();
        let definitions = tasks
            .map(|task| task.row(&row, kind, &digest, by, now))
            .collect();
        Rows {
            integration: row,
            kind,
            definitions,
        }
    }
}

impl ManifestTask {
    fn row(
        self,
        integration: &integration::Model,
        kind: Kind,
        code_digest: &str,
        by: Option<&str>,
        now: Micros,
    ) -> task_definition::Model {
        task_definition::Model {
            id: Uuid::now_v7(),
            integration_id: integration.id,
            task_name: self.task_name,
            kind: kind_word(kind).to_owned(),
            python_method_name: self.python_method_name,
            description: self.description,
            parameters: json(&parameters(self.parameters)),
            input_type: self.input_type,
            input_yml: self.input_yml,
            output_type: self.output_type,
            output_yml: self.output_yml,
            output_parameters: json(&parameters(self.output_parameters)),
            output_is_list: self.output_is_list,
            pure: self.pure,
            repeatable: self.repeatable,
            takes_any: false,
            code_digest: code_digest.to_owned(),
            created_at: now.0,
            modified_at: now.0,
            created_by_email: by.map(str::to_owned),
            modified_by_email: by.map(str::to_owned),
            deleted_at: None,
        }
    }
}

fn parameters(list: Vec<ManifestParameter>) -> Vec<Parameter> {
    list.into_iter()
        .map(
            |ManifestParameter {
                 name,
                 data_type,
                 position,
                 doc_string,
                 optional,
             }| Parameter {
                name,
                data_type,
                position,
                doc_string,
                optional,
            },
        )
        .collect()
}

fn more_faults(body: &Value) -> Vec<Fault> {
    let mut faults = repeated_or_reserved(body);
    faults.extend(misplaced(body));
    faults
}

/// Sources that must be told, and those that nobody would load.
fn misplaced(body: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, integration) in list(&body["integrations"]).enumerate() {
        let external = integration["kind"] == "external";
        if !external && integration.is_object() && integration["code_digest"].is_null() {
            let loc = loc!["integrations", at, "code_digest"];
            faults.push(Fault::new(loc, "missing", "Field required"));
        }
        if external && !integration["path"].is_null() {
            let loc = loc!["integrations", at, "path"];
            let msg = "An external integration has no sources on this machine";
            faults.push(Fault::new(loc, "none_required", msg));
        }
    }
    faults
}

/// Names that stand twice, and the one that is the server's own.
fn repeated_or_reserved(body: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    for (at, integration) in list(&body["integrations"]).enumerate() {
        if let Some(name) = integration["short_name"].as_str() {
            let loc = || loc!["integrations", at, "short_name"];
            if name == BUILT_IN_INTEGRATION {
                let msg = format!("`{name}` is the server's own integration");
                faults.push(Fault::new(loc(), "reserved", msg));
            }
            if !names.insert(name) {
                faults.push(Fault::new(
                    loc(),
                    "duplicate",
                    format!("`{name}` stands here twice"),
                ));
            }
        }
        let mut methods = HashSet::new();
        for (place, task) in list(&integration["tasks"]).enumerate() {
            if let Some(method) = task["python_method_name"].as_str()
                && !methods.insert(method)
            {
                let loc = loc!["integrations", at, "tasks", place, "python_method_name"];
                let msg = format!("`{method}` stands here twice");
                faults.push(Fault::new(loc, "duplicate", msg));
            }
        }
    }
    faults
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
