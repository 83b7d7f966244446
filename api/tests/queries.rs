//! Query parameters, read strictly.

use crate::harness::{Api, faults};

const BY_ID: [(&str, &str, &str); 15] = [
    ("GET", "/api/v1/flow_requests/", "id"),
    ("DELETE", "/api/v1/flow_requests/", "id"),
    ("GET", "/api/v1/flows/", "id"),
    ("DELETE", "/api/v1/flows/", "id"),
    ("GET", "/api/v1/task_definitions/", "id"),
    ("GET", "/api/v1/flow_runs/", "id"),
    ("GET", "/api/v1/flow_runs/with_flow_result", "id"),
    ("GET", "/api/v1/flow_runs/all_for_flow_id", "flow_id"),
    ("GET", "/api/v1/flow_runs/plan", "flow_run_id"),
    ("PUT", "/api/v1/flow_runs/approve", "flow_run_id"),
    ("PUT", "/api/v1/flow_runs/reject", "flow_run_id"),
    ("PUT", "/api/v1/flow_runs/cancel", "flow_run_id"),
    ("PUT", "/api/v1/flow_runs/retry", "flow_run_id"),
    ("POST", "/api/v1/flows/execute", "flow_id"),
    ("POST", "/api/v1/flows/execute", "flow_request_id"),
];

const LISTS: [&str; 6] = [
    "/api/v1/flow_requests/all",
    "/api/v1/flows/all",
    "/api/v1/flow_runs/all",
    "/api/v1/flow_runs/preview/all",
    "/api/v1/integrations/all",
    "/api/v1/task_definitions/all",
];

const SOME: &str = "0192f3a4-0000-7000-8000-00000000abcd";

/// The faults that concern `name`.
async fn found(api: &Api, method: &str, path: &str, query: &str, name: &str) -> Vec<String> {
    let answer = api
        .call(method, &format!("{path}?{query}"), &api.token(), None)
        .await;
    let place = format!("query.{name}");
    answer
        .faults()
        .into_iter()
        .filter(|(loc, _)| *loc == place)
        .map(|(_, kind)| kind)
        .collect()
}

#[tokio::test]
async fn an_id_is_one_hyphenated_uuid() {
    let api = Api::start().await;
    let before = api.rows().await;
    for (method, path, name) in BY_ID {
        assert_eq!(
            found(&api, method, path, "", name).await,
            ["missing"],
            "{method} {path}"
        );
        for wrong in [
            "",
            "~",
            "*",
            "%25",
            "%2A",
            "null",
            "1",
            "..%2f..%2fetc",
            "'%20OR%201=1--",
            "1;DROP%20TABLE%20flows",
            "0192f3a4000070008000-00000000abcd",
            "0192f3a40000700080000000000000abcd",
            "%7B0192f3a4-0000-7000-8000-00000000abcd%7D",
            "urn:uuid:0192f3a4-0000-7000-8000-00000000abcd",
            "0192f3a4-0000-7000-8000-00000000abcd%00",
        ] {
            let query = format!("{name}={wrong}");
            let kinds = found(&api, method, path, &query, name).await;
            assert_eq!(kinds, ["uuid_parsing"], "{method} {path} {wrong}");
        }
        let twice = format!("{name}={SOME}&{name}={SOME}");
        assert_eq!(
            found(&api, method, path, &twice, name).await,
            ["repeated"],
            "{method} {path}"
        );
        let list = format!("{name}[]={SOME}");
        assert_eq!(
            found(&api, method, path, &list, name).await,
            ["missing"],
            "{method} {path}"
        );
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn pages_have_bounds() {
    let api = Api::start().await;
    for path in LISTS {
        for query in [
            "",
            "?skip=0&limit=1",
            "?limit=1000",
            "?skip=9223372036854775807",
            "?sort=id;--",
        ] {
            api.get(&format!("{path}{query}")).await.expect(200);
        }
        for (query, fault) in [
            ("skip=-1", "query.skip: greater_than_equal"),
            ("limit=0", "query.limit: greater_than_equal"),
            ("limit=-5", "query.limit: greater_than_equal"),
            ("limit=1001", "query.limit: less_than_equal"),
            (
                "limit=99999999999999999999999",
                "query.limit: less_than_equal",
            ),
            ("skip=9223372036854775808", "query.skip: less_than_equal"),
            ("limit=ten", "query.limit: int_parsing"),
            ("limit=", "query.limit: int_parsing"),
            ("limit=1.5", "query.limit: int_parsing"),
            ("limit=1%20OR%201", "query.limit: int_parsing"),
            ("skip=0&skip=1", "query.skip: repeated"),
        ] {
            let answer = api.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.fault(), fault, "{path}?{query}");
        }
        let answer = api.get(&format!("{path}?skip=x&limit=0")).await;
        let expected = faults([
            ("query.skip", "int_parsing"),
            ("query.limit", "greater_than_equal"),
        ]);
        assert_eq!(answer.faults(), expected);
    }
}

#[tokio::test]
async fn a_plan_hash_is_64_hexadecimal_digits() {
    let api = Api::start().await;
    let run = api.run().await;
    for wrong in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
        let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}&plan_hash={wrong}");
        let answer = api.call("PUT", &path, &api.token(), None).await;
        assert_eq!(answer.fault(), "query.plan_hash: hash_parsing");
    }
}

#[tokio::test]
async fn all_faults_of_a_query_are_listed_at_once() {
    let api = Api::start().await;
    let answer = api
        .get("/api/v1/flow_runs/all_for_flow_id?flow_id=x&skip=-1&limit=0")
        .await;
    let expected = faults([
        ("query.flow_id", "uuid_parsing"),
        ("query.skip", "greater_than_equal"),
        ("query.limit", "greater_than_equal"),
    ]);
    assert_eq!(answer.faults(), expected);
}
