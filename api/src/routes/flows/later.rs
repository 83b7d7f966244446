//! Fields that a later version will read, and settings of policies that none reads: refused by name, so that
//! nothing asked for is silently left out.

use neena_engine::{Fault, Loc, loc};
use serde_json::Value;

use crate::policies::later_settings;

/// Fields of a flow that mean nothing yet.
const OF_FLOW: [&str; 3] = ["max_concurrent_runs", "concurrency_key", "priority"];

/// Fields of an operation that mean nothing yet.
const OF_OPERATION: [&str; 4] = ["for_each", "max_parallel", "cache_seconds", "rollback"];

/// Every use of such a field in a posted flow.
pub(super) fn later_fields(flow: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    named(flow, &OF_FLOW, Vec::new, &mut faults);
    later_settings(&flow["approval"], || loc!["approval"], &mut faults);
    let operations = flow["task_operations"].as_array().into_iter().flatten();
    for (at, operation) in operations.enumerate() {
        named(
            operation,
            &OF_OPERATION,
            || loc!["task_operations", at],
            &mut faults,
        );
        let gate = || loc!["task_operations", at, "approval"];
        later_settings(&operation["approval"], gate, &mut faults);
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
            faults.push(Fault::new(
                loc,
                "not_supported",
                format!("`{field}` is not supported by this version"),
            ));
        }
    }
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
            json!("none"),
            json!({"mode": "required", "count": 1}),
            json!({"stages": [{"name": "team", "count": 2, "approvers": ["group:team"]}]}),
        ] {
            let flow = json!({"approval": approval, "task_operations": [
                {"for_each": null, "approval": approval},
            ]});
            assert_eq!(later_fields(&flow), []);
        }
    }

    #[test]
    fn what_is_read_later_or_by_nobody_is_named_with_its_place() {
        let flow = json!({
            "priority": 3,
            "approval": {"mode": "required", "counts": 2, "stages": [{"title": "x"}]},
            "task_operations": [{}, {"for_each": "[1]", "rollback": {}, "approval": {"form": {}}}],
        });
        let found: Vec<_> = later_fields(&flow)
            .into_iter()
            .map(|fault| fault.loc)
            .collect();
        let expected = [
            loc!["priority"],
            loc!["approval", "counts"],
            loc!["approval", "stages", 0, "title"],
            loc!["task_operations", 1, "for_each"],
            loc!["task_operations", 1, "rollback"],
            loc!["task_operations", 1, "approval", "form"],
        ];
        assert_eq!(found, expected);
    }
}
