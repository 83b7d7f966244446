//! What answers are made of: times as the contract prints them, and JSON that is passed through.

use neena_engine::Micros;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A time: RFC 3339 in UTC, six digits and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Micros);

impl Time {
    pub(crate) fn of(micros: i64) -> Time {
        Time(Micros(micros))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let time: Object = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .build();
        time.into()
    }
}

impl ToSchema for Time {}

/// JSON from the database, passed through unparsed; none where the stored text is not JSON, which
/// only damage can cause.
pub(crate) fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text)
        .inspect_err(|error| tracing::error!(%error, "a stored document is not JSON"))
        .ok()
}

/// JSON from the database as a value; the default where the text is not what it should be.
pub(crate) fn parsed<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(%error, "a stored document is not as it was written"))
        .unwrap_or_default()
}
