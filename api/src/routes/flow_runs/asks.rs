//! What people were asked about a run, and what they said: part of its plan's view.

use std::collections::HashMap;

use neena_engine::approval::Policy;
use neena_engine::ids::RunId;
use neena_engine::plan::Plan;
use neena_store::entities::{approval, ask, flow_run, task_run};
use neena_store::queries::{self, TaskResults};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::AppState;
use crate::view::{Time, raw};

/// Results of the tasks before a gate are shown up to this many bytes.
const SHOWN_RESULT: i64 = 16 << 10;

/// A question about a run: its plan, or a gate that was reached.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ask)]
pub(super) struct AskView {
    /// Key of the gate; null: the plan as a whole.
    gate: Option<String>,
    /// Of the gate.
    task_operation_index: Option<i64>,
    /// `open`, `approved`, `rejected`, `expired`, or `withdrawn`: the run was cancelled first.
    state: String,
    /// The stage that is asked; null once it is decided.
    stage: Option<String>,
    asked_time: Option<Time>,
    /// Until when an answer counts.
    due_time: Option<Time>,
    /// Whether others are asked as well, because nobody decided in time.
    escalated: bool,
    /// What was said, oldest first; of a gate in the present round.
    approvals: Vec<VoteView>,
    /// What the tasks right before the gate gave; empty for a plan.
    upstream: Vec<UpstreamView>,
    /// What the gate's form was filled in with.
    #[schema(value_type = Option<Object>)]
    answer: Option<Box<RawValue>>,
    /// Who decided, or why it expired, in words.
    reason: Option<String>,
}

/// What somebody said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Vote)]
struct VoteView {
    stage: Option<String>,
    email: String,
    /// In whose place; null: in their own.
    stands_in_for: Option<String>,
    /// `approve` or `reject`.
    decision: String,
    comment: Option<String>,
    /// `rest`, `link`, …
    way: String,
    time: Time,
}

/// A task before a gate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upstream)]
struct UpstreamView {
    name: String,
    index: u32,
    status: String,
    /// Up to 16 KiB; for a larger one see the run.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
}

/// Everything that was asked about a run, its plan first.
pub(super) async fn of(
    app: &AppState,
    run: &flow_run::Model,
    plan: &Plan,
) -> Result<Vec<AskView>, ApiError> {
    let tenant = queries::of(app.db().reader(), run.organization_id.into());
    let id = RunId(run.id);
    let asks = tenant.asks(id).await?;
    let mut votes: HashMap<(i64, i64), Vec<approval::Model>> = HashMap::new();
    for vote in tenant.votes(id).await? {
        votes.entry((vote.idx, vote.item)).or_default().push(vote);
    }
    let gates = asks.iter().any(|ask| ask.idx >= 0);
    let tasks = match gates {
        true => {
            let results = TaskResults::UpTo(SHOWN_RESULT);
            tenant.flow_runs(&[run.id], results).await?.task_runs
        }
        false => Vec::new(),
    };
    let tasks: HashMap<i64, task_run::Model> = tasks
        .into_iter()
        .filter(|task| task.item < 0)
        .map(|task| (task.idx, task))
        .collect();
    let mut views = Vec::with_capacity(asks.len() + 1);
    if !asks.iter().any(|ask| ask.idx < 0) {
        let votes = votes.remove(&(-1, -1)).unwrap_or_default();
        views.push(AskView::settled(run, plan, votes));
    }
    for ask in asks {
        let votes = votes.remove(&(ask.idx, ask.item)).unwrap_or_default();
        views.push(AskView::of(ask, plan, votes, &tasks));
    }
    Ok(views)
}

impl AskView {
    /// Of a plan that is not asked about any more.
    fn settled(run: &flow_run::Model, plan: &Plan, votes: Vec<approval::Model>) -> AskView {
        let state = run.approval_status.as_deref().unwrap_or("withdrawn");
        AskView {
            gate: None,
            task_operation_index: None,
            state: state.to_owned(),
            stage: None,
            asked_time: None,
            due_time: None,
            escalated: false,
            approvals: said(&plan.head.policy, votes),
            upstream: Vec::new(),
            answer: None,
            reason: run.reason.clone().filter(|_| state == "rejected"),
        }
    }

    fn of(
        ask: ask::Model,
        plan: &Plan,
        votes: Vec<approval::Model>,
        tasks: &HashMap<i64, task_run::Model>,
    ) -> AskView {
        let index = u32::try_from(ask.idx).ok();
        let position = index.and_then(|index| plan.graph.position(index));
        let gate = position.and_then(|position| plan.graph.operation(position).approval.as_ref());
        let policy = gate.map_or(&plan.head.policy, |gate| &gate.policy);
        let open = ask.state == "open";
        let stage = name_of(policy, ask.stage).filter(|_| open);
        let before = position.map_or(&[][..], |position| plan.graph.upstream(position));
        AskView {
            gate: index.map(|_| ask.name),
            task_operation_index: index.map(|_| ask.idx),
            state: ask.state,
            stage,
            asked_time: Some(Time::of(ask.asked_at)),
            due_time: ask.due_at.map(Time::of),
            escalated: ask.escalated,
            approvals: said(policy, votes),
            upstream: before
                .iter()
                .map(|position| UpstreamView::of(plan, *position as usize, tasks))
                .collect(),
            answer: ask.answer.and_then(raw),
            reason: ask.reason,
        }
    }
}

impl UpstreamView {
    fn of(plan: &Plan, position: usize, tasks: &HashMap<i64, task_run::Model>) -> UpstreamView {
        let operation = plan.graph.operation(position);
        let task = tasks.get(&i64::from(operation.index));
        UpstreamView {
            name: operation.name.clone(),
            index: operation.index,
            status: task.map_or("pending", |task| &task.status).to_owned(),
            result: task.and_then(|task| task.result.clone()).and_then(raw),
        }
    }
}

fn said(policy: &Policy, votes: Vec<approval::Model>) -> Vec<VoteView> {
    votes
        .into_iter()
        .map(|vote| VoteView {
            stage: name_of(policy, vote.stage),
            email: vote.approver_email,
            stands_in_for: vote.stands_in_for,
            decision: vote.decision,
            comment: vote.comment,
            way: vote.way,
            time: Time::of(vote.at),
        })
        .collect()
}

fn name_of(policy: &Policy, stage: i32) -> Option<String> {
    let stage = policy.stages.get(usize::try_from(stage).ok()?)?;
    Some(stage.name.clone())
}
