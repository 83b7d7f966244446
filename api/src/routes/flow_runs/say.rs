//! What somebody says about a plan or a gate: in the query, in a body, or in both alike.

use neena_engine::approval::Subject;
use neena_engine::hash::Hash;
use neena_engine::ids::RunId;
use neena_engine::run::{Actor, Say, TaskKey};
use neena_engine::{Fault, Json, loc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ApiError;
use crate::extract::{Pairs, QueryParameters, payload};

/// Most characters of a comment.
pub(crate) const LONGEST_COMMENT: usize = 2_000;
/// Most characters of a stage's name.
const LONGEST_NAME: usize = 256;
/// Most bytes of a body: an answer is what a person fills in.
const LIMIT: usize = 128 << 10;

/// A decision about the plan of a run, or about a gate of it.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OnPlan {
    flow_run_id: Uuid,
    /// The task whose gate is decided; without it the plan as a whole.
    #[param(required = false, value_type = u32, maximum = 2147483647)]
    task_operation_index: Option<u32>,
    /// The plan that was looked at: a 412 if the run's is another.
    #[param(required = false, value_type = String)]
    plan_hash: Option<Hash>,
    /// The stage that is spoken for: a decision never counts in another.
    #[param(required = false, value_type = String, max_length = 256)]
    stage: Option<String>,
    /// Why, in words.
    #[param(required = false, value_type = String, max_length = 2000)]
    comment: Option<String>,
}

impl QueryParameters for OnPlan {
    fn read(pairs: &mut Pairs) -> Option<OnPlan> {
        let (run, index) = (pairs.id("flow_run_id"), pairs.index("task_operation_index"));
        let (hash, stage) = (pairs.hash("plan_hash"), pairs.words("stage", LONGEST_NAME));
        let comment = pairs.words("comment", LONGEST_COMMENT);
        Some(OnPlan {
            flow_run_id: run?,
            task_operation_index: index?,
            plan_hash: hash?,
            stage: stage?,
            comment: comment?,
        })
    }
}

/// What is said beside who and on which run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = DecisionBody)]
pub(crate) struct Words {
    /// The plan that was looked at: a 412 if the run's is another.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    plan_hash: Option<String>,
    /// The stage that is spoken for: a decision never counts in another.
    #[schema(max_length = 256, pattern = r"^[^\x00]*$")]
    stage: Option<String>,
    /// Why, in words.
    #[schema(max_length = 2000, pattern = r"^[^\x00]*$")]
    comment: Option<String>,
    /// What the gate's form is filled in with.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
}

payload!(Words, LIMIT, |_| Vec::new());

impl OnPlan {
    pub(super) fn run(&self) -> RunId {
        RunId(self.flow_run_id)
    }

    /// Whether it is about the plan as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.task_operation_index.is_none()
    }

    /// All that is said; what stands in the query and in the body must be the same.
    pub(super) fn say(self, words: Option<Words>, actor: Actor) -> Result<Say, ApiError> {
        let words = words.unwrap_or_default();
        let hash = words.plan_hash.and_then(|hash| hash.parse().ok());
        let mut faults = Vec::new();
        let say = Say {
            actor,
            on: match self.task_operation_index {
                Some(index) => Subject::Gate(TaskKey { index, item: None }),
                None => Subject::Run,
            },
            plan_hash: either("plan_hash", self.plan_hash, hash, &mut faults),
            stage: either("stage", self.stage, words.stage, &mut faults),
            comment: either("comment", self.comment, words.comment, &mut faults),
            answer: words.answer.as_ref().map(Json::of),
        };
        match faults.is_empty() {
            true => Ok(say),
            false => Err(ApiError::Invalid(faults)),
        }
    }
}

fn either<T: PartialEq>(
    field: &'static str,
    query: Option<T>,
    body: Option<T>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => {
            let msg = format!("The query has another `{field}`");
            faults.push(Fault::new(loc!["body", field], "value_error", msg));
            None
        }
        (query, body) => query.or(body),
    }
}
