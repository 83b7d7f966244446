//! A policy as a flow, a task of it, or an organization gives it.

use neena_engine::approval::{self, Audience, PolicySpec, StageSpec};
use neena_engine::{Fault, Loc, loc};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use utoipa::ToSchema;

use super::faults;

/// `required`, `none`, or what is asked for in particular; what is left out is as the organization has it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Approval {
    Word(Mode),
    Settings(Box<Settings>),
}

/// Who must approve, in which order, until when.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(as = ApprovalPolicy)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<Mode>,
    /// How many approvals it takes: short for a single stage, with `approvers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub(super) count: Option<u32>,
    /// Who may approve: `eve@example.com`, `group:finance`, `permission:deploy`; nobody named: whoever may
    /// approve at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub(super) approvers: Option<Vec<String>>,
    /// In order: the next is asked when the one before has all its approvals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 10)]
    pub(super) stages: Option<Vec<Stage>>,
    /// Whoever asked for the run cannot approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) distinct_from_requester: Option<bool>,
    /// Whoever wrote this version of the flow cannot approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) distinct_from_author: Option<bool>,
    /// Whoever approved in one stage cannot approve in another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) distinct_approvers: Option<bool>,
    /// Whether a decision must say why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason_required: Option<bool>,
    /// How long may be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 31536000)]
    pub(super) expires_in_seconds: Option<Number>,
    /// What becomes of what nobody decided in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_expiry: Option<OnExpiry>,
    /// Who may answer as well, once it was escalated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub(super) escalate_to: Option<Vec<String>>,
    /// How long before the expiry to remind, at most ten times.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<f64>>, max_items = 10)]
    pub(super) remind_before_seconds: Option<Vec<Number>>,
    /// Whether it may be approved beforehand, by a standing approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standing: Option<bool>,
    /// At a task only: a JSON Schema (an object) of what the approver fills in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(super) input: Option<Value>,
}

/// A number of approvals by some people.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = ApprovalStage)]
pub(crate) struct Stage {
    /// Needed where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00]*$")]
    pub(super) name: Option<String>,
    /// How many approvals it takes; 1 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub(super) count: Option<u32>,
    /// Who may approve; nobody named: whoever may approve at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub(super) approvers: Option<Vec<String>>,
}

/// Whether anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApprovalMode)]
pub(crate) enum Mode {
    Required,
    None,
}

/// What becomes of what nobody decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnExpiry {
    Reject,
    Escalate,
    Approve,
}

/// Settings of a posted policy that nobody knows: refused by name, so that nothing asked for is left out.
pub(crate) fn later_settings(policy: &Value, at: impl Fn() -> Vec<Loc>, found: &mut Vec<Fault>) {
    faults::unknown(policy, &at, faults::OF_POLICY, found);
    let stages = policy["stages"].as_array().into_iter().flatten();
    for (place, stage) in stages.enumerate() {
        let at = || [at(), loc!["stages", place]].concat();
        faults::unknown(stage, &at, faults::OF_STAGE, found);
    }
}

impl Approval {
    /// As the engine has it, and the form of a gate. Faults are located from the policy.
    pub(crate) fn spec(&self) -> Result<(PolicySpec, Option<Value>), Vec<Fault>> {
        match self {
            Approval::Word(mode) => {
                let spec = PolicySpec {
                    mode: Some((*mode).into()),
                    ..PolicySpec::default()
                };
                Ok((spec, None))
            }
            Approval::Settings(settings) => settings.spec(),
        }
    }

    /// Whether it says that nobody is asked.
    pub(crate) fn asks_nobody(&self) -> bool {
        match self {
            Approval::Word(mode) => *mode == Mode::None,
            Approval::Settings(settings) => settings.mode == Some(Mode::None),
        }
    }

    /// Whether it asks for something to be filled in.
    pub(crate) fn has_form(&self) -> bool {
        matches!(self, Approval::Settings(settings) if settings.input.is_some())
    }

    /// Where in it the mode stands.
    pub(crate) fn place_of_mode(&self) -> Vec<Loc> {
        match self {
            Approval::Word(_) => Vec::new(),
            Approval::Settings(_) => loc!["mode"],
        }
    }
}

impl Settings {
    fn spec(&self) -> Result<(PolicySpec, Option<Value>), Vec<Fault>> {
        let mut found = faults::of(self);
        let mut people = |words: &Option<Vec<String>>, at: Vec<Loc>| {
            faults::audience(words.as_deref().unwrap_or_default(), &at, &mut found)
        };
        let approvers = people(&self.approvers, loc!["approvers"]);
        let escalate_to = people(&self.escalate_to, loc!["escalate_to"]);
        let stages: Option<Vec<StageSpec>> = match &self.stages {
            Some(stages) => {
                let stages = stages.iter().enumerate().map(|(place, stage)| StageSpec {
                    name: stage.name.clone(),
                    count: stage.count.unwrap_or(1),
                    approvers: people(&stage.approvers, loc!["stages", place, "approvers"]),
                });
                Some(stages.collect())
            }
            None if self.count.is_some() || self.approvers.is_some() => Some(vec![StageSpec {
                name: None,
                count: self.count.unwrap_or(1),
                approvers,
            }]),
            None => None,
        };
        faults::unfillable(stages.as_deref().unwrap_or_default(), self, &mut found);
        if !found.is_empty() {
            return Err(found);
        }
        let spec = PolicySpec {
            mode: self.mode.map(Into::into),
            stages,
            distinct_from_requester: self.distinct_from_requester,
            distinct_from_author: self.distinct_from_author,
            distinct_approvers: self.distinct_approvers,
            reason_required: self.reason_required,
            expires_in_ms: self.expires_in_seconds.as_ref().map(millis),
            on_expiry: self.on_expiry.map(Into::into),
            escalate_to: self.escalate_to.is_some().then_some(escalate_to),
            remind_before_ms: self
                .remind_before_seconds
                .as_ref()
                .map(|before| before.iter().map(millis).collect()),
            standing: self.standing,
        };
        Ok((spec, self.input.clone()))
    }
}

/// Seconds as milliseconds, at least one: a limit is never rounded away.
fn millis(seconds: &Number) -> u64 {
    ((seconds.as_f64().unwrap_or_default() * 1_000.0).round() as u64).max(1)
}

impl From<Mode> for approval::Mode {
    fn from(mode: Mode) -> approval::Mode {
        match mode {
            Mode::Required => approval::Mode::Required,
            Mode::None => approval::Mode::None,
        }
    }
}

impl From<OnExpiry> for approval::OnExpiry {
    fn from(word: OnExpiry) -> approval::OnExpiry {
        match word {
            OnExpiry::Reject => approval::OnExpiry::Reject,
            OnExpiry::Escalate => approval::OnExpiry::Escalate,
            OnExpiry::Approve => approval::OnExpiry::Approve,
        }
    }
}

/// Nobody named: whoever may approve at all.
pub(super) fn anyone() -> Audience {
    Audience::default()
}
