//! The query of a request, read strictly: every fault listed, nothing guessed.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use neena_engine::hash::Hash;
use neena_engine::{Fault, loc};
use uuid::Uuid;

use crate::error::ApiError;

/// Parameters that a query is read to.
pub(crate) trait QueryParameters: Sized {
    /// Takes its parameters; none where one of them has a fault.
    fn read(pairs: &mut Pairs) -> Option<Self>;
}

/// A query that was read. Parameters it does not know are ignored.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: QueryParameters, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, ApiError> {
        let mut pairs = Pairs::of(parts.uri.query().unwrap_or(""));
        match T::read(&mut pairs) {
            Some(parameters) if pairs.faults.is_empty() => Ok(Query(parameters)),
            _ => Err(ApiError::Invalid(pairs.faults)),
        }
    }
}

/// The pairs of a query, and the faults found while reading them.
#[derive(Debug)]
pub(crate) struct Pairs {
    pairs: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Pairs {
    fn of(query: &str) -> Pairs {
        Pairs {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            faults: Vec::new(),
        }
    }

    /// An id that must be there.
    pub(crate) fn id(&mut self, name: &'static str) -> Option<Uuid> {
        match self.text(name)? {
            Some(text) => self.uuid(name, &text),
            None => self.fault(name, "missing", "Field required"),
        }
    }

    /// A text that must be there.
    pub(crate) fn word(&mut self, name: &'static str) -> Option<String> {
        match self.text(name)? {
            Some(text) => Some(text),
            None => self.fault(name, "missing", "Field required"),
        }
    }

    /// An id, where it is there.
    pub(crate) fn maybe_id(&mut self, name: &'static str) -> Option<Option<Uuid>> {
        match self.text(name)? {
            Some(text) => self.uuid(name, &text).map(Some),
            None => Some(None),
        }
    }

    /// A whole number within `range`; `default` where it is not there.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let Some(text) = self.text(name)? else {
            return Some(default);
        };
        let Ok(number) = text.parse::<i128>() else {
            let msg = "Input should be a valid integer";
            return self.fault(name, "int_parsing", msg);
        };
        if number < i128::from(*range.start()) {
            let msg = format!("Input should be greater than or equal to {}", range.start());
            return self.fault(name, "greater_than_equal", msg);
        }
        if number > i128::from(*range.end()) {
            let msg = format!("Input should be less than or equal to {}", range.end());
            return self.fault(name, "less_than_equal", msg);
        }
        u64::try_from(number).ok()
    }

    /// A SHA-256 hash, where it is there.
    pub(crate) fn hash(&mut self, name: &'static str) -> Option<Option<Hash>> {
        let Some(text) = self.text(name)? else {
            return Some(None);
        };
        match text.parse() {
            Ok(hash) => Some(Some(hash)),
            Err(_) => self.fault(
                name,
                "hash_parsing",
                "Input should be 64 hexadecimal digits",
            ),
        }
    }

    /// An `index` of a flow, where it is there.
    pub(crate) fn index(&mut self, name: &'static str) -> Option<Option<u32>> {
        if self.text(name)?.is_none() {
            return Some(None);
        }
        let index = self.number(name, 0, 0..=i32::MAX as u64)?;
        Some(u32::try_from(index).ok())
    }

    /// A text of at most so many characters, none of them U+0000, where it is there.
    pub(crate) fn words(&mut self, name: &'static str, most: usize) -> Option<Option<String>> {
        let Some(text) = self.text(name)? else {
            return Some(None);
        };
        if text.chars().count() > most {
            let msg = format!("String should have at most {most} characters");
            return self.fault(name, "string_too_long", msg);
        }
        if text.contains('\0') {
            let msg = "String should not contain U+0000";
            return self.fault(name, "string_pattern_mismatch", msg);
        }
        Some(Some(text))
    }

    /// The text of a parameter, if it is there once.
    fn text(&mut self, name: &'static str) -> Option<Option<String>> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        let first = values.next().cloned();
        if values.next().is_some() {
            return self.fault(name, "repeated", "Parameter should be given once");
        }
        Some(first)
    }

    /// Only the hyphenated form is an id: one thing has one name.
    fn uuid(&mut self, name: &'static str, text: &str) -> Option<Uuid> {
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Some(id),
            _ => self.fault(name, "uuid_parsing", "Input should be a valid UUID"),
        }
    }

    fn fault<T>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        msg: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Fault::new(loc!["query", name], kind, msg));
        None
    }
}

/// Both parts are read, so that the faults of both are listed.
impl<A: QueryParameters, B: QueryParameters> QueryParameters for (A, B) {
    fn read(pairs: &mut Pairs) -> Option<(A, B)> {
        let (a, b) = (A::read(pairs), B::read(pairs));
        Some((a?, b?))
    }
}
