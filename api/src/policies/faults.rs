//! What can be wrong with a policy that its schema cannot tell.

use neena_engine::approval::{Audience, StageSpec};
use neena_engine::{Fault, Loc, loc};
use serde_json::Value;

use super::body::{Settings, anyone};
use crate::forms;

/// The settings of a policy.
pub(super) const OF_POLICY: &[&str] = &[
    "mode",
    "count",
    "approvers",
    "stages",
    "distinct_from_requester",
    "distinct_from_author",
    "distinct_approvers",
    "reason_required",
    "expires_in_seconds",
    "on_expiry",
    "escalate_to",
    "remind_before_seconds",
    "standing",
    "input",
];

/// The settings of a stage.
pub(super) const OF_STAGE: &[&str] = &["name", "count", "approvers"];

/// Most characters of an approver, as written.
const LONGEST: usize = 320;
/// Longest time before an expiry, in seconds.
const LONGEST_TIME: f64 = 31_536_000.0;

/// The fields of an object that are none of `known`.
pub(super) fn unknown(
    object: &Value,
    at: &impl Fn() -> Vec<Loc>,
    known: &[&str],
    found: &mut Vec<Fault>,
) {
    for field in object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(field, _)| field)
    {
        if !known.contains(&&**field) {
            let loc = [at(), loc![field.as_str()]].concat();
            found.push(Fault::new(loc, "not_supported", "There is no such setting"));
        }
    }
}

/// What does not go together.
pub(super) fn of(settings: &Settings) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut fault = |loc: Vec<Loc>, kind, msg: &str| found.push(Fault::new(loc, kind, msg));
    if let Some(stages) = &settings.stages {
        for (field, given) in [
            ("count", settings.count.is_some()),
            ("approvers", settings.approvers.is_some()),
        ] {
            if given {
                let msg = "Either `stages`, or `count` and `approvers` of a single one";
                fault(loc![field], "value_error", msg);
            }
        }
        for (place, stage) in stages.iter().enumerate() {
            let at = || loc!["stages", place, "name"];
            match &stage.name {
                None if stages.len() > 1 => fault(at(), "missing", "Field required"),
                None => {}
                Some(name)
                    if stages[..place]
                        .iter()
                        .any(|other| other.name.as_ref() == Some(name)) =>
                {
                    fault(at(), "value_error", "Another stage has this name");
                }
                Some(_) => {}
            }
        }
    }
    let times = settings.remind_before_seconds.iter().flatten();
    for (place, seconds) in times.enumerate() {
        let seconds = seconds.as_f64().unwrap_or(-1.0);
        if !(seconds > 0.0 && seconds <= LONGEST_TIME) {
            let msg = "Input should be greater than 0 and at most a year";
            fault(loc!["remind_before_seconds", place], "greater_than", msg);
        }
    }
    if let Some(Err(reason)) = settings.input.as_ref().map(forms::check) {
        fault(loc!["input"], "bad_schema", &reason);
    }
    found
}

/// The people that `words` name.
pub(super) fn audience(words: &[String], at: &[Loc], found: &mut Vec<Fault>) -> Audience {
    let too_long = |word: &String| word.chars().count() > LONGEST || word.contains('\0');
    let mut wrong: Vec<usize> = Vec::new();
    wrong.extend(
        words
            .iter()
            .enumerate()
            .filter(|(_, word)| too_long(word))
            .map(|(at, _)| at),
    );
    let audience = match Audience::parse(words) {
        Ok(audience) => audience,
        Err(others) => {
            wrong.extend(others);
            anyone()
        }
    };
    wrong.sort_unstable();
    wrong.dedup();
    for place in wrong {
        let msg = "Input should be an e-mail, `group:…` or `permission:…`";
        found.push(Fault::new(
            [at, &[place.into()]].concat(),
            "value_error",
            msg,
        ));
    }
    audience
}

/// Stages that ask for more approvals than they name people.
pub(super) fn unfillable(stages: &[StageSpec], settings: &Settings, found: &mut Vec<Fault>) {
    for (place, stage) in stages.iter().enumerate() {
        let approvers = &stage.approvers;
        let counted = approvers.groups.is_empty() && approvers.permissions.is_empty();
        let alone = settings.escalate_to.is_none();
        if counted
            && alone
            && !approvers.is_anyone()
            && (stage.count as usize) > approvers.users.len()
        {
            let loc = match settings.stages {
                Some(_) => loc!["stages", place, "count"],
                None => loc!["count"],
            };
            let msg = "Input should be at most the number of approvers";
            found.push(Fault::new(loc, "less_than_equal", msg));
        }
    }
}
