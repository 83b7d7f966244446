//! One run, and what people say about it by one way in.

use axum::body::Body;
use axum::http::Request;
use neena_engine::approval::{Asked, Subject};
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::run::TaskKey;
use neena_store::entities::approval_link;
use neena_store::{Lapsed, Store};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use super::case::{Case, Step, Word, email, stage_name};
use super::town::Town;
use crate::harness::{Answer, clustered, literal};

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Rest,
    Cli,
    Link,
    /// Everybody by another one.
    Any,
}

/// What somebody was told: the status, and for a refusal why.
pub type Told = (u16, String);

pub struct Scene<'a> {
    town: &'a Town,
    case: &'a Case,
    pub run: Uuid,
    organization: OrganizationId,
    subject: Subject,
    plan_hash: String,
    /// The stage that was asked last.
    stage: usize,
}

impl<'a> Scene<'a> {
    /// A run of `flow` that waits as the case says.
    pub async fn set(town: &'a Town, case: &'a Case, flow: Uuid) -> Scene<'a> {
        let run = town.run(case.world, case.requester, flow, false).await;
        let run = run.expect(200).id();
        Scene::of(town, case, run).await
    }

    /// Of a run that is there.
    pub async fn of(town: &'a Town, case: &'a Case, run: Uuid) -> Scene<'a> {
        let plan = town.store.plan(RunId(run)).await.unwrap();
        let subject = match case.gate {
            true => Subject::Gate(TaskKey {
                index: 1,
                item: None,
            }),
            false => Subject::Run,
        };
        let scene = Scene {
            town,
            case,
            run,
            organization: OrganizationId(plan.head.organization),
            subject,
            plan_hash: plan.hash.to_string(),
            stage: 0,
        };
        if case.gate {
            let gate = plan.graph.operation(0).approval.as_ref().unwrap();
            let now = town.api.db.now().await.unwrap();
            let origin = plan.head.origin();
            scene
                .reach(&Asked::new(subject, "ship", &gate.policy, &origin, now))
                .await;
        }
        scene
    }

    /// Asks at the gate and parks the run, as its owner would.
    async fn reach(&self, asked: &Asked) {
        let no = if clustered() { "false" } else { "0" };
        let number = |time: Option<neena_engine::Micros>| {
            time.map_or("NULL".to_owned(), |time| time.0.to_string())
        };
        let (run, ask) = (literal(self.run), &asked.ask);
        let author = asked.author.as_ref();
        self.town
            .api
            .execute(format!(
                "INSERT INTO audiences (organization_id, hash, body) SELECT organization_id, '{0}', '{1}' \
                   FROM live_runs WHERE run_id = {run} ON CONFLICT DO NOTHING; \
                 INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, audience, \
                   asked_at, due_at, wake_at, escalated, requester, author, needed) \
                 SELECT run_id, 1, -1, organization_id, flow_id, 'ship', 'open', 0, '{0}', {2}, {3}, {4}, {no}, '{5}', \
                   {6}, {7} FROM live_runs WHERE run_id = {run}; \
                 UPDATE live_runs SET phase = 'parked', epoch = 1, ready_at = NULL WHERE run_id = {run}",
                asked.audience.hash(),
                serde_json::to_string(&asked.audience).unwrap(),
                ask.asked_at.0,
                number(ask.due_at),
                number(ask.wake_at),
                asked.requester.clone().unwrap_or_default(),
                author.map_or("NULL".to_owned(), |author| format!("'{author}'")),
                asked.needed,
            ))
            .await;
    }

    /// What each step comes to; none where nobody speaks.
    pub async fn play(&mut self, steps: &[Step], way: Way) -> Vec<Option<Told>> {
        let mut told = Vec::with_capacity(steps.len());
        for step in steps {
            told.push(self.step(step, way).await);
        }
        told
    }

    pub async fn step(&mut self, step: &Step, way: Way) -> Option<Told> {
        match step {
            Step::Over => {
                let over = format!(
                    "UPDATE asks SET due_at = 1, wake_at = 1 WHERE run_id = {} AND state = 'open' \
                       AND due_at IS NOT NULL",
                    literal(self.run)
                );
                self.town.api.execute(over).await;
            }
            Step::Look => {
                let lapsed = Lapsed {
                    run: RunId(self.run),
                    organization: self.organization,
                    subject: self.subject,
                };
                self.town.store.decide(&lapsed.deciding()).await.unwrap();
            }
            Step::Say(word) => {
                self.stage = self.asked().await.unwrap_or(self.stage);
                return Some(self.say(word, way).await);
            }
        }
        None
    }

    /// The stage that is asked.
    pub async fn asked(&self) -> Option<usize> {
        let reader = self.town.api.db.reader();
        let sql = format!(
            "SELECT stage FROM asks WHERE run_id = {} AND state = 'open'",
            literal(self.run)
        );
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let row = reader.query_one_raw(statement).await.unwrap()?;
        let stage: i32 = row.try_get_by_index(0).unwrap();
        Some(stage as usize)
    }

    async fn say(&self, word: &Word, way: Way) -> Told {
        let stage = word.stage.unwrap_or(self.stage);
        let what = if word.approves { "approve" } else { "reject" };
        // Without the permission nobody gets as far as a plan.
        let stale = word.stale && self.case.world().approve.contains(&word.who);
        let hash = match stale {
            true => "0".repeat(64),
            false => self.plan_hash.clone(),
        };
        let way = match way {
            Way::Any => *word.way.get(&[Way::Rest, Way::Cli, Way::Link]),
            way => way,
        };
        let gate = match self.case.gate {
            true => "&task_operation_index=1",
            false => "",
        };
        let path = format!("/flow_runs/{what}?flow_run_id={}{gate}", self.run);
        let (world, who) = (self.case.world, word.who);
        match way {
            Way::Rest => {
                let mut path = path + &format!("&plan_hash={hash}&stage=stage+{stage}");
                if word.reason {
                    path.push_str("&comment=so+be+it");
                }
                told(&self.town.call(world, who, "PUT", &path, None).await)
            }
            Way::Cli => {
                let mut body = json!({"plan_hash": hash, "stage": stage_name(stage)});
                if word.reason {
                    body["comment"] = json!("so be it");
                }
                let token = self.town.token_of(world, who);
                let path = format!("/api/v1{path}");
                let mut request =
                    crate::harness::request("PUT", &path, token, Some(body.to_string()));
                let agent = "neena/0.0.0".parse().unwrap();
                request.headers_mut().insert("user-agent", agent);
                told(&self.town.api.send(request).await)
            }
            Way::Link | Way::Any => self.by_link(word, (stage, hash), what).await,
        }
    }

    async fn by_link(&self, word: &Word, (stage, hash): (usize, String), what: &str) -> Told {
        let link = approval_link::Model {
            id: Uuid::now_v7(),
            organization_id: self.organization.0,
            run_id: self.run,
            idx: if self.case.gate { 1 } else { -1 },
            item: -1,
            stage: stage as i32,
            plan_hash: hash,
            recipient: email(word.who).to_lowercase(),
            expires_at: i64::MAX,
            used_at: None,
            used_as: None,
            done_at: None,
        };
        let token = self.town.link(link).await;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", &token);
        form.append_pair("decision", what);
        form.append_pair("comment", if word.reason { "so be it" } else { "" });
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/approvals/link")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.finish()))
            .unwrap();
        shown(&self.town.api.send(request).await)
    }

    /// What can be seen of the run in the end, but for times and ways; and the ways.
    pub async fn seen(&self) -> (Value, Vec<String>) {
        let get = |path: String| async move {
            let answer = self.town.call(self.case.world, 0, "GET", &path, None).await;
            answer.expect(200).body
        };
        let run = self.run;
        let view = get(format!("/flow_runs/?id={run}")).await;
        let plan = get(format!("/flow_runs/plan?flow_run_id={run}")).await;
        let log = get(format!("/decisions/all?flow_run_id={run}")).await;
        let mut ways = Vec::new();
        let mut entries = Vec::new();
        for entry in log.as_array().unwrap() {
            if entry["actor_email"].is_string() && entry["what"] != "start" {
                ways.push(entry["way"].as_str().unwrap().to_owned());
            }
            entries.push(fields(
                entry,
                "what actor_email stands_in_for gate stage comment result plan_hash",
            ));
        }
        let asks: Vec<Value> = plan["asks"].as_array().unwrap().iter().map(ask).collect();
        let run = fields(&view, "status approval_status waiting_for reason");
        (json!({"run": run, "asks": asks, "log": entries}), ways)
    }
}

fn fields(of: &Value, names: &str) -> Value {
    let pairs = names
        .split(' ')
        .map(|name| (name.to_owned(), of[name].clone()));
    Value::Object(pairs.collect())
}

fn ask(of: &Value) -> Value {
    let mut ask = fields(of, "gate state stage escalated reason");
    let votes = of["approvals"].as_array().unwrap().iter();
    let votes = votes.map(|vote| fields(vote, "stage email stands_in_for decision comment"));
    ask["approvals"] = votes.collect();
    ask
}

/// What the API says.
pub fn told(answer: &Answer) -> Told {
    let detail = &answer.body["detail"];
    let text = match (answer.status.as_u16(), detail.as_array()) {
        (200..300, _) => String::new(),
        (_, Some(faults)) => {
            let texts = faults.iter().map(|fault| fault["msg"].as_str().unwrap());
            texts.collect::<Vec<_>>().join("; ")
        }
        _ => detail.as_str().unwrap().to_owned(),
    };
    (answer.status.as_u16(), text)
}

/// What the page of a link says, in the words of the API where it says as much in others.
fn shown(answer: &Answer) -> Told {
    let status = answer.status.as_u16();
    if status < 300 {
        return (status, String::new());
    }
    let between = |from: &str| {
        let rest = answer.text.split_once(from)?.1;
        Some(rest.split_once("</p>")?.0)
    };
    let text = between("<p class=\"fault\">").or_else(|| between("</h1><p>"));
    let text = text.unwrap_or_else(|| panic!("{}", answer.text));
    let text = text.replace("&#39;", "'").replace("&amp;", "&");
    let text = match text.as_str() {
        "The person this link is for may not approve any more." => {
            "The permission `approve` is needed"
        }
        "The run has another plan than the one this link is for." => {
            "The run's plan has another hash"
        }
        said => said,
    };
    (status, text.to_owned())
}
