//! What is counted, that all of it is described, and that the dashboard asks for nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use metrics_exporter_prometheus::PrometheusBuilder;
use neena_api::metrics::{METRICS, Shape};
use serde_json::Value;

use crate::harness::Api;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The names of a text that start with `neena_` after one of `before`.
fn names(text: &str, before: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in before {
        for (at, _) in text.match_indices(&format!("{word}neena_")) {
            let name = text[at + word.len()..]
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_');
            found.insert(name.collect());
        }
    }
    found
}

fn sources(dir: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// What the program records, by the calls in its sources.
fn recorded() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for part in ["api", "bus", "cli", "store", "worker"] {
        sources(&root().join(part).join("src"), &mut texts);
    }
    let mut found = BTreeSet::new();
    for text in texts {
        let text: String = text.split_whitespace().collect();
        let calls = ["counter!(\"", "gauge!(\"", "histogram!(\""];
        found.extend(names(&text, &calls));
    }
    found
}

fn described() -> BTreeSet<String> {
    METRICS
        .iter()
        .map(|metric| metric.name.to_owned())
        .collect()
}

#[test]
fn whatever_is_recorded_is_described_and_nothing_else() {
    let (recorded, described) = (recorded(), described());
    let unknown: Vec<_> = recorded.difference(&described).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let never: Vec<_> = described.difference(&recorded).collect();
    assert!(never.is_empty(), "{never:?}");
    assert_eq!(described.len(), METRICS.len(), "a name stands twice");
}

#[test]
fn a_name_tells_what_it_counts() {
    for metric in METRICS {
        let total = metric.name.ends_with("_total");
        assert_eq!(total, metric.shape == Shape::Counter, "{}", metric.name);
        assert!(!metric.help.is_empty());
    }
}

/// Every expression of the dashboard.
fn expressions(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get("expr") {
                found.push(text.clone());
            }
            fields.values().for_each(|field| expressions(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_is_described_and_for_all_of_it() {
    let text = std::fs::read_to_string(root().join("deploy/grafana/neena.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard["panels"], &mut asked);
    let mut series = BTreeSet::new();
    for metric in METRICS {
        let suffix = match metric.shape {
            Shape::Histogram => "_bucket",
            _ => "",
        };
        series.insert(format!("{}{suffix}", metric.name));
    }
    let asked: BTreeSet<String> = asked
        .iter()
        .flat_map(|expression| names(expression, &["(", " "]))
        .collect();
    assert_eq!(asked, series);
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] != "row" {
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{}", panel["title"]);
            let steps = defaults["thresholds"]["steps"].as_array().unwrap();
            assert!(!steps.is_empty(), "{}", panel["title"]);
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_the_client_wrote() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    neena_api::metrics::describe();
    let api = Api::start().await;
    let request = api.flow_request().await;
    api.get(&format!("/api/v1/flow_requests/?id={request}"))
        .await
        .expect(200);
    api.get("/api/v1/flow_requests/?id=secret-of-mine")
        .await
        .expect(422);
    api.get("/api/v1/nothing/secret-of-mine").await.expect(404);
    let token = api.token();
    api.call("SECRETOFMINE", "/api/v1/flows/all", &token, None)
        .await
        .expect(405);
    api.db.close().await;
    api.get("/api/v1/flow_requests/all").await.expect(503);
    let text = handle.render();
    for line in [
        "neena_http_requests_total{method=\"POST\",route=\"/api/v1/flow_requests\",status=\"200\"} 1",
        "neena_http_requests_total{method=\"GET\",route=\"/api/v1/flow_requests\",status=\"200\"} 1",
        "neena_http_requests_total{method=\"GET\",route=\"/api/v1/flow_requests\",status=\"422\"} 1",
        "neena_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "neena_http_requests_total{method=\"other\",route=\"/api/v1/flows/all\",status=\"405\"} 1",
        "neena_rejected_total{reason=\"database\"} 1",
        "# HELP neena_http_requests_total Requests answered, by method, route and status",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.to_lowercase().contains("secret"), "{text}");
}
