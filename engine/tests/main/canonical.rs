//! The canonical form: the checked-in vectors, and what holds for every document.

use neena_engine::plan::canonical;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::documents;

/// A line of `vectors/canonical.json`: a document as text, and its canonical form or why it has none.
#[derive(Deserialize)]
struct Vector {
    name: String,
    document: String,
    canonical: Option<String>,
    error: Option<String>,
}

fn answer(document: &str) -> Result<String, &'static str> {
    let value: Value = serde_json::from_str(document).map_err(|_| "not JSON")?;
    canonical(&value).map_err(|_| "too deep")
}

#[test]
fn every_vector_holds() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../vectors/canonical.json")).unwrap();
    assert!(vectors.len() > 40);
    for vector in vectors {
        let answer = answer(&vector.document);
        match (vector.canonical, vector.error) {
            (Some(canonical), None) => {
                assert_eq!(answer.as_deref(), Ok(&*canonical), "{}", vector.name)
            }
            (None, Some(error)) => assert_eq!(answer, Err(&*error), "{}", vector.name),
            _ => panic!("{}: a vector has a canonical form or an error", vector.name),
        }
    }
}

/// Whether two documents say the same: floats by value, integers exactly.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let integers =
                |n: &serde_json::Number| n.as_i64().map(i128::from).or(n.as_u64().map(i128::from));
            match (integers(a), integers(b)) {
                (Some(a), Some(b)) => a == b,
                // A large float becomes an integer that reads as the same float.
                _ => a.as_f64() == b.as_f64(),
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_text_says_what_the_document_says(document in documents()) {
        let text = canonical(&document).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(same(&document, &read), "{document} became {text}");
    }

    #[test]
    fn a_canonical_text_is_its_own_canonical_form(document in documents()) {
        let text = canonical(&document).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical(&read).unwrap(), text);
    }

    #[test]
    fn integers_that_differ_have_texts_that_differ(one in any::<i64>(), other in any::<u64>()) {
        let text = |value: Value| canonical(&value).unwrap();
        prop_assert_ne!(text(one.into()), text(one.wrapping_add(1).into()));
        prop_assert_ne!(text(other.into()), text(other.wrapping_add(1).into()));
    }

    #[test]
    fn floats_read_back_as_the_floats_they_were(float in any::<f64>().prop_filter("JSON has it", |float| float.is_finite())) {
        let text = canonical(&float.into()).unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap(), float);
    }
}
