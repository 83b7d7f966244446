//! A policy as people read it: with every default written out.

use neena_engine::approval::{Mode, OnExpiry, Policy, Stage};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::seconds;

/// Who must approve, in which order, until when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub(crate) struct PolicyView {
    /// `required`, or `none`: nobody is asked.
    #[schema(value_type = String)]
    mode: Mode,
    /// How many approvals it takes in all.
    count: u32,
    /// In order: the next is asked when the one before has all its approvals.
    stages: Vec<StageView>,
    /// Whoever asked for the run cannot approve it.
    distinct_from_requester: bool,
    /// Whoever wrote this version of the flow cannot approve it.
    distinct_from_author: bool,
    /// Whoever approved in one stage cannot approve in another.
    distinct_approvers: bool,
    /// Whether a decision must say why.
    reason_required: bool,
    /// How long may be answered.
    #[schema(value_type = Option<f64>)]
    expires_in_seconds: Option<Number>,
    /// `reject`, `escalate` or `approve`.
    #[schema(value_type = String)]
    on_expiry: OnExpiry,
    /// Who may answer as well, once it was escalated.
    escalate_to: Vec<String>,
    /// The earliest reminder first.
    #[schema(value_type = Vec<f64>)]
    remind_before_seconds: Vec<Number>,
    /// Whether it may be approved beforehand.
    standing: bool,
}

/// A number of approvals by some people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyStage)]
struct StageView {
    name: String,
    count: u32,
    /// E-mails, `group:…` and `permission:…`; none: whoever may approve.
    approvers: Vec<String>,
}

impl PolicyView {
    pub(crate) fn of(policy: &Policy) -> PolicyView {
        PolicyView {
            mode: policy.mode,
            count: policy.stages.iter().map(|stage| stage.count).sum(),
            stages: policy.stages.iter().map(StageView::of).collect(),
            distinct_from_requester: policy.distinct_from_requester,
            distinct_from_author: policy.distinct_from_author,
            distinct_approvers: policy.distinct_approvers,
            reason_required: policy.reason_required,
            expires_in_seconds: policy.expires_in_ms.map(seconds),
            on_expiry: policy.on_expiry,
            escalate_to: policy.escalate_to.words(),
            remind_before_seconds: policy
                .remind_before_ms
                .iter()
                .map(|ms| seconds(*ms))
                .collect(),
            standing: policy.standing,
        }
    }
}

impl StageView {
    fn of(stage: &Stage) -> StageView {
        StageView {
            name: stage.name.clone(),
            count: stage.count,
            approvers: stage.approvers.words(),
        }
    }
}
