//! The world expressions run in: what they may call, and what they may cost.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters};

/// Work one evaluation may do. A unit is an instruction or 64 bytes made or read, so this bounds an
/// evaluation to some 16 MB and a few milliseconds.
const FUEL: u64 = 250_000;

/// The most items `range` gives.
const MAX_RANGE: usize = 10_000;

/// The filters expressions may use.
pub(super) const FILTERS: [&str; 38] = [
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

/// Filters that the library brings and expressions may not use: of no use here, or able to repeat a
/// value many times over at no charge (`batch`, `groupby`, `slice`).
const OTHER_FILTERS: [&str; 10] = [
    "attr", "batch", "e", "escape", "format", "groupby", "indent", "pprint", "safe", "slice",
];

/// The tests (`is …`) expressions may use.
pub(super) const TESTS: [&str; 32] = [
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
    environment.add_filter("map", map);
    environment.add_filter("sum", sum);
    environment.add_filter("tojson", tojson);
    environment.add_filter(SCALAR, scalar);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    // Keeps errors free of the values in scope.
    environment.set_debug(false);
    environment
});

/// The filter put on the operands of `*`; see [`super::guard`].
pub(super) const SCALAR: &str = "_scalar";

/// The longest string that `map` hands to every item, in bytes.
const MAX_MAP_TEXT: usize = 1_000;

/// Passes everything but lists and maps. A list times a number would repeat what it holds at the price
/// of a pointer, and turning that into text fills the memory.
fn scalar(value: Value) -> Result<Value, Error> {
    if is_container(&value) {
        Err(invalid("only numbers and strings are multiplied"))
    } else {
        Ok(value)
    }
}

/// `map`, without the ways to give every item the same large value.
fn map(
    state: &mut State,
    value: Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Vec<Value>, Error> {
    for argument in arguments.iter() {
        if argument.is_kwargs() {
            for name in argument.try_iter()? {
                fit_to_repeat(&argument.get_item(&name)?)?;
            }
        } else {
            fit_to_repeat(argument)?;
        }
    }
    filters::map(state, value, arguments)
}

fn fit_to_repeat(value: &Value) -> Result<(), Error> {
    let long = value.as_str().is_some_and(|text| text.len() > MAX_MAP_TEXT);
    if long || is_container(value) {
        Err(invalid("map takes numbers and short strings"))
    } else {
        Ok(())
    }
}

/// `sum`, of numbers only: adding up strings or lists copies all that came before at each step.
fn sum(
    state: &State,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    keywords: Kwargs,
) -> Result<Value, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => keywords.get("attribute")?,
    };
    let start = match start {
        Some(start) => start,
        None => keywords
            .get::<Option<Value>>("start")?
            .unwrap_or(Value::from(0)),
    };
    keywords.assert_all_used()?;
    if !start.is_number() {
        return Err(invalid("sum starts from a number"));
    }
    filters::sum(
        state,
        values,
        attribute,
        Some(start),
        Kwargs::from_iter::<[(String, Value); 0]>([]),
    )
}

/// Fuel a byte of JSON costs: what the library's own `tojson` charges.
const JSON_BYTES_PER_FUEL: u64 = 4;

/// `tojson`, without indentation: its width would be the author's, times the lines, times the depth.
fn tojson(state: &State, value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    if !arguments.is_empty() {
        return Err(invalid("tojson takes no arguments"));
    }
    let none = Kwargs::from_iter::<[(String, Value); 0]>([]);
    let json = filters::tojson(value, None, none)?;
    let length = json.as_str().map_or(0, str::len) as u64;
    state.consume_fuel(length / JSON_BYTES_PER_FUEL)?;
    Ok(json)
}

fn is_container(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::Plain
    )
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `range(end)`, `range(start, end)`, `range(start, end, step)`: at most [`MAX_RANGE`] integers.
fn range(arguments: Rest<i64>) -> Result<Value, Error> {
    let (start, end, step) = match *arguments.0 {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] => (start, end, step),
        _ => return Err(invalid("range takes one to three integers")),
    };
    if step == 0 {
        return Err(invalid("range cannot step by 0"));
    }
    let mut items = Vec::new();
    let mut at = Some(start);
    while let Some(item) = at.filter(|&item| if step > 0 { item < end } else { item > end }) {
        if items.len() == MAX_RANGE {
            return Err(invalid(format!("range gives at most {MAX_RANGE} items")));
        }
        items.push(Value::from(item));
        at = item.checked_add(step);
    }
    Ok(Value::from(items))
}
