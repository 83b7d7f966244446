//! Checks a body against the JSON Schema of its type, so that all its faults are listed at once.

use std::borrow::Cow;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::types::JsonType;
use jsonschema::{PatternOptions, ValidationError, Validator};
use neena_engine::{Fault, Loc};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::MOST_FAULTS;

/// Most bytes of a compiled pattern that a client sent.
const LARGEST_PATTERN: usize = 256 << 10;

/// The compiled schema of one type of body, the same one the OpenAPI document shows; or one that a client sent.
#[derive(Debug)]
pub(crate) struct BodySchema(Validator);

impl BodySchema {
    /// Compiles the schema of `T`; its references resolve to the types it is made of.
    pub(crate) fn of<T: ToSchema>() -> BodySchema {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        let mut document = serde_json::to_value(T::schema()).expect("a schema is JSON");
        document["components"]["schemas"] = parts
            .into_iter()
            .map(|(name, schema)| (name, json!(schema)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&document)
            .expect("the schema of a body type compiles: a test builds every one");
        BodySchema(validator)
    }

    /// Compiles a schema that a client sent, or says what is wrong with it. Patterns are matched in time that
    /// grows with the text only, and nothing is fetched.
    pub(crate) fn compiled(schema: &Value) -> Result<BodySchema, String> {
        jsonschema::draft202012::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(LARGEST_PATTERN))
            .build(schema)
            .map(BodySchema)
            .map_err(|error| error.to_string())
    }

    /// Every fault of `body`, located from its root; a few more than are ever listed at most.
    pub(crate) fn faults(&self, body: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        for error in self.0.iter_errors(body) {
            explain(&error, &mut faults);
            if faults.len() > MOST_FAULTS {
                break;
            }
        }
        faults
    }
}

/// Turns an error of the validator into faults as FastAPI's clients know them.
fn explain(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    let mut loc: Vec<Loc> = error
        .instance_path()
        .segments()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Loc::Field(name.into_owned()),
            LocationSegment::Index(at) => Loc::Index(at),
        })
        .collect();
    if let ValidationErrorKind::Required { property } = error.kind() {
        loc.push(Loc::Field(property.as_str().unwrap_or_default().to_owned()));
    }
    if let ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } =
        error.kind()
        && let Some(branch) = meant(error, context)
    {
        branch.iter().for_each(|inner| explain(inner, faults));
        return;
    }
    let (kind, msg) = word(error);
    faults.push(Fault::new(loc, kind, msg));
}

/// Of the alternatives none of which fits, the one that was most likely meant: of the type that was sent, or
/// else not `null`.
fn meant<'c>(
    error: &ValidationError<'_>,
    context: &'c [Vec<ValidationError<'static>>],
) -> Option<&'c Vec<ValidationError<'static>>> {
    let of_type = |errors: &&Vec<ValidationError<'_>>| {
        errors.iter().all(|inner| {
            !matches!(inner.kind(), ValidationErrorKind::Type { .. })
                || inner.instance_path() != error.instance_path()
        })
    };
    let is_null = |errors: &Vec<ValidationError<'_>>| {
        errors.iter().any(|error| {
            let kind = error.kind();
            matches!(
                kind,
                ValidationErrorKind::Type {
                    kind: TypeKind::Single(JsonType::Null)
                }
            )
        })
    };
    let mut found = context.iter().filter(|errors| !errors.is_empty());
    found
        .clone()
        .find(of_type)
        .or_else(|| found.find(|errors| !is_null(errors)))
}

/// The stable word and the sentence for an error.
fn word(error: &ValidationError<'_>) -> (&'static str, Cow<'static, str>) {
    use ValidationErrorKind as Kind;
    let (kind, msg) = match error.kind() {
        Kind::Required { .. } => return ("missing", "Field required".into()),
        Kind::Type { kind } => return type_word(expected(kind), error.instance()),
        Kind::Format { format } if format == "uuid" => {
            return ("uuid_parsing", "Input should be a valid UUID".into());
        }
        Kind::Format { format } if format == "date-time" => {
            return (
                "datetime_parsing",
                "Input should be a valid RFC 3339 datetime".into(),
            );
        }
        Kind::MinLength { limit: 1 } => (
            "string_too_short",
            "String should have at least 1 character".to_owned(),
        ),
        Kind::MinLength { limit } => (
            "string_too_short",
            format!("String should have at least {limit} characters"),
        ),
        Kind::MaxLength { limit } => (
            "string_too_long",
            format!("String should have at most {limit} characters"),
        ),
        Kind::Minimum { limit } => (
            "greater_than_equal",
            format!("Input should be greater than or equal to {limit}"),
        ),
        Kind::Maximum { limit } => (
            "less_than_equal",
            format!("Input should be less than or equal to {limit}"),
        ),
        Kind::ExclusiveMinimum { limit } => (
            "greater_than",
            format!("Input should be greater than {limit}"),
        ),
        Kind::ExclusiveMaximum { limit } => {
            ("less_than", format!("Input should be less than {limit}"))
        }
        Kind::MinItems { limit } => (
            "too_short",
            format!("List should have at least {limit} items"),
        ),
        Kind::MaxItems { limit } => (
            "too_long",
            format!("List should have at most {limit} items"),
        ),
        Kind::Enum { options } => ("enum", format!("Input should be one of {options}")),
        Kind::Pattern { pattern } => (
            "string_pattern_mismatch",
            format!("String should match the pattern {pattern}"),
        ),
        _ => ("value_error", error.masked().to_string()),
    };
    (kind, msg.into())
}

/// The type that was wanted; where null would do as well, the other one.
fn expected(kind: &TypeKind) -> JsonType {
    match kind {
        TypeKind::Single(single) => *single,
        TypeKind::Multiple(set) => set
            .iter()
            .find(|kind| *kind != JsonType::Null)
            .unwrap_or(JsonType::Null),
    }
}

fn type_word(expected: JsonType, found: &Value) -> (&'static str, Cow<'static, str>) {
    let (kind, msg) = match expected {
        JsonType::String => ("string_type", "Input should be a valid string"),
        JsonType::Integer if found.is_number() => (
            "int_from_float",
            "Input should be a valid integer, not a fraction",
        ),
        JsonType::Integer => ("int_type", "Input should be a valid integer"),
        JsonType::Number => ("float_type", "Input should be a valid number"),
        JsonType::Boolean => ("bool_type", "Input should be a valid boolean"),
        JsonType::Array => ("list_type", "Input should be a valid list"),
        JsonType::Object => ("dict_type", "Input should be a valid dictionary"),
        JsonType::Null => ("none_required", "Input should be null"),
    };
    (kind, msg.into())
}
