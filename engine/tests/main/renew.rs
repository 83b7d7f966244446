//! A plan made anew because the code behind it has moved on.

use std::collections::HashMap;
use std::sync::Arc;

use neena_engine::flow::{
    Catalogue, Definition, DependencySpec, Flow, FlowSpec, Kind, OperationSpec,
};
use neena_engine::flow::{Parameter, Retry, TriggerRule};
use neena_engine::ids::TaskDefinitionId;
use neena_engine::plan::{Operation, Plan};
use serde_json::json;
use uuid::Uuid;

use crate::harness::head;

const DEFINITION: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(5));

fn registry(digest: &str, required: &[&str]) -> Catalogue {
    let parameter = |(at, name): (u32, &&str)| Parameter {
        name: (*name).to_owned(),
        data_type: "str".to_owned(),
        position: at,
        doc_string: None,
        optional: false,
    };
    let definition = Definition {
        id: DEFINITION,
        kind: Kind::Python,
        name: "Send a letter".to_owned(),
        integration: "post".to_owned(),
        method: "send_letter".to_owned(),
        code_digest: digest.to_owned(),
        pure: false,
        repeatable: true,
        takes_any: false,
        parameters: (0u32..).zip(required).map(parameter).collect(),
        outputs: Vec::new(),
    };
    HashMap::from([(DEFINITION, Arc::new(definition))])
}

/// Two letters, one after the other, to an address from the request.
fn planned() -> Plan {
    let operation = |index: u32| OperationSpec {
        name: format!("Letter {index}"),
        task_definition: DEFINITION,
        index,
        instruction: Some("kindly".to_owned()),
        arguments: None,
        when: (index == 1).then(|| "request.metadata.address == 'here'".to_owned()),
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: Some(500),
        approval: None,
    };
    let spec = FlowSpec {
        name: "Letters".to_owned(),
        task_operations: vec![operation(0), operation(1)],
        dependencies: vec![DependencySpec {
            source_task_operation: 0,
            target_task_operation: 1,
            instruction: None,
        }],
        ..FlowSpec::default()
    };
    let flow = Flow::check(spec, &registry("old", &["address"])).unwrap();
    Plan::make(
        Arc::new(flow.graph().unwrap()),
        head(json!({"address": "here"})),
    )
    .unwrap()
}

fn digests(plan: &Plan) -> Vec<&str> {
    let operations = plan.graph.body().operations.iter();
    operations
        .map(|operation| &*operation.code_digest)
        .collect()
}

#[test]
fn a_plan_whose_code_is_there_is_not_renewed() {
    let plan = planned();
    let same = registry("old", &["address"]);
    assert_eq!(plan.renewed(&same, |_| false).unwrap(), None);
    let moved = registry("new", &["address"]);
    assert_eq!(plan.renewed(&moved, |_| true).unwrap(), None, "all is done");
}

#[test]
fn only_the_code_of_what_is_left_changes() {
    let plan = planned();
    let moved = registry("new", &["address"]);
    let all = plan.renewed(&moved, |_| false).unwrap().unwrap();
    assert_eq!(digests(&all), ["new", "new"]);
    let rest = plan.renewed(&moved, |index| index == 0).unwrap().unwrap();
    assert_eq!(digests(&rest), ["old", "new"]);
    for new in [&all, &rest] {
        assert_ne!(new.hash, plan.hash);
        let old = |new: &Operation| Operation {
            code_digest: "old".to_owned(),
            ..new.clone()
        };
        let operations: Vec<Operation> = new.graph.body().operations.iter().map(old).collect();
        assert_eq!(operations, plan.graph.body().operations);
        assert_eq!(new.graph.body().edges, plan.graph.body().edges);
        let mut head = new.head.clone();
        head.graph = plan.head.graph;
        assert_eq!(head, plan.head, "who asked, what for and who may approve");
        assert_eq!(
            Plan::parse(&new.head.text().unwrap(), new.hash, new.graph.clone()).unwrap(),
            *new
        );
    }
    let back = all.renewed(&registry("old", &["address"]), |_| false);
    assert_eq!(
        back.unwrap().unwrap().hash,
        plan.hash,
        "the same plan has the same hash"
    );
}

#[test]
fn a_flow_that_does_not_fit_the_new_code_says_why() {
    let plan = planned();
    let faults = plan
        .renewed(&registry("new", &["address", "stamp"]), |_| false)
        .unwrap_err();
    assert!(faults[0].msg.contains("stamp"), "{faults:?}");
    let faults = plan.renewed(&Catalogue::new(), |_| false).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
}
