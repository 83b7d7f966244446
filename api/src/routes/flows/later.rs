//! Fields that a later version will read: refused by name, so that nothing asked for is silently left out.

use neena_engine::{Fault, Loc, loc};
use serde_json::Value;

/// Fields of a flow that mean nothing yet.
const OF_FLOW: [&str; 3] = ["max_concurrent_runs", "concurrency_key", "priority"];

/// Fields of an operation that mean nothing yet.
const OF_OPERATION: [&str; 5] = [
    "for_each",
    "max_parallel",
    "approval",
    "cache_seconds",
    "rollback",
];

/// Every use of such a field in a posted flow.
pub(super) fn later_fields(flow: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    named(flow, &OF_FLOW, Vec::new, &mut faults);
    approval(&flow["approval"], &mut faults);
    let operations = flow["task_operations"].as_array().into_iter().flatten();
    for (at, operation) in operations.enumerate() {
        named(
            operation,
            &OF_OPERATION,
            || loc!["task_operations", at],
            &mut faults,
        );
    }
    faults
}

fn named(
    object: &Value,
    fields: &[&'static str],
    within: impl Fn() -> Vec<Loc>,
    faults: &mut Vec<Fault>,
) {
    for field in fields {
        if object.get(field).is_some_and(|value| !value.is_null()) {
            let mut loc = within();
            loc.push(Loc::from(*field));
            faults.push(not_supported(loc, field));
        }
    }
}

/// The one policy there is: one approval, whatever way it is written.
fn approval(policy: &Value, faults: &mut Vec<Fault>) {
    let (mode, settings) = match policy {
        Value::Null => return,
        Value::String(mode) => (Some(mode.as_str()), None),
        Value::Object(settings) => (
            settings.get("mode").map_or(Some("required"), Value::as_str),
            Some(settings),
        ),
        _ => (None, None),
    };
    let (place, wanted) = match settings {
        Some(_) => (loc!["approval", "mode"], "Input should be `required`"),
        None => (
            loc!["approval"],
            "Input should be `required` or an object with that `mode`",
        ),
    };
    match mode {
        Some("required") => {}
        Some("none") => {
            faults.push(not_supported(place, "approval: none"));
            return;
        }
        _ => {
            faults.push(Fault::new(place, "enum", wanted));
            return;
        }
    }
    for (setting, value) in settings.into_iter().flatten() {
        let known = match setting.as_str() {
            "mode" => true,
            "count" => *value == 1,
            "approvers" | "distinct_from_requester" | "expires_in_seconds" | "on_expiry" => {
                value.is_null()
            }
            _ => true,
        };
        if !known {
            faults.push(not_supported(loc!["approval", setting.as_str()], setting));
        }
    }
}

fn not_supported(loc: Vec<Loc>, field: &str) -> Fault {
    Fault::new(
        loc,
        "not_supported",
        format!("`{field}` is not supported by this version"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_now_or_null_is_no_fault() {
        for approval in [
            json!(null),
            json!("required"),
            json!({"mode": "required", "count": 1}),
        ] {
            let flow = json!({"approval": approval, "task_operations": [{"for_each": null}]});
            assert_eq!(later_fields(&flow), []);
        }
    }

    #[test]
    fn what_is_read_later_is_named_with_its_place() {
        let flow = json!({
            "priority": 3,
            "approval": {"mode": "required", "count": 2},
            "task_operations": [{}, {"for_each": "[1]", "rollback": {}}],
        });
        let found: Vec<_> = later_fields(&flow)
            .into_iter()
            .map(|fault| fault.loc)
            .collect();
        let expected = [
            loc!["priority"],
            loc!["approval", "count"],
            loc!["task_operations", 1, "for_each"],
            loc!["task_operations", 1, "rollback"],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_mode_that_is_none_is_faulted_at_the_mode() {
        for (approval, place) in [
            (json!({"mode": 5}), loc!["approval", "mode"]),
            (json!({"mode": "none"}), loc!["approval", "mode"]),
            (json!("sometimes"), loc!["approval"]),
        ] {
            assert_eq!(later_fields(&json!({"approval": approval}))[0].loc, place);
        }
    }

    #[test]
    fn a_policy_that_is_none_is_told_from_one_that_is_no_policy() {
        let kind = |approval| later_fields(&json!({"approval": approval}))[0].kind;
        assert_eq!(kind(json!("none")), "not_supported");
        assert_eq!(kind(json!("whenever")), "enum");
        assert_eq!(kind(json!(3)), "enum");
    }
}
