//! Links decide one step once, for one person, and never by being looked at.

use axum::body::Body;
use axum::http::Request;
use neena_api::auth::Permission::{Read, Write};
use neena_engine::approval::Audience;
use neena_engine::ids::RunId;
use neena_store::{SqlStore, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::courier::Ground;
use crate::harness::{Answer, clustered, literal};

const LINK: &str = "/api/v1/approvals/link";

impl Ground {
    async fn fetch(&self, method: &str, token: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{LINK}?token={token}"))
            .body(Body::empty())
            .unwrap();
        self.api.send(request).await
    }

    async fn submit(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token);
        form.extend_pairs(more);
        let request = Request::builder()
            .method("POST")
            .uri(LINK)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.finish()))
            .unwrap();
        self.api.send(request).await
    }

    /// The tokens that were mailed last, by recipient.
    async fn mailed(&self) -> Vec<String> {
        self.deliver().await;
        let tokens = self
            .mail
            .got()
            .iter()
            .filter_map(|mail| mail.token())
            .collect();
        self.mail.clear();
        tokens
    }

    async fn status(&self, run: Uuid) -> Value {
        let path = format!("/api/v1/flow_runs/?id={run}");
        let answer = self.api.call("GET", &path, &self.requester(), None).await;
        answer.expect(200).body["approval_status"].clone()
    }

    async fn mails(&self) {
        self.hook(json!({"kind": "email", "to": ["approvers"], "events": ["requested"]}))
            .await;
    }
}

#[tokio::test]
async fn a_mail_scanner_never_decides() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    ground.mails().await;
    let run = ground.run(json!({"approvers": ["eve@example.com"]})).await;
    let token = ground.mailed().await.remove(0);
    for _ in 0..20 {
        for method in ["GET", "HEAD"] {
            let page = ground.fetch(method, &token).await.expect(200);
            assert_eq!(page.headers["cache-control"], "no-store");
            assert_eq!(page.headers["referrer-policy"], "no-referrer");
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"));
        }
    }
    ground.fetch("OPTIONS", &token).await.expect(405);
    // One that sends forms sends what they hold: no decision among it.
    ground.submit(&token, &[]).await.expect(422);
    ground.submit(&token, &[("decision", "")]).await.expect(422);
    assert_eq!(ground.status(run).await, Value::Null);
    let votes = ground.api.count("SELECT count(*) FROM approvals").await;
    let used = "SELECT count(*) FROM approval_links WHERE used_at IS NOT NULL";
    assert_eq!((votes, ground.api.count(used).await), (0, 0));
    ground
        .submit(&token, &[("decision", "approve")])
        .await
        .expect(200);
    assert_eq!(ground.status(run).await, "approved");
    let way = "SELECT count(*) FROM decisions WHERE what = 'approve' AND way = 'link' \
         AND actor_email = 'eve@example.com'";
    assert_eq!(ground.api.count(way).await, 1);
}

#[tokio::test]
async fn a_link_works_once() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    ground.approver("tom@example.com").await;
    ground.mails().await;
    let run = ground
        .run(json!({"count": 2, "approvers": ["eve@example.com", "tom@example.com"]}))
        .await;
    let token = ground.mailed().await.remove(0);
    let calls = (0..16).map(|at| {
        let word = if at % 2 == 0 { "approve" } else { "reject" };
        let (ground, token) = (&ground, &token);
        async move { ground.submit(token, &[("decision", word)]).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(
            matches!(answer.status.as_u16(), 409 | 410),
            "{}",
            answer.text
        );
    }
    let votes = ground.api.count("SELECT count(*) FROM approvals").await;
    assert_eq!(votes, 1);
    ground.fetch("GET", &token).await.expect(410);
    ground
        .submit(&token, &[("decision", "reject")])
        .await
        .expect(410);
    assert_eq!(ground.api.count("SELECT count(*) FROM approvals").await, 1);
    let _ = run;
}

#[tokio::test]
async fn a_link_decides_its_own_step_only() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    let tom = ground.approver("tom@example.com").await;
    ground.mails().await;
    let stages = json!({"stages": [
        {"name": "team", "approvers": ["eve@example.com", "tom@example.com"]},
        {"name": "board", "approvers": ["eve@example.com"]},
    ]});
    let run = ground.run(stages).await;
    let first = ground.mailed().await;
    assert_eq!(first.len(), 2);
    ground.decide("approve", run, &tom).await;
    let moved = ground.fetch("GET", &first[0]).await.expect(409);
    assert!(
        moved.text.contains("Another stage is asked"),
        "{}",
        moved.text
    );
    ground
        .submit(&first[0], &[("decision", "approve")])
        .await
        .expect(409);
    assert_eq!(ground.status(run).await, Value::Null);
    let second = ground.mailed().await;
    assert_eq!(second.len(), 1);
    ground
        .submit(&second[0], &[("decision", "approve")])
        .await
        .expect(200);
    assert_eq!(ground.status(run).await, "approved");
    ground
        .submit(&first[1], &[("decision", "reject")])
        .await
        .expect(409);
}

#[tokio::test]
async fn a_forged_or_changed_link_is_refused() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    ground.mails().await;
    let run = ground.run(json!({"approvers": ["eve@example.com"]})).await;
    let other = ground.run(json!({"approvers": ["eve@example.com"]})).await;
    let tokens = ground.mailed().await;
    let token = tokens[0].as_bytes();
    for at in 0..token.len() {
        for flip in [1_u8, 2, 32] {
            let mut changed = token.to_vec();
            changed[at] ^= flip;
            let changed: String = changed.iter().map(|byte| format!("%{byte:02x}")).collect();
            ground.fetch("GET", &changed).await.expect(404);
        }
        let mut changed = token.to_vec();
        changed[at] = if token[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        ground
            .submit(&changed, &[("decision", "approve")])
            .await
            .expect(404);
    }
    // The id of one with the signature of the other.
    let mixed = format!("{}{}", &tokens[0][..20], &tokens[1][20..]);
    for forged in [
        "",
        "x",
        &tokens[0][..63],
        &format!("{}A", tokens[0]),
        &mixed,
    ] {
        ground
            .submit(forged, &[("decision", "approve")])
            .await
            .expect(404);
    }
    // What a link is bound to cannot be changed in the database, either.
    for change in [
        "recipient = 'tom@example.com'",
        "expires_at = expires_at + 1",
        "stage = 1",
        "idx = 0",
    ] {
        ground
            .api
            .execute(format!("UPDATE approval_links SET {change}"))
            .await;
        ground
            .submit(&tokens[0], &[("decision", "approve")])
            .await
            .expect(404);
    }
    for run in [run, other] {
        assert_eq!(ground.status(run).await, Value::Null);
    }
}

#[tokio::test]
async fn a_link_that_came_too_late_says_why() {
    let ground = Ground::start().await;
    let eve = ground.approver("eve@example.com").await;
    ground.approver("tom@example.com").await;
    ground.mails().await;
    let both = json!({"approvers": ["eve@example.com", "tom@example.com"]});
    ground.run(both.clone()).await;
    let tokens = ground.mailed().await;
    // Tom may not approve any more: his last token says so.
    let less = ground.token("tom@example.com", &[Read, Write]);
    ground
        .api
        .call("GET", "/api/v1/users/", &less, None)
        .await
        .expect(200);
    ground
        .submit(&tokens[1], &[("decision", "approve")])
        .await
        .expect(403);
    let run = ground.run(both).await;
    let tokens = ground.mailed().await;
    ground.decide("approve", run, &eve).await;
    ground.fetch("GET", &tokens[0]).await.expect(409);
    ground
        .submit(&tokens[0], &[("decision", "reject")])
        .await
        .expect(409);
}

#[tokio::test]
async fn what_a_page_shows_is_text_and_never_markup() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    ground.mails().await;
    let mut flow = ground.api.flow_body().await;
    let script = "<script>alert('x')</script>\"&";
    flow["name"] = json!(script);
    flow["task_operations"][1]["arguments"]["x"] = json!(script);
    flow["task_operations"][1]["instruction"] = json!(script);
    flow["approval"] = json!({"approvers": ["eve@example.com"], "reason_required": true});
    let run = ground.run_of(flow).await;
    let token = ground.mailed().await.remove(0);
    let page = ground.fetch("GET", &token).await.expect(200).text;
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
    assert!(page.contains("ada@example.com"), "{page}");
    // Without a reason nothing is decided, and the link still works.
    ground
        .submit(&token, &[("decision", "approve")])
        .await
        .expect(422);
    assert_eq!(ground.status(run).await, Value::Null);
    let said = [("decision", "reject"), ("comment", "<b>no</b>")];
    ground.submit(&token, &said).await.expect(200);
    assert_eq!(ground.status(run).await, "rejected");
}

#[tokio::test]
async fn a_gate_is_filled_in_by_fields_and_what_is_wrong_is_said_beside_them() {
    let ground = Ground::start().await;
    ground.approver("eve@example.com").await;
    ground.mails().await;
    let mut flow = ground.api.flow_body().await;
    flow["approval"] = json!("required");
    flow["task_operations"][1]["approval"] = json!({"approvers": ["eve@example.com"], "input": {
        "type": "object",
        "required": ["amount", "express"],
        "properties": {
            "amount": {"type": "integer", "title": "Amount <EUR>", "maximum": 500},
            "express": {"type": "boolean"},
            "rate": {"type": "number"},
            "size": {"enum": ["small", "large"]},
            "note": {"type": "string"},
        },
    }});
    let run = ground.run_of(flow).await;
    let eve = ground.approver("eve@example.com").await;
    ground.mailed().await;
    ground.decide("approve", run, &eve).await;
    let run_id = literal(run);
    // As the owner would ask at the gate of the task 1.
    let no = if clustered() { "false" } else { "0" };
    let now = ground.api.db.now().await.unwrap().0;
    let hash = Audience::parse(&["eve@example.com".to_owned()])
        .unwrap()
        .hash();
    ground
        .api
        .execute(format!(
            "INSERT INTO audiences (organization_id, hash, body) SELECT organization_id, '{hash}', \
               '{{\"users\":[\"eve@example.com\"],\"groups\":[],\"permissions\":[]}}' FROM live_runs WHERE run_id = {run_id}; \
             INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, audience, asked_at, \
               escalated, tell, requester, needed) SELECT run_id, 1, -1, organization_id, flow_id, 'left', 'open', 0, \
               '{hash}', {now}, {no}, 'requested', 'ada@example.com', 1 FROM live_runs WHERE run_id = {run_id}; \
             UPDATE live_runs SET phase = 'parked', epoch = 1, ready_at = NULL WHERE run_id = {run_id}"
        ))
        .await;
    let token = ground.mailed().await.remove(0);
    let page = ground.fetch("GET", &token).await.expect(200).text;
    for part in [
        "Amount &lt;EUR&gt; (needed)",
        "name=\"answer.amount\"",
        "<select id=\"answer",
        "<option value=\"large\">large</option>",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("name=\"answer\""), "{page}");
    let bad = [
        ("decision", "approve"),
        ("comment", "mind <this>"),
        ("answer.amount", "5o1"),
        ("answer.express", ""),
        ("answer.note", "a & b"),
    ];
    let page = ground.submit(&token, &bad).await.expect(422).text;
    let amount = page.split("name=\"answer.amount\"").nth(1).unwrap();
    let amount = amount.split("</p>").next().unwrap();
    assert!(amount.contains("value=\"5o1\""), "{amount}");
    assert!(amount.contains("class=\"fault\""), "{amount}");
    for kept in ["a &amp; b</textarea>", "mind &lt;this&gt;</textarea>"] {
        assert!(page.contains(kept), "{kept} in {page}");
    }
    let good = [
        ("decision", "approve"),
        ("answer.amount", "40"),
        ("answer.express", "true"),
        ("answer.rate", "0.5"),
        ("answer.size", "large"),
        ("answer.note", ""),
    ];
    ground.submit(&token, &good).await.expect(200);
    let gates = SqlStore::new(ground.api.db.clone())
        .gates(RunId(run))
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(gates[0].answer.as_ref().unwrap().text()).unwrap();
    // What the task is given as `gates.left`.
    assert_eq!(
        answer,
        json!({"amount": 40, "express": true, "rate": 0.5, "size": "large"})
    );
}
