//! What a run's plan would be with the code there is now.

use std::sync::Arc;

use neena_engine::ids::{RunId, TaskDefinitionId};
use neena_engine::plan::Plan;
use neena_engine::run::History;

use crate::{Res, Store};

/// How a plan stands to the registry.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// The registry has the code that is planned.
    Current,
    /// The registry has moved on, and this is the plan with what it has now.
    Plan(Arc<Plan>),
    /// The registry has moved on, and the flow does not fit it any more: why, in words.
    Unfit(String),
}

/// What becomes of the plan of a run of which `history` is recorded: what has ended keeps the code it ran with.
pub async fn renewal(store: &dyn Store, plan: &Plan, history: &History) -> Res<Renewal> {
    let ended = history.ended();
    let operations = plan.graph.body().operations.iter();
    let ids: Vec<TaskDefinitionId> = operations
        .map(|operation| TaskDefinitionId(operation.definition))
        .collect();
    let catalogue = store.catalogue(&ids).await?;
    Ok(
        match plan.renewed(&catalogue, |index| ended.contains(&index)) {
            Ok(None) => Renewal::Current,
            Ok(Some(plan)) => Renewal::Plan(Arc::new(plan)),
            Err(faults) => Renewal::Unfit(match faults.into_iter().next() {
                Some(fault) => fault.msg,
                None => "its flow does not fit the registry".to_owned(),
            }),
        },
    )
}

/// What is recorded of a run: of one that never began, nothing.
pub async fn history(store: &dyn Store, run: RunId, began: bool) -> Res<History> {
    match began {
        true => store.load(run).await,
        false => Ok(History::default()),
    }
}
