//! Takes JSON text from outside: everything that could fail later, when an expression looks at the
//! value, fails here, once.

use std::fmt;

use neena_engine::Json;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Nesting deeper than this is refused. Results are wrapped in a few more levels where they are shown
/// or passed on, and serde_json stops at 128.
pub(super) const MAX_DEPTH: u8 = 100;

/// The text as a document; an error in words if it is not JSON, holds a number or text that cannot be
/// read back, or is nested too deep. One pass, nothing is built.
pub(super) fn checked(text: String) -> Result<Json, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    Skim { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Json::trusted(text))
}

/// Whether a text that is known to be JSON is nested no deeper than `depth`.
pub(super) fn is_within(text: &str, depth: u8) -> bool {
    let (mut open, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                open += 1;
                if open > usize::from(depth) {
                    return false;
                }
            }
            b']' | b'}' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Walks over a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Skim {
    depth: u8,
}

impl Skim {
    fn deeper<E: Error>(self) -> Result<Skim, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Skim {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Skim {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skim {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while entries.next_key_seed(inner)?.is_some() {
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn what_an_expression_could_not_read_is_refused_at_the_border() {
        for text in [
            "NaN",
            "1e999",
            r#""\ud800""#,
            "[1,]",
            "1 2",
            "",
            "{\"a\" 1}",
            "\"a\u{1}b\"",
        ] {
            assert!(checked(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_taken_keeps_its_text() {
        for text in [
            "null",
            r#"{"a":[1,-2.5e3,"é\u0000",true]}"#,
            "12345678901234567890123",
            " [ ] ",
        ] {
            assert_eq!(checked(text.to_owned()).unwrap().text(), text);
        }
    }

    #[test]
    fn brackets_count_only_outside_of_texts() {
        for (text, depth) in [
            ("1", 0),
            ("[[],{}]", 2),
            (r#"["[[[\"[[["]"#, 1),
            (r#"{"\\":[0]}"#, 2),
        ] {
            assert!(is_within(text, depth), "{text}");
            assert!(depth == 0 || !is_within(text, depth - 1), "{text}");
        }
    }

    #[test]
    fn nesting_is_an_error_past_the_limit_and_never_a_crash() {
        assert!(checked(nested(usize::from(MAX_DEPTH))).is_ok());
        assert!(checked(nested(usize::from(MAX_DEPTH) + 1)).is_err());
        let error = checked("{\"a\":".repeat(200_000)).unwrap_err();
        assert!(error.to_string().contains("deeper"), "{error}");
    }
}
