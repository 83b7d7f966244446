//! Small graphs, heads and results to test with.

use std::collections::{BTreeMap, HashMap};

use neena_engine::approval::Policy;
use neena_engine::binding::{BindError, Bound, Scope};
use neena_engine::flow::{Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::RunId;
use neena_engine::plan::{
    Arguments, Declared, Graph, GraphBody, Head, NamedSource, Operation, PLAN_V, PlanError,
    RequestCopy,
};
use neena_engine::{Hash, Json};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// A parameter as a plan knows it.
pub fn declared(name: &str, data_type: &str) -> Declared {
    Declared {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
    }
}

/// An operation without arguments.
pub fn operation(index: u32, name: &str) -> Operation {
    Operation {
        index,
        name: name.to_owned(),
        instruction: None,
        definition: Uuid::from_u128(7),
        integration: "core".to_owned(),
        kind: Kind::BuiltIn,
        method: "core.echo".to_owned(),
        code_digest: "core.echo@1".to_owned(),
        pure: true,
        repeatable: true,
        parameters: Vec::new(),
        arguments: Arguments::Given(BTreeMap::new()),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: None,
    }
}

/// The arguments of a JSON object.
pub fn given(arguments: Value) -> Arguments {
    match arguments {
        Value::Object(members) => Arguments::Given(members.into_iter().collect()),
        other => panic!("arguments are an object, not {other}"),
    }
}

/// The body of a graph of operations in topological order.
pub fn body(operations: Vec<Operation>, edges: &[(u32, u32)]) -> GraphBody {
    let mut edges = edges.to_vec();
    edges.sort_unstable();
    GraphBody {
        v: PLAN_V,
        operations,
        edges,
        on_failure: OnFailure::Stop,
        timeout_ms: None,
    }
}

/// The graph of that body.
pub fn graph(operations: Vec<Operation>, edges: &[(u32, u32)]) -> Graph {
    Graph::new(&body(operations, edges)).unwrap()
}

/// A head with the given metadata.
pub fn head(metadata: Value) -> Head {
    Head {
        v: PLAN_V,
        organization: Uuid::from_u128(1),
        flow: Uuid::from_u128(2),
        flow_name: "A flow".to_owned(),
        flow_version: 1,
        graph: Hash::of(b"graph"),
        request: RequestCopy {
            instructions: "Do it now".to_owned(),
            name: None,
            metadata: metadata.as_object().unwrap().clone().into(),
        },
        triggered_by: "user@example.com".to_owned(),
        requester: None,
        author: None,
        policy: Policy::quorum(1),
    }
}

/// Metadata, results and answers of gates of a run, by position.
pub struct Given {
    pub head: Head,
    pub results: HashMap<usize, Json>,
    pub gates: HashMap<usize, Json>,
}

impl Given {
    pub fn new(metadata: Value, results: &[(usize, Value)]) -> Given {
        let results = results
            .iter()
            .map(|(at, result)| (*at, Json::of(result)))
            .collect();
        Given {
            head: head(metadata),
            results,
            gates: HashMap::new(),
        }
    }
}

impl Scope for Given {
    fn head(&self) -> &Head {
        &self.head
    }

    fn run(&self) -> RunId {
        RunId(Uuid::from_u128(3))
    }

    fn result(&self, position: usize) -> Option<&Json> {
        self.results.get(&position)
    }

    fn gate(&self, position: usize) -> Option<&Json> {
        self.gates.get(&position)
    }
}

/// What `Read rows` → `Use rows` binds for the second with these arguments, the first having this
/// result; or why the graph is refused.
pub fn try_bind(arguments: Value, scope: &Given) -> Result<Result<Bound, BindError>, PlanError> {
    let mut second = operation(2, "Use rows");
    second.arguments = given(arguments);
    let body = body(vec![operation(1, "Read rows"), second], &[(1, 2)]);
    Graph::new(&body).map(|graph| graph.bind(1, scope))
}

/// The same, the graph being fine.
pub fn bind(arguments: Value, scope: &Given) -> Result<Bound, BindError> {
    try_bind(arguments, scope).unwrap()
}

/// The value bound to the argument `x`, given as this string.
pub fn value_of(text: &str, scope: &Given) -> Result<Value, BindError> {
    bind(json!({ "x": text }), scope).map(|bound| parsed(&bound.arguments)["x"].clone())
}

/// Why the argument `x`, given as this string, has no value: when the graph is made, or when it is bound.
pub fn refusal_of(text: &str, scope: &Given) -> String {
    match try_bind(json!({ "x": text }), scope) {
        Err(error) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(bound)) => panic!("{text} has a value: {}", bound.arguments.text()),
    }
}

/// The value of a document.
pub fn parsed(json: &Json) -> Value {
    serde_json::from_str(json.text()).unwrap()
}

/// A source of a parameter bound by name.
pub fn source(parameter: &str, upstream: Option<u32>, whole: bool, optional: bool) -> NamedSource {
    NamedSource {
        parameter: parameter.to_owned(),
        upstream,
        whole,
        optional,
    }
}

/// Any JSON document, some levels deep.
pub fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1_000i32..1_000).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        ".{0,12}".prop_map(Value::from),
        "[\\x00-\\x7f\u{7f}\u{2028}\u{e000}\u{10000}é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(
                "[a-cA\u{d7ff}\u{e000}\u{ffff}\u{10000}]{0,3}",
                inner,
                0..5
            )
            .prop_map(|members| members.into_iter().collect()),
        ]
    })
}
