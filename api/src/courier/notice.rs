//! What a hook is told: kept in ids, and put in words from the plan, which never changes, when it is sent.

use neena_engine::Micros;
use neena_engine::approval::Policy;
use neena_engine::ids::RunId;
use neena_engine::plan::Plan;
use neena_store::entities::{decision, delivery};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Undelivered;
use crate::state::AppState;
use crate::view::Time;

/// What is told, as deliveries keep it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub(super) enum News {
    Ask(AskNews),
    Decision(DecisionNews),
}

/// Something waits for approval.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AskNews {
    pub(super) run: Uuid,
    pub(super) idx: i64,
    pub(super) item: i64,
    pub(super) stage: i32,
    pub(super) asked_at: i64,
    pub(super) due_at: Option<i64>,
    pub(super) escalated: bool,
}

/// Something was decided.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DecisionNews {
    run: Uuid,
    seq: Option<i64>,
    idx: Option<i64>,
    pub(super) what: String,
    actor_email: Option<String>,
    stands_in_for: Option<String>,
    way: String,
    stage: Option<String>,
    comment: Option<String>,
    result: String,
    at: i64,
}

impl News {
    pub(super) fn text(&self) -> String {
        // Numbers, texts and nothing else.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl DecisionNews {
    pub(super) fn of(run: Uuid, entry: &decision::Model) -> DecisionNews {
        DecisionNews {
            run,
            seq: entry.seq,
            idx: entry.idx,
            what: entry.what.clone(),
            actor_email: entry.actor_email.clone(),
            stands_in_for: entry.stands_in_for.clone(),
            way: entry.way.clone(),
            stage: entry.stage.clone(),
            comment: entry.comment.clone(),
            result: entry.result.clone(),
            at: entry.at,
        }
    }
}

/// What is told, in words.
#[derive(Debug, Serialize)]
pub(super) struct Notice {
    /// `approval.requested`, `approval.reminder`, `approval.escalated` or `approval.decided`.
    #[serde(rename = "type")]
    kind: String,
    timestamp: Time,
    pub(super) data: Data,
}

/// What it is about.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    organization: Uuid,
    pub(super) flow_run: Uuid,
    flow: Uuid,
    pub(super) flow_name: String,
    /// null: the plan of the run.
    pub(super) gate: Option<String>,
    pub(super) task_operation_index: Option<i64>,
    pub(super) stage: Option<String>,
    pub(super) plan_hash: String,
    pub(super) triggered_by: String,
    pub(super) request_instructions: String,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum What {
    Asked {
        asked_time: Time,
        due_time: Option<Time>,
        escalated: bool,
    },
    Decided {
        decision: String,
        result: String,
        actor_email: Option<String>,
        stands_in_for: Option<String>,
        way: String,
        comment: Option<String>,
        time: Time,
        seq: Option<i64>,
    },
}

impl Notice {
    /// The body of a webhook.
    pub(super) fn webhook(&self) -> String {
        // Texts, numbers and times: JSON has words for all of them.
        serde_json::to_string(self).unwrap_or_else(|_| json!({"type": self.kind}).to_string())
    }
}

/// What `delivery` tells.
pub(super) async fn of(app: &AppState, delivery: &delivery::Model) -> Result<Notice, Undelivered> {
    let news: News = serde_json::from_str(&delivery.body).map_err(|error| {
        Undelivered::Never(format!("what is to be told is unreadable: {error}"))
    })?;
    let run = match &news {
        News::Ask(ask) => ask.run,
        News::Decision(decision) => decision.run,
    };
    let plan = app.store().plan(RunId(run)).await;
    let plan = plan.map_err(|error| Undelivered::Later(error.to_string()))?;
    let at = match &news {
        News::Ask(_) => delivery.created_at,
        News::Decision(decision) => decision.at,
    };
    Ok(Notice {
        kind: format!("approval.{}", delivery.event),
        timestamp: Time::of(at),
        data: data(&plan, run, news),
    })
}

fn data(plan: &Plan, run: Uuid, news: News) -> Data {
    let idx = match &news {
        News::Ask(ask) => Some(ask.idx),
        News::Decision(decision) => decision.idx,
    };
    let index = idx.filter(|index| *index >= 0);
    let (gate, policy) = subject(plan, index);
    let (stage, what) = match news {
        News::Ask(ask) => {
            let stage = usize::try_from(ask.stage).ok();
            let stage = stage.and_then(|at| policy?.stages.get(at));
            let what = What::Asked {
                asked_time: Time::of(ask.asked_at),
                due_time: ask.due_at.map(Time::of),
                escalated: ask.escalated,
            };
            (stage.map(|stage| stage.name.clone()), what)
        }
        News::Decision(entry) => (
            entry.stage,
            What::Decided {
                decision: entry.what,
                result: entry.result,
                actor_email: entry.actor_email,
                stands_in_for: entry.stands_in_for,
                way: entry.way,
                comment: entry.comment,
                time: Time(Micros(entry.at)),
                seq: entry.seq,
            },
        ),
    };
    let head = &plan.head;
    Data {
        organization: head.organization,
        flow_run: run,
        flow: head.flow,
        flow_name: head.flow_name.clone(),
        gate,
        task_operation_index: index,
        stage,
        plan_hash: plan.hash.to_string(),
        triggered_by: head.triggered_by.clone(),
        request_instructions: head.request.instructions.clone(),
        what,
    }
}

/// The name of a gate and its policy; of the run without an index.
pub(crate) fn subject(plan: &Plan, index: Option<i64>) -> (Option<String>, Option<&Policy>) {
    let Some(index) = index else {
        return (None, Some(&plan.head.policy));
    };
    let position = u32::try_from(index)
        .ok()
        .and_then(|index| plan.graph.position(index));
    let Some(position) = position else {
        return (None, None);
    };
    let operation = plan.graph.operation(position);
    let policy = operation.approval.as_ref().map(|gate| &gate.policy);
    (Some(operation.name.clone()), policy)
}
