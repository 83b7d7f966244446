//! `vectors/plan.json`: graphs and heads as documents, their canonical texts, and their hashes; those of the format
//! that is written now, and those of format 1 (`graph_1`, `head_1`), which stay as they were approved.

use std::sync::Arc;

use neena_engine::Hash;
use neena_engine::approval::{Audience, Mode, OnExpiry, Policy, Stage};
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::plan::{
    Arguments, Author, Gate, Graph, GraphBody, Head, Plan, PlanError, canonical,
};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{body, declared, given, head, operation, source};

/// A part of `vectors/plan.json`.
fn vector(part: &str, field: &str) -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/plan.json")).unwrap();
    vectors[part][field].clone()
}

/// The graph of the vector.
pub fn fixed_graph() -> GraphBody {
    let mut fetch = operation(2, "Fetch commits");
    fetch.instruction = Some("Only those of the last week".to_owned());
    fetch.integration = "repository".to_owned();
    fetch.kind = Kind::Python;
    fetch.method = "fetch_commits".to_owned();
    fetch.code_digest = Hash::of(b"code").to_string();
    fetch.pure = false;
    fetch.parameters = vec![declared("since", "string"), declared("limit", "integer")];
    fetch.arguments = Arguments::ByName(vec![
        source("since", None, false, false),
        source("limit", None, false, true),
    ]);
    fetch.retry = Retry {
        max_attempts: 3,
        delay_ms: 2_000,
        backoff: Backoff::Exponential,
        max_delay_ms: 60_000,
    };
    fetch.timeout_ms = Some(30_000);
    let mut report = operation(1, "Report");
    report.arguments = given(json!({
        "text": "{{ tasks.fetch_commits.result | length }} commits since {{ request.metadata.since }}",
        "weights": [1.0, 0.5, -0.0, 1e21, 9007199254740993u64],
    }));
    report.when = Some("tasks.fetch_commits.result | length > 0".to_owned());
    report.trigger_rule = TriggerRule::AllDone;
    report.approval = Some(Gate {
        policy: policy(),
        input: Some(json!({"type": "object", "required": ["text"]})),
    });
    GraphBody {
        timeout_ms: Some(600_000),
        on_failure: OnFailure::Continue,
        ..body(vec![fetch, report], &[(2, 1)])
    }
}

/// Two stages, and every other setting away from its default.
fn policy() -> Policy {
    let audience = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Audience::parse(&words).unwrap()
    };
    let stage = |name: &str, count, words: &[&str]| Stage {
        name: name.to_owned(),
        count,
        approvers: audience(words),
    };
    Policy {
        mode: Mode::Required,
        stages: vec![
            stage("team", 2, &["group:platform", "Eve@example.com"]),
            stage("security", 1, &["permission:deploy"]),
        ],
        distinct_from_requester: true,
        distinct_from_author: true,
        distinct_approvers: true,
        reason_required: true,
        expires_in_ms: Some(86_400_000),
        on_expiry: OnExpiry::Escalate,
        escalate_to: audience(&["group:managers"]),
        remind_before_ms: vec![3_600_000, 60_000],
        standing: true,
    }
}

/// The head of the vector.
pub fn fixed_head() -> Head {
    let mut head =
        head(json!({"since": "2026-11-17", "größe": 2.0, "\u{e000}": 1, "\u{10000}": 2}));
    head.flow_name = "Weekly report".to_owned();
    head.request.name = Some("Week 47".to_owned());
    head.requester = Some(Uuid::from_u128(4));
    head.author = Some(Author {
        user: Some(Uuid::from_u128(5)),
        email: "author@example.com".to_owned(),
    });
    head.policy = policy();
    head
}

#[test]
fn a_fixed_graph_has_the_hash_it_always_had() {
    let body = fixed_graph();
    assert_eq!(
        serde_json::to_value(&body).unwrap(),
        vector("graph", "document")
    );
    let graph = Graph::new(&body).unwrap();
    assert_eq!(graph.canonical_text(), vector("graph", "canonical"));
    assert_eq!(graph.hash().to_string(), vector("graph", "hash"));
}

#[test]
fn a_fixed_plan_has_the_hash_it_always_had() {
    let graph = Arc::new(Graph::new(&fixed_graph()).unwrap());
    let head = Head {
        graph: graph.hash(),
        ..fixed_head()
    };
    assert_eq!(
        serde_json::to_value(&head).unwrap(),
        vector("head", "document")
    );
    let plan = Plan::make(graph, head).unwrap();
    assert_eq!(plan.head.text().unwrap(), vector("head", "canonical"));
    assert_eq!(plan.hash.to_string(), vector("head", "hash"));
}

#[test]
fn the_vectors_hold_by_themselves() {
    for part in ["graph", "head", "graph_1", "head_1"] {
        let text = canonical(&vector(part, "document")).unwrap();
        assert_eq!(text, vector(part, "canonical"));
        assert_eq!(Hash::of(text.as_bytes()).to_string(), vector(part, "hash"));
    }
    assert_eq!(vector("head", "document")["graph"], vector("graph", "hash"));
    assert_eq!(
        vector("head_1", "document")["graph"],
        vector("graph_1", "hash")
    );
}

/// Plans that were approved before there were stages and gates: a number of approvals was all there was.
#[test]
fn a_plan_of_format_1_is_still_read_and_verified() {
    let stored = |part: &str| {
        let text = vector(part, "canonical").as_str().unwrap().to_owned();
        let hash: Hash = vector(part, "hash").as_str().unwrap().parse().unwrap();
        (text, hash)
    };
    let (text, hash) = stored("graph_1");
    let graph = Graph::parse(&text, hash).unwrap();
    assert_eq!((graph.hash(), graph.canonical_text()), (hash, &*text));
    assert_eq!(graph.body().v, 1);
    let gates = graph.body().operations.iter();
    assert!(
        gates
            .map(|operation| &operation.approval)
            .all(Option::is_none)
    );
    let (text, hash) = stored("head_1");
    let plan = Plan::parse(&text, hash, Arc::new(graph)).unwrap();
    assert_eq!((plan.hash, plan.head.v), (hash, 1));
    assert_eq!((plan.head.requester, &plan.head.author), (None, &None));
    assert_eq!(plan.head.policy, Policy::quorum(1));
}

#[rstest]
#[case::nothing(json!({}))]
#[case::not_a_number(json!({"count": "two"}))]
#[case::half_a_policy(json!({"stages": []}))]
#[case::a_word(json!("required"))]
fn a_head_whose_policy_cannot_be_read_is_refused(#[case] policy: Value) {
    let mut head = vector("head", "document");
    head["policy"] = policy;
    let text = canonical(&head).unwrap();
    let error = Head::parse(&text, Hash::of(text.as_bytes())).unwrap_err();
    assert!(
        matches!(error, PlanError::Unreadable { what: "head", .. }),
        "{error}"
    );
}
