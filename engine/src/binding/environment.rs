//! The world expressions run in: what they may call, and what they may cost.

use std::sync::LazyLock;

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

/// Work one evaluation may do. A unit is an instruction or 64 bytes made or read, so this bounds an
/// evaluation to some 16 MB and a few milliseconds.
const FUEL: u64 = 250_000;

/// The most items `range` gives.
const MAX_RANGE: i64 = 10_000;

/// The filters expressions may use.
pub(super) const FILTERS: [&str; 40] = [
    "abs",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];

/// Filters that the library brings and expressions may not use.
const OTHER_FILTERS: [&str; 8] = [
    "attr", "batch", "e", "escape", "format", "indent", "pprint", "safe",
];

/// The tests (`is …`) expressions may use.
pub(super) const TESTS: [&str; 33] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
    "==",
];

/// Tests that the library brings and expressions may not use by name.
const OTHER_TESTS: [&str; 4] = ["escaped", "filter", "safe", "test"];

/// The functions expressions may call.
pub(super) const FUNCTIONS: [&str; 1] = ["range"];

/// Globals that the library brings and expressions may not use.
const OTHER_GLOBALS: [&str; 3] = ["debug", "dict", "namespace"];

/// Made once. It starts from the library's own set rather than an empty one because only filters that
/// the library registers itself charge for the work they do while they do it; a test pins what is left.
pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    OTHER_FILTERS
        .iter()
        .for_each(|name| environment.remove_filter(name));
    OTHER_TESTS
        .iter()
        .for_each(|name| environment.remove_test(name));
    OTHER_GLOBALS
        .iter()
        .for_each(|name| environment.remove_global(name));
    environment.add_function("range", range);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    // Keeps errors free of the values in scope.
    environment.set_debug(false);
    environment
});

/// `range(end)`, `range(start, end)`, `range(start, end, step)`: at most [`MAX_RANGE`] integers.
fn range(arguments: Rest<i64>) -> Result<Value, Error> {
    let (start, end, step) = match *arguments.0 {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] => (start, end, step),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "range takes one to three integers",
            ));
        }
    };
    let mut items = Vec::new();
    let mut at = Some(start);
    while let Some(item) = at {
        if step == 0 || (step > 0 && item >= end) || (step < 0 && item <= end) {
            break;
        }
        if items.len() as i64 == MAX_RANGE {
            let message = format!("range gives at most {MAX_RANGE} items");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        items.push(Value::from(item));
        at = item.checked_add(step);
    }
    if step == 0 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "range cannot step by 0",
        ));
    }
    Ok(Value::from(items))
}
