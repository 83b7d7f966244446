//! The JSON body of a request: read within its limit, checked as a whole, then decoded.

use axum::body::{Body as Stream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use futures_util::StreamExt;
use neena_engine::{Fault, Loc, loc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use utoipa::ToSchema;

use super::exact::first_unfit_integer;
use super::{BodySchema, offset};
use crate::admission::Turn;
use crate::error::ApiError;
use crate::offload::offload;

/// Bodies up to this size are checked where they are read; larger ones on a thread for such work.
pub(super) const SMALL: usize = 64 << 10;

/// A type that a request's body is decoded to. [`payload!`] implements it.
pub(crate) trait Payload: DeserializeOwned + ToSchema + Send + 'static {
    /// Most bytes a body of it may have.
    const LIMIT: usize;

    /// Its compiled schema.
    fn checks() -> &'static BodySchema;

    /// Faults its schema cannot tell, looked for before it is decoded.
    fn more_faults(_body: &Value) -> Vec<Fault> {
        Vec::new()
    }
}

/// Implements [`Payload`] for a type whose bodies are at most `limit` bytes (1 MiB unless given).
macro_rules! payload {
    ($type:ty) => {
        $crate::extract::payload!($type, 1 << 20, |_| Vec::new());
    };
    ($type:ty, $limit:expr, $more:expr) => {
        impl $crate::extract::Payload for $type {
            const LIMIT: usize = $limit;

            fn checks() -> &'static $crate::extract::BodySchema {
                static SCHEMA: std::sync::LazyLock<$crate::extract::BodySchema> =
                    std::sync::LazyLock::new($crate::extract::BodySchema::of::<$type>);
                &SCHEMA
            }

            fn more_faults(body: &serde_json::Value) -> Vec<neena_engine::Fault> {
                let more: fn(&serde_json::Value) -> Vec<neena_engine::Fault> = $more;
                more(body)
            }
        }
    };
}
pub(crate) use payload;

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: Payload, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Body<T>, ApiError> {
        let bytes = read(request, T::LIMIT).await?;
        offload(bytes.len() > SMALL, move || decode(&parse(&bytes)?))
            .await?
            .map(Body)
    }
}

/// A decoded body, where there is one.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub(crate) Option<T>);

impl<T: Payload, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<OptionalBody<T>, ApiError> {
        let bytes = read(request, T::LIMIT).await?;
        if bytes.is_empty() {
            return Ok(OptionalBody(None));
        }
        offload(bytes.len() > SMALL, move || decode(&parse(&bytes)?))
            .await?
            .map(|body| OptionalBody(Some(body)))
    }
}

/// The bytes of a JSON body of at most `limit` bytes; with them at hand the request takes its turn.
pub(super) async fn read(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let (parts, stream) = request.into_parts();
    let bytes = collect(&parts.headers, stream, limit).await?;
    if !bytes.is_empty() {
        check_type(&parts.headers)?;
    }
    if let Some(turn) = parts.extensions.get::<Turn>() {
        turn.take().await?;
    }
    Ok(bytes)
}

async fn collect(headers: &HeaderMap, stream: Stream, limit: usize) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or(0);
    if announced > limit as u64 {
        return Err(ApiError::TooLarge(limit));
    }
    let mut stream = stream.into_data_stream();
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| ApiError::Unreadable)?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// A body must say that it is JSON and must not be compressed: nothing is guessed.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(ApiError::NotJson("Compressed bodies are not supported"));
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    let kind = kind
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let json = kind == "application/json"
        || kind
            .strip_prefix("application/")
            .is_some_and(|rest| rest.ends_with("+json"));
    if json {
        Ok(())
    } else {
        Err(ApiError::NotJson("The body should be application/json"))
    }
}

/// The JSON value of a body; none at all is a missing one.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::fault(Fault::new(
            loc!["body"],
            "missing",
            "Field required",
        )));
    }
    let value = serde_json::from_slice(bytes).map_err(|error| {
        let at = offset::of(bytes, &error);
        ApiError::fault(Fault::new(
            loc!["body", at],
            "json_invalid",
            format!("JSON decode error: {error}"),
        ))
    })?;
    match first_unfit_integer(bytes) {
        Some(place) => Err(ApiError::fault(Fault::new(
            loc!["body", place.start],
            "int_out_of_range",
            "An integer has at most 64 bits; send a larger one as a string",
        ))),
        None => Ok(value),
    }
}

/// Decodes the value of a body, or lists everything that is wrong with it.
pub(super) fn decode<T: Payload>(value: &Value) -> Result<T, ApiError> {
    checked(value).map_err(|faults| ApiError::Invalid(within("body", faults)))
}

/// Decodes a value, or lists everything that is wrong with it, located from its root.
pub(crate) fn checked<T: Payload>(value: &Value) -> Result<T, Vec<Fault>> {
    let mut faults = T::checks().faults(value);
    faults.extend(T::more_faults(value));
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let loc = steps(error.path());
        vec![Fault::new(
            loc,
            "value_error",
            error.into_inner().to_string(),
        )]
    })
}

/// The faults, located from `part` of the request.
pub(crate) fn within(part: &'static str, mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        fault.loc.insert(0, Loc::from(part));
    }
    faults
}

fn steps(path: &Path) -> Vec<Loc> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Loc::Index(*index)),
            Segment::Map { key } => Some(Loc::Field(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}
