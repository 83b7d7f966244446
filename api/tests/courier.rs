//! People are told what waits for them and what was decided: once each, whatever fails on the way.

pub mod outside;

use std::collections::HashSet;
use std::time::Duration;

use neena_api::auth::Permission::{self, Admin, Approve, Read, Write};
use neena_api::{Courier, Reach, Smtp};
use neena_store::{SqlStore, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Api, Setup};
use outside::{MailServer, Receiver};

pub const ORGANIZATION: &str = "org_a";

/// A server, and what stands around it.
pub struct Ground {
    pub api: Api,
    pub receiver: Receiver,
    pub mail: MailServer,
}

impl Ground {
    pub async fn start() -> Ground {
        let (receiver, mail) = (Receiver::start().await, MailServer::start().await);
        let reach = Reach {
            smtp: Some(Smtp {
                url: mail.url.clone(),
                from: "Neena <neena@example.com>".to_owned(),
            }),
            public_url: Some("https://neena.example.com".to_owned()),
            egress_allow: vec![receiver.place.parse().unwrap()],
            first_wait: Duration::ZERO,
            tries: 3,
            ..Reach::default()
        };
        let api = Api::start_with(Setup {
            reach,
            ..Setup::default()
        })
        .await;
        Ground {
            api,
            receiver,
            mail,
        }
    }

    /// A token of the organization, with everything but what only approvers may.
    pub fn token(&self, email: &str, may: &[Permission]) -> String {
        self.api.token_of(email, Some(ORGANIZATION), may)
    }

    pub fn admin(&self) -> String {
        self.token("root@example.com", &[Read, Write, Admin])
    }

    pub fn requester(&self) -> String {
        self.token("ada@example.com", &[Read, Write])
    }

    /// An approver who has called before.
    pub async fn approver(&self, email: &str) -> String {
        let token = self.token(email, &[Read, Approve]);
        self.api
            .call("GET", "/api/v1/users/", &token, None)
            .await
            .expect(200);
        token
    }

    pub async fn hook(&self, body: Value) -> Value {
        let path = "/api/v1/notification_hooks/";
        let answer = self.api.call("POST", path, &self.admin(), Some(body)).await;
        answer.expect(200).body
    }

    /// A run of a flow with this policy.
    pub async fn run(&self, approval: Value) -> Uuid {
        let mut flow = self.api.flow_body().await;
        flow["approval"] = approval;
        self.run_of(flow).await
    }

    pub async fn run_of(&self, flow: Value) -> Uuid {
        let token = self.requester();
        let flow = self.api.call("POST", "/api/v1/flows/", &token, Some(flow));
        let flow = flow.await.expect(200).id();
        let request = self.api.flow_request_of(&token).await;
        let body = json!({"flow": flow, "flow_request": request});
        self.api
            .call("POST", "/api/v1/flow_runs/", &token, Some(body))
            .await
            .expect(200)
            .id()
    }

    pub async fn decide(&self, what: &str, run: Uuid, token: &str) {
        let path = format!("/api/v1/flow_runs/{what}?flow_run_id={run}");
        self.api.call("PUT", &path, token, None).await.expect(200);
    }

    /// Lets the time of everything that waits for it come.
    pub async fn lapse(&self, sql: &str) {
        self.api.execute(sql.to_owned()).await;
        let store = SqlStore::new(self.api.db.clone());
        for lapsed in store.lapsed(100).await.unwrap() {
            store.decide(&lapsed.deciding()).await.unwrap();
        }
    }

    /// Everything that can be delivered now is.
    pub async fn deliver(&self) {
        let store = SqlStore::new(self.api.db.clone());
        store.seal(1_000).await.unwrap();
        let courier = Courier::new(self.api.app.clone());
        while courier.look().await.unwrap() > 0 {
            courier.settled().await;
        }
    }

    /// Types of the webhook's messages so far.
    pub fn told(&self) -> Vec<String> {
        let got = self.receiver.got();
        let kind = |hooked: &outside::Hooked| hooked.body["type"].as_str().unwrap().to_owned();
        got.iter().map(kind).collect()
    }
}

fn escalating() -> Value {
    json!({"approvers": ["eve@example.com"], "expires_in_seconds": 1000, "on_expiry": "escalate",
        "escalate_to": ["boss@example.com"], "remind_before_seconds": [500]})
}

#[tokio::test]
async fn a_webhook_is_told_once_of_each_step() {
    let ground = Ground::start().await;
    let eve = ground.approver("eve@example.com").await;
    let before = ground.run(json!("required")).await;
    let hook = ground
        .hook(json!({"kind": "webhook", "url": ground.receiver.url()}))
        .await;
    let run = ground.run(escalating()).await;
    ground.deliver().await;
    assert_eq!(
        ground.told(),
        ["approval.requested"],
        "not of what was before it"
    );
    ground
        .lapse("UPDATE asks SET wake_at = 1 WHERE wake_at IS NOT NULL")
        .await;
    ground.deliver().await;
    ground
        .lapse("UPDATE asks SET wake_at = 1, due_at = 1 WHERE wake_at IS NOT NULL")
        .await;
    ground.deliver().await;
    ground.decide("approve", run, &eve).await;
    ground.deliver().await;
    ground.deliver().await;
    let expected = ["requested", "reminder", "escalated", "decided"];
    assert_eq!(
        ground.told(),
        expected.map(|event| format!("approval.{event}"))
    );
    let got = ground.receiver.got();
    let ids: HashSet<&str> = got.iter().map(|hooked| hooked.id()).collect();
    assert_eq!(ids.len(), 4);
    for hooked in &got {
        hooked.verify(hook["secret"].as_str().unwrap());
        assert_eq!(hooked.body["data"]["flow_run"], json!(run));
        assert_eq!(hooked.body["data"]["flow_name"], "Sample Flow");
    }
    let decided = &got[3].body["data"];
    assert_eq!(decided["decision"], "approve");
    assert_eq!(decided["actor_email"], "eve@example.com");
    ground.decide("reject", before, &eve).await;
    ground.deliver().await;
    assert_eq!(ground.told().len(), 5, "how it ended is told");
}

#[tokio::test]
async fn nothing_is_told_in_the_transaction_of_a_decision() {
    let ground = Ground::start().await;
    let eve = ground.approver("eve@example.com").await;
    ground
        .hook(json!({"kind": "webhook", "url": ground.receiver.url()}))
        .await;
    let run = ground.run(json!("required")).await;
    ground.decide("approve", run, &eve).await;
    let deliveries = "SELECT count(*) FROM deliveries";
    assert_eq!(ground.api.count(deliveries).await, 0);
    assert!(ground.receiver.got().is_empty());
}

#[tokio::test]
async fn a_failing_receiver_is_tried_again_and_given_up() {
    let ground = Ground::start().await;
    ground.receiver.answers(500);
    let url = ground.receiver.url();
    ground
        .hook(json!({"kind": "webhook", "url": url, "events": ["requested"]}))
        .await;
    ground.run(json!("required")).await;
    ground.deliver().await;
    let got = ground.receiver.got();
    assert_eq!(got.len(), 3);
    let first = got[0].id().to_owned();
    assert!(got.iter().all(|hooked| hooked.id() == first), "one message");
    let path = "/api/v1/notification_hooks/";
    let hooks = ground.api.call("GET", path, &ground.admin(), None).await;
    let deliveries = &hooks.expect(200).body[0]["deliveries"];
    assert_eq!(deliveries["failed"], 1);
    assert_eq!(deliveries["waiting"], 0);
    assert_eq!(deliveries["last_error"], "answered 500");
    ground.receiver.answers(200);
    ground.run(json!("required")).await;
    ground.deliver().await;
    assert_eq!(ground.receiver.got().len(), 4);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let ground = Ground::start().await;
    ground.receiver.answers(302);
    ground
        .hook(json!({"kind": "webhook", "url": ground.receiver.url()}))
        .await;
    ground.run(json!("required")).await;
    ground.deliver().await;
    assert_eq!(ground.receiver.got().len(), 3, "a failure like any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_deliver_each_message_once() {
    let ground = Ground::start().await;
    let other = ground.api.another().await;
    ground
        .hook(json!({"kind": "webhook", "url": ground.receiver.url()}))
        .await;
    for _ in 0..40 {
        ground.run(json!("required")).await;
    }
    let couriers = [&ground.api, &other].map(|api| Courier::new(api.app.clone()));
    for _ in 0..10 {
        let looks = couriers.iter().map(|courier| courier.look());
        for look in futures_util::future::join_all(looks).await {
            look.unwrap();
        }
        for courier in &couriers {
            courier.settled().await;
        }
    }
    let got = ground.receiver.got();
    let runs: HashSet<String> = got
        .iter()
        .map(|hooked| hooked.body["data"]["flow_run"].to_string())
        .collect();
    assert_eq!((got.len(), runs.len()), (40, 40));
}

#[tokio::test]
async fn those_who_are_asked_are_written_to_and_no_others() {
    let ground = Ground::start().await;
    for email in ["eve@example.com", "tom@example.com", "ada@example.com"] {
        ground.approver(email).await;
    }
    for email in ["eve@example.com", "new@example.com", "ada@example.com"] {
        let sql = format!(
            "INSERT INTO group_members (organization_id, name, email) \
             SELECT id, 'finance', '{email}' FROM organizations WHERE external_id = '{ORGANIZATION}'"
        );
        ground.api.execute(sql).await;
    }
    ground
        .hook(json!({"kind": "email", "to": ["approvers", "ops@example.com"], "events": ["requested"]}))
        .await;
    ground.run(json!({"approvers": ["group:finance"]})).await;
    ground.deliver().await;
    let got = ground.mail.got();
    let to: Vec<(&str, bool)> = got
        .iter()
        .map(|mail| (mail.to.as_str(), mail.token().is_some()))
        .collect();
    // Ada asks, and may not approve; nobody knows whether `new` may.
    let expected = [
        ("eve@example.com", true),
        ("new@example.com", false),
        ("ops@example.com", false),
    ];
    assert_eq!(to, expected);
    assert_eq!(got[0].subject(), "Waits for your approval: Sample Flow");
    assert!(got[1].text.contains("neena approve"), "{}", got[1].text);
}

#[tokio::test]
async fn hooks_that_lead_inside_are_refused() {
    let ground = Ground::start().await;
    let path = "/api/v1/notification_hooks/";
    for (body, fault) in [
        (
            json!({"kind": "webhook", "url": "http://169.254.169.254/latest"}),
            "body.url: url",
        ),
        (
            json!({"kind": "webhook", "url": "http://127.0.0.1:1/"}),
            "body.url: url",
        ),
        (
            json!({"kind": "webhook", "url": "file:///etc/passwd"}),
            "body.url: url",
        ),
        (json!({"kind": "webhook"}), "body.url: missing"),
        (json!({"kind": "email"}), "body.to: missing"),
        (
            json!({"kind": "email", "to": ["nobody"]}),
            "body.to.0: value_error",
        ),
        (
            json!({"kind": "email", "to": ["approvers"], "events": ["all"]}),
            "body.events.0: enum",
        ),
    ] {
        let answer = ground
            .api
            .call("POST", path, &ground.admin(), Some(body))
            .await;
        assert_eq!(answer.fault(), fault);
    }
}

#[tokio::test]
async fn hooks_are_of_their_organization() {
    let ground = Ground::start().await;
    let hook = ground
        .hook(json!({"kind": "webhook", "url": ground.receiver.url()}))
        .await;
    let id = hook["id"].as_str().unwrap();
    let other = ground
        .api
        .token_of("eve@other.example", Some("org_b"), &Permission::ALL);
    let path = format!("/api/v1/notification_hooks/?id={id}");
    ground
        .api
        .call("DELETE", &path, &other, None)
        .await
        .expect(404);
    let list = ground
        .api
        .call("GET", "/api/v1/notification_hooks/", &other, None)
        .await;
    assert_eq!(list.expect(200).body, json!([]));
    let run = ground.api.run_of(&other).await;
    ground.deliver().await;
    assert!(ground.receiver.got().is_empty(), "{run}");
    let own = ground
        .api
        .call("GET", "/api/v1/notification_hooks/", &ground.admin(), None)
        .await;
    assert_eq!(own.expect(200).body[0]["secret"], Value::Null, "shown once");
    ground
        .api
        .call("DELETE", &path, &ground.admin(), None)
        .await
        .expect(200);
    ground.run(json!("required")).await;
    ground.deliver().await;
    assert!(ground.receiver.got().is_empty());
}
