//! What is measured by itself, without a server around it.

use neena_store::entities::{flow_run, task_run};

use crate::routes::flow_runs::view::RunView;

/// A run with its task runs, as `GET /flow_runs/` answers it.
pub fn run_as_json(
    run: flow_run::Model,
    tasks: Vec<task_run::Model>,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&RunView::of(run, None).with_tasks(tasks))
}
