//! A list of things that one call makes or decides.

use neena_engine::{Fault, Loc};
use serde::Deserialize;
use utoipa::openapi::schema::{ArrayBuilder, Ref};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Most things of one call.
pub(crate) const MOST: usize = 1_000;
/// Most bytes of its body.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// Things of one kind, each as a call about one of them takes it.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Many<T>(pub(crate) Vec<T>);

impl<T: ToSchema> PartialSchema for Many<T> {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(Ref::from_schema_name(T::name()))
            .max_items(Some(MOST))
            .build()
            .into()
    }
}

impl<T: ToSchema> ToSchema for Many<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// The faults of the thing at `place` of the body, which are located as if it were the body.
pub(crate) fn at(place: usize, mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        let after = fault.loc.len().min(1);
        fault.loc.insert(after, Loc::Index(place));
    }
    faults
}
