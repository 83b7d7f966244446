//! JSON Schemas that come from clients: what an approver fills in, and what a request may be. Each is checked
//! where it is posted, so that no schema can make a later check run long or away.

use std::collections::HashMap;
use std::sync::Arc;

use moka::sync::Cache;
use neena_engine::{Fault, Hash};
use serde_json::Value;

use crate::extract::BodySchema;

/// The kind of fault of an answer that nobody asked for.
pub(crate) const UNASKED: &str = "not_asked";

/// Most bytes of a schema.
const LARGEST: usize = 16 << 10;

/// Most parts of a schema, each counted as often as references repeat it.
const MOST_PARTS: u64 = 4_096;

/// Most levels of a schema, references followed.
const DEEPEST: usize = 64;

/// Compiled schemas kept.
const REMEMBERED: u64 = 256;

/// Compiled schemas, by the hash of their text.
#[derive(Clone, Debug)]
pub(crate) struct Forms(Cache<Hash, Arc<BodySchema>>);

impl Forms {
    pub(crate) fn new() -> Forms {
        Forms(Cache::new(REMEMBERED))
    }

    /// What is wrong with `answer`, the text of a JSON document, by a schema that was checked before.
    pub(crate) fn faults(&self, schema: &Value, answer: &str) -> Vec<Fault> {
        let name = Hash::of(schema.to_string().as_bytes());
        let form = match self.0.get(&name) {
            Some(form) => form,
            None => match BodySchema::compiled(schema) {
                Ok(form) => {
                    let form = Arc::new(form);
                    self.0.insert(name, Arc::clone(&form));
                    form
                }
                Err(reason) => return vec![Fault::new(Vec::new(), "bad_schema", reason)],
            },
        };
        match serde_json::from_str(answer) {
            Ok(answer) => form.faults(&answer),
            Err(error) => vec![Fault::new(Vec::new(), "json_invalid", error.to_string())],
        }
    }
}

/// Why `schema` is none that can be asked with: a JSON Schema (2020-12) of an object, self-contained, and of
/// bounded work.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    if schema.get("type") != Some(&Value::from("object")) {
        return Err("Input should be a JSON Schema whose `type` is `object`".to_owned());
    }
    if schema.to_string().len() > LARGEST {
        return Err(format!("A schema has at most {LARGEST} bytes"));
    }
    let mut walk = Walk {
        schema,
        seen: HashMap::new(),
    };
    if walk.size(schema, 0)?.parts > MOST_PARTS {
        return Err(format!(
            "A schema has at most {MOST_PARTS} parts, those that are referred to counted each time"
        ));
    }
    BodySchema::compiled(schema).map(drop)
}

/// How large a part of a schema is, with what it refers to.
#[derive(Clone, Copy)]
struct Size {
    parts: u64,
    height: usize,
}

/// Measures a schema whose references lead to parts of it, and never back to where they stand.
struct Walk<'s> {
    schema: &'s Value,
    /// What is referred to; none while it is measured.
    seen: HashMap<&'s str, Option<Size>>,
}

impl<'s> Walk<'s> {
    fn size(&mut self, part: &'s Value, depth: usize) -> Result<Size, String> {
        too_deep(depth)?;
        let mut size = Size {
            parts: 1,
            height: 1,
        };
        match part {
            Value::Array(members) => {
                for member in members {
                    size.add(self.size(member, depth + 1)?);
                }
            }
            Value::Object(members) => {
                for (word, member) in members {
                    if member.is_string() {
                        size.parts += weight(word)?;
                    }
                    size.add(self.size(member, depth + 1)?);
                }
                if let Some(Value::String(reference)) = members.get("$ref") {
                    size.add(self.referred(reference, depth + 1)?);
                }
            }
            _ => {}
        }
        Ok(size)
    }

    fn referred(&mut self, reference: &'s str, depth: usize) -> Result<Size, String> {
        match self.seen.get(reference) {
            Some(Some(size)) => {
                too_deep(depth + size.height)?;
                return Ok(*size);
            }
            Some(None) => return Err(format!("`{reference}` refers to itself")),
            None => {}
        }
        let pointer = reference.strip_prefix('#');
        let target = pointer.and_then(|pointer| self.schema.pointer(pointer));
        let target = target.ok_or_else(|| {
            format!("`{reference}` leads nowhere: a reference is `#/…`, within the schema")
        })?;
        self.seen.insert(reference, None);
        let size = self.size(target, depth)?;
        self.seen.insert(reference, Some(size));
        Ok(size)
    }
}

impl Size {
    fn add(&mut self, inner: Size) {
        self.parts = self.parts.saturating_add(inner.parts);
        self.height = self.height.max(inner.height + 1);
    }
}

/// What a word with a string costs beside being there.
fn weight(word: &str) -> Result<u64, String> {
    match word {
        "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" => {
            Err(format!("`{word}` is not supported in a schema here"))
        }
        "pattern" => Ok(40),
        _ => Ok(0),
    }
}

fn too_deep(depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("A schema is at most {DEEPEST} levels deep"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(properties: Value) -> Value {
        json!({"type": "object", "properties": properties, "required": ["amount"]})
    }

    #[test]
    fn what_does_not_fit_is_located_in_the_answer() {
        let schema = of(json!({"amount": {"type": "integer", "minimum": 1}}));
        assert_eq!(check(&schema), Ok(()));
        let forms = Forms::new();
        assert_eq!(forms.faults(&schema, r#"{"amount": 3}"#), []);
        let found = forms.faults(&schema, r#"{"amount": 0}"#);
        assert_eq!(found[0].loc, neena_engine::loc!["amount"]);
        assert_eq!(forms.faults(&schema, "{}")[0].kind, "missing");
    }

    #[test]
    fn schemas_of_others_than_objects_or_with_flaws_are_refused() {
        for schema in [
            json!({"type": "string"}),
            json!({}),
            json!(true),
            of(json!({"amount": {"type": "whole"}})),
            of(json!({"amount": {"pattern": "("}})),
            of(json!({"amount": {"$ref": "https://example.com/a.json"}})),
            of(json!({"amount": {"$ref": "other.json"}})),
            of(json!({"amount": {"$ref": "#/$defs/none"}})),
            of(json!({"amount": {"$id": "http://example.com/", "$ref": "#"}})),
            of(json!({"amount": {"description": "x".repeat(LARGEST)}})),
        ] {
            assert!(check(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn references_that_lead_back_or_multiply_are_refused() {
        let own = json!({"type": "object", "allOf": [{"$ref": "#"}]});
        assert!(check(&own).is_err());
        let tree = json!({"type": "object", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}},
            "properties": {"a": {"$ref": "#/$defs/a"}}});
        assert!(check(&tree).is_err());
        let mut defs = json!({"d0": {"type": "integer"}});
        for at in 1..40 {
            let before = json!({"$ref": format!("#/$defs/d{}", at - 1)});
            defs[format!("d{at}")] = json!({"allOf": [before, before]});
        }
        let many =
            json!({"type": "object", "$defs": defs, "properties": {"a": {"$ref": "#/$defs/d39"}}});
        assert!(check(&many).is_err());
    }

    #[test]
    fn a_pattern_takes_no_longer_than_its_text() {
        let schema = of(json!({"amount": {"type": "string", "pattern": "^(a+)+$"}}));
        assert_eq!(check(&schema), Ok(()));
        let answer = json!({"amount": "a".repeat(5_000) + "!"}).to_string();
        assert_eq!(Forms::new().faults(&schema, &answer).len(), 1);
    }
}
