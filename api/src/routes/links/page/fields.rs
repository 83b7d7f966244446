//! The form of a gate as fields: for the schema of a flat object, without a script. Other schemas are filled in as JSON.

use neena_engine::{Fault, Loc};
use serde_json::{Map, Number, Value};

use super::escaped;

/// Fields of a page at most.
const MOST: usize = 50;
/// What the names of fields begin with: nothing else of the page can be meant.
const PREFIX: &str = "answer.";

/// What is filled into a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Integer,
    Number,
    Flag,
    /// One of these texts or numbers.
    Choice,
}

/// A property of the object.
struct Field<'s> {
    name: &'s str,
    schema: &'s Value,
    kind: Kind,
    required: bool,
}

/// The fields of a form.
pub(in crate::routes::links) struct Fields<'s>(Vec<Field<'s>>);

/// Words that say more about an object than its properties do.
const WORDS: [&str; 8] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "title",
    "description",
    "$schema",
    "examples",
];

impl<'s> Fields<'s> {
    /// None: it takes more than fields to fill it in.
    pub(in crate::routes::links) fn of(schema: &'s Value) -> Option<Fields<'s>> {
        let object = schema.as_object()?;
        if object.keys().any(|word| !WORDS.contains(&word.as_str())) {
            return None;
        }
        let properties = object.get("properties")?.as_object()?;
        let required: Vec<&str> = match object.get("required") {
            None => Vec::new(),
            Some(names) => names.as_array()?.iter().filter_map(Value::as_str).collect(),
        };
        let known = |name: &&str| properties.contains_key(*name);
        if properties.is_empty() || properties.len() > MOST || !required.iter().all(known) {
            return None;
        }
        let fields = properties.iter().map(|(name, schema)| {
            Some(Field {
                name,
                schema,
                kind: kind(schema)?,
                required: required.contains(&name.as_str()),
            })
        });
        fields.collect::<Option<Vec<_>>>().map(Fields)
    }

    /// What was filled in, as the schema has it. What is no number stays a text: the schema says so then. A field that
    /// is left empty says nothing, unless it must be a text.
    pub(in crate::routes::links) fn read(&self, given: impl Fn(&str) -> Option<String>) -> Value {
        let mut answer = Map::new();
        for field in &self.0 {
            let text = given(&format!("{PREFIX}{}", field.name));
            if let Some(value) = field.read(text) {
                answer.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(answer)
    }

    /// Whether anything was sent for them.
    pub(in crate::routes::links) fn sent(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let mut names = self.0.iter().map(|field| format!("{PREFIX}{}", field.name));
        names.any(|name| is_there(&name))
    }

    /// Whether a fault is told beside a field.
    pub(super) fn tell(&self, fault: &Fault) -> bool {
        self.0.iter().any(|field| is_of(fault, field.name))
    }

    /// As HTML, with what was filled in before and what is wrong with it, each beside its field.
    pub(super) fn html(&self, filled: &Value, faults: &[Fault]) -> String {
        let fields = self.0.iter().enumerate();
        fields
            .map(|(at, field)| {
                let wrong: Vec<&str> = faults
                    .iter()
                    .filter(|fault| is_of(fault, field.name))
                    .map(|fault| fault.msg.as_str())
                    .collect();
                field.html(at, filled.get(field.name), &wrong.join("; "))
            })
            .collect()
    }
}

/// Whether a fault of an answer is about a property.
fn is_of(fault: &Fault, name: &str) -> bool {
    let [body, answer, property, ..] = fault.loc.as_slice() else {
        return false;
    };
    [body, answer, property]
        .into_iter()
        .zip(["body", "answer", name])
        .all(|(step, word)| matches!(step, Loc::Field(field) if field == word))
}

fn kind(schema: &Value) -> Option<Kind> {
    if let Some(choices) = schema.get("enum") {
        let plain = |choice: &Value| choice.is_string() || choice.is_number();
        return choices
            .as_array()?
            .iter()
            .all(plain)
            .then_some(Kind::Choice);
    }
    Some(match schema.get("type")?.as_str()? {
        "string" => Kind::Text,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Flag,
        _ => return None,
    })
}

/// Only what is exact: another one would be a number that nobody filled in.
fn integer(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().map(Number::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Number::from))
        .ok()
}

/// A value as a field shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Field<'_> {
    fn read(&self, text: Option<String>) -> Option<Value> {
        if self.kind == Kind::Flag {
            return match text.as_deref() {
                Some("true") => Some(Value::Bool(true)),
                Some("false") => Some(Value::Bool(false)),
                _ => None,
            };
        }
        let text =
            text.filter(|text| !text.is_empty() || self.kind == Kind::Text && self.required)?;
        Some(match self.kind {
            Kind::Integer => integer(text.trim()).map_or(Value::String(text), Value::Number),
            Kind::Number => {
                let number = text.trim().parse::<Number>();
                number.map_or(Value::String(text), Value::Number)
            }
            Kind::Choice => {
                let mut choices = self.schema["enum"].as_array().into_iter().flatten();
                let chosen = choices.find(|choice| shown(choice) == text).cloned();
                chosen.unwrap_or(Value::String(text))
            }
            // Pages send lines as the web has them.
            Kind::Text | Kind::Flag => Value::String(text.replace("\r\n", "\n")),
        })
    }

    fn html(&self, at: usize, filled: Option<&Value>, wrong: &str) -> String {
        let word = |name: &str| self.schema.get(name).and_then(Value::as_str);
        let filled = filled.or_else(|| self.schema.get("default"));
        let value = filled.map(shown).unwrap_or_default();
        let name = escaped(&format!("{PREFIX}{}", self.name));
        let attributes = format!(
            "id=\"answer{at}\" name=\"{name}\"{}{}",
            // A rejection leaves it empty: the server says where it is needed.
            if self.required {
                " aria-required=\"true\""
            } else {
                ""
            },
            if wrong.is_empty() {
                ""
            } else {
                " aria-invalid=\"true\""
            },
        );
        let input = match self.kind {
            Kind::Flag => self.choice(&attributes, &value, &[("true", "yes"), ("false", "no")]),
            Kind::Choice => {
                let choices = self.schema["enum"].as_array().into_iter().flatten();
                let choices: Vec<String> = choices.map(shown).collect();
                let pairs: Vec<(&str, &str)> = choices
                    .iter()
                    .map(|choice| (choice.as_str(), choice.as_str()))
                    .collect();
                self.choice(&attributes, &value, &pairs)
            }
            Kind::Text => {
                format!(
                    "<textarea {attributes} rows=\"2\">\n{}</textarea>",
                    escaped(&value)
                )
            }
            Kind::Integer | Kind::Number => {
                let mode = if self.kind == Kind::Integer {
                    "numeric"
                } else {
                    "decimal"
                };
                format!(
                    "<input {attributes} type=\"text\" inputmode=\"{mode}\" value=\"{}\">",
                    escaped(&value)
                )
            }
        };
        let needed = if self.required { " (needed)" } else { "" };
        let about = word("description").map_or_else(String::new, |about| {
            format!("<br><small>{}</small>", escaped(about))
        });
        let fault = match wrong {
            "" => String::new(),
            wrong => format!("<br><strong class=\"fault\">{}</strong>", escaped(wrong)),
        };
        format!(
            "<p><label for=\"answer{at}\">{}{needed}:</label>{about}<br>{input}{fault}</p>",
            escaped(word("title").unwrap_or(self.name)),
        )
    }

    /// One of some; none is chosen at first.
    fn choice(&self, attributes: &str, value: &str, pairs: &[(&str, &str)]) -> String {
        let options = pairs.iter().map(|(text, label)| {
            let chosen = if *text == value { " selected" } else { "" };
            format!(
                "<option value=\"{}\"{chosen}>{}</option>",
                escaped(text),
                escaped(label)
            )
        });
        let options: String = options.collect();
        format!("<select {attributes}><option value=\"\"></option>{options}</select>")
    }
}
