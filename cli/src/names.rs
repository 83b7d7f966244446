//! What people call things, resolved to ids through the API.

use std::collections::HashMap;

use anyhow::bail;
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Client, read};
use crate::view::TaskDefinition;

/// The flow that `name` means: an id, or the name of exactly one flow.
pub async fn flow(client: &Client, name: &str) -> anyhow::Result<Value> {
    if let Ok(id) = name.parse::<Uuid>() {
        return Ok(client.get("flows/", &[("id", &id.to_string())]).await?);
    }
    match flows_named(client, name).await?.as_slice() {
        [] => bail!("no flow is named `{name}`"),
        [flow] => Ok(flow.clone()),
        several => bail!(
            "{} flows are named `{name}`; name one by id: {}",
            several.len(),
            ids(several)
        ),
    }
}

/// The flows of that name, newest first.
pub async fn flows_named(client: &Client, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut flows = client.all("flows/all").await?;
    flows.retain(|flow| flow["name"] == name);
    Ok(flows)
}

/// The ids of flows, for a message.
pub fn ids(flows: &[Value]) -> String {
    flows
        .iter()
        .filter_map(|flow| flow["id"].as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The task definitions of the server, by full name.
#[derive(Debug, Default)]
pub struct Tasks {
    id_by_name: HashMap<String, String>,
}

impl Tasks {
    /// Reads the server's catalogue.
    pub async fn load(client: &Client) -> anyhow::Result<Tasks> {
        let mut definitions = Vec::new();
        for definition in client.all("task_definitions/all").await? {
            definitions.push(read::<TaskDefinition>(&definition)?);
        }
        Ok(Tasks::of(&definitions))
    }

    /// The catalogue of these definitions.
    pub fn of(definitions: &[TaskDefinition]) -> Tasks {
        let mut tasks = Tasks::default();
        for definition in definitions {
            tasks
                .id_by_name
                .insert(definition.full_name(), definition.id.clone());
        }
        tasks
    }

    /// The definition of that name.
    pub fn id(&self, name: &str) -> Option<&str> {
        self.id_by_name.get(name).map(String::as_str)
    }

    /// The names of an integration's tasks, or of all, sorted.
    pub fn names(&self, integration: Option<&str>) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .id_by_name
            .keys()
            .map(String::as_str)
            .filter(|name| integration.is_none_or(|wanted| name.split('.').next() == Some(wanted)))
            .collect();
        names.sort_unstable();
        names
    }
}
