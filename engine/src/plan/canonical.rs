//! The canonical form of a JSON document: RFC 8785, with integers written exactly.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::{Number, Value};

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 64;

/// Why a document has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The one text of a document: members sorted by the UTF-16 code units of their names, no white
/// space, the shortest form of every string and number.
///
/// Stock RFC 8785 passes every number through a double, so 9007199254740993 and …992 come out alike
/// and two plans would share a hash. Here what fits an `i64` or `u64` keeps all its digits.
pub fn canonical(value: &Value) -> Result<String, CanonicalError> {
    let mut out = String::new();
    write_value(&mut out, value, 0)?;
    Ok(out)
}

/// Appends the canonical form of a value that stands `depth` levels down.
pub(super) fn write_value(
    out: &mut String,
    value: &Value,
    depth: usize,
) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            let depth = deeper(depth)?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item, depth)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let depth = deeper(depth)?;
            // Sorted here, whatever order serde_json was built to keep.
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| by_utf16(a, b));
            out.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, name);
                out.push(':');
                write_value(out, member, depth)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Orders names by UTF-16 code units. Up to U+D7FF that is the order of the bytes; past it, a character
/// that takes two units (U+10000 …) comes before one of U+E000 to U+FFFF.
fn by_utf16(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        a.cmp(b)
    } else {
        a.encode_utf16().cmp(b.encode_utf16())
    }
}

fn deeper(depth: usize) -> Result<usize, CanonicalError> {
    if depth == MAX_DEPTH {
        Err(CanonicalError::TooDeep)
    } else {
        Ok(depth + 1)
    }
}

fn write_number(out: &mut String, number: &Number) {
    if let Some(integer) = number.as_i64() {
        push(out, integer);
    } else if let Some(integer) = number.as_u64() {
        push(out, integer);
    } else if let Some(float) = number.as_f64() {
        // As ECMAScript prints it: 1.0 is 1, -0 is 0, 1e21 is 1e+21.
        out.push_str(ryu_js::Buffer::new().format(float));
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            push(out, format_args!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends what cannot fail to be written: a `String` takes everything.
fn push(out: &mut String, what: impl std::fmt::Display) {
    let _ = write!(out, "{what}");
}
