//! Arguments with expressions, from the request's metadata and the results of tasks before.

use std::hint::black_box;

use neena_engine::Json;
use neena_engine::binding::Scope;
use neena_engine::flow::Flow;
use neena_engine::ids::RunId;
use neena_engine::plan::{Graph, Head};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::Walk;
use crate::flows::{catalogue, head, spec};

/// Binds the tasks of a flow that has so many.
pub fn expressions(operations: u32) -> Walk {
    let mut spec = spec(operations);
    for operation in &mut spec.task_operations {
        let own = operation.arguments.take().unwrap_or_default();
        let mode = "{{ request.metadata.modes[0] ~ '-' ~ request.metadata.who | upper }}";
        operation.arguments = Some(
            own.into_iter()
                .chain([("mode".to_owned(), mode.into())])
                .collect::<Map<_, _>>(),
        );
    }
    let flow = Flow::check(spec, &catalogue()).expect("a flow without fault");
    let graph = flow.graph().expect("a checked flow has a graph");
    let given = Given {
        head: head(&graph, json!({"who": "world", "modes": ["fast", "safe"]})),
        result: Json::of(&json!({"path": "/data/in/some/folder", "size": 4096})),
    };
    let mut kept = Vec::new();
    Box::new(move || kept.push(bind_all(black_box(&graph), &given)))
}

fn bind_all(graph: &Graph, given: &Given) -> Vec<Json> {
    let bind = |position| {
        let bound = graph.bind(position, given).expect("arguments that fit");
        bound.arguments
    };
    (0..graph.len()).map(bind).collect()
}

/// A run all of whose tasks gave the same.
struct Given {
    head: Head,
    result: Json,
}

impl Scope for Given {
    fn head(&self) -> &Head {
        &self.head
    }

    fn run(&self) -> RunId {
        RunId(Uuid::from_u128(5))
    }

    fn result(&self, _: usize) -> Option<&Json> {
        Some(&self.result)
    }

    fn gate(&self, _: usize) -> Option<&Json> {
        None
    }
}
