//! The only place that knows status codes: every error of a handler becomes one `{"detail": …}` answer.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use neena_engine::Fault;
use neena_store::StoreError;
use sea_orm::DbErr;
use serde_json::{Value, json};

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Most faults listed in one answer; one more says that there were others.
pub(crate) const MOST_FAULTS: usize = 1_000;

/// Why a request is not answered with a 200.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or one that does not hold.
    #[error("Not authenticated")]
    Unauthorized,
    /// A permission or a rule forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// An id in path or query that is unknown, deleted or another organization's. Names the kind of thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The `plan_hash` sent is not the run's.
    #[error("The run's plan has another hash")]
    StalePlan,
    /// The request could not be read to its end.
    #[error("The request could not be read to its end")]
    Unreadable,
    /// The body is larger than this many bytes.
    #[error("The body is larger than {0} bytes")]
    TooLarge(usize),
    /// There is a body, and it is not JSON.
    #[error("{0}")]
    NotJson(&'static str),
    /// Faults of the body or the query, each with its place.
    #[error("{} faults", .0.len())]
    Invalid(Vec<Fault>),
    /// Not now: later.
    #[error("{0}")]
    Overloaded(Overload),
    /// The caller asked for too much; not before so long.
    #[error("Too many requests; try again later")]
    TooMany(Duration),
    /// A fault of ours; logged where it is turned into an answer, never shown.
    #[error("{0}")]
    Internal(String),
    /// The answer that was given to the same request before (`Idempotency-Key`).
    #[error("answered before")]
    Repeated { status: StatusCode, body: String },
}

/// Why a request is not served now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// Too many are being served.
    #[error("Overloaded; try again in a moment")]
    Queue,
    /// The database is away, or others are in the way. Nothing was written.
    #[error("Overloaded; try again in a moment")]
    Database,
    /// The database has no room: it can still be read. Nothing was written.
    #[error("The database is full; nothing was written")]
    Full,
    /// The database's answer was lost.
    #[error(
        "Whether it was done is not known; look, or ask again, a POST under the same Idempotency-Key"
    )]
    Unknown,
}

impl Overload {
    /// Why, in a word, as metrics have it.
    fn reason(self) -> &'static str {
        match self {
            Overload::Queue => "queue",
            Overload::Database => "database",
            Overload::Full => "full",
            Overload::Unknown => "unknown",
        }
    }

    /// After how many seconds it is worth asking again.
    fn retry_after(self) -> u64 {
        match self {
            Overload::Queue | Overload::Database | Overload::Unknown => 1,
            Overload::Full => 10,
        }
    }
}

impl ApiError {
    /// One fault.
    pub(crate) fn fault(fault: Fault) -> ApiError {
        ApiError::Invalid(vec![fault])
    }

    /// The status and the `detail` by which what was asked is refused; the error itself where it is no refusal, but
    /// says that nothing can be answered now.
    pub(crate) fn refusal(self) -> Result<(StatusCode, Value), ApiError> {
        let status = match self {
            ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::Conflict(_) => StatusCode::CONFLICT,
            ApiError::StalePlan => StatusCode::PRECONDITION_FAILED,
            ApiError::Invalid(faults) => {
                return Ok((StatusCode::UNPROCESSABLE_ENTITY, listed(faults)));
            }
            other => return Err(other),
        };
        Ok((status, Value::from(self.to_string())))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let overload = match error {
            StoreError::Refused(_) => return ApiError::Internal(error.to_string()),
            StoreError::Full(_) => Overload::Full,
            StoreError::Unknown(_) => Overload::Unknown,
            _ => Overload::Database,
        };
        tracing::warn!(%error, "the database did not take a request");
        ApiError::Overloaded(overload)
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> ApiError {
        ApiError::from(StoreError::from(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            ApiError::Unauthorized => {
                let mut response = detail(StatusCode::UNAUTHORIZED, &text);
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            ApiError::Forbidden(_)
            | ApiError::NotFound(_)
            | ApiError::Conflict(_)
            | ApiError::StalePlan
            | ApiError::Invalid(_) => match self.refusal() {
                Ok((status, what)) => (status, Json(json!({ "detail": what }))).into_response(),
                Err(_) => internal(),
            },
            ApiError::Unreadable => detail(StatusCode::BAD_REQUEST, &text),
            ApiError::TooLarge(_) => detail(StatusCode::PAYLOAD_TOO_LARGE, &text),
            ApiError::NotJson(_) => detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text),
            ApiError::Overloaded(why) => {
                metrics::counter!("neena_rejected_total", "reason" => why.reason()).increment(1);
                later(StatusCode::SERVICE_UNAVAILABLE, &text, why.retry_after())
            }
            ApiError::TooMany(wait) => {
                metrics::counter!("neena_rejected_total", "reason" => "rate").increment(1);
                let part = u64::from(wait.subsec_nanos() > 0);
                later(StatusCode::TOO_MANY_REQUESTS, &text, wait.as_secs() + part)
            }
            ApiError::Internal(cause) => {
                tracing::error!(%cause, "a request failed inside");
                internal()
            }
            ApiError::Repeated { status, body } => {
                let mut response = json_text(status, body);
                response
                    .headers_mut()
                    .insert(REPLAYED, HeaderValue::from_static("true"));
                response
            }
        }
    }
}

/// An answer whose body is JSON already.
pub(crate) fn json_text(status: StatusCode, body: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}

/// An answer that says after how many seconds to come back.
fn later(status: StatusCode, text: &str, seconds: u64) -> Response {
    let mut response = detail(status, text);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// `{"detail": "…"}` with a status.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "detail": text }))).into_response()
}

/// The answer to what is our own fault. The request's id, in a header, is all a client learns.
pub(crate) fn internal() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn listed(mut faults: Vec<Fault>) -> Value {
    if faults.len() > MOST_FAULTS {
        faults.truncate(MOST_FAULTS);
        let loc = faults.first().and_then(|fault| fault.loc.first().cloned());
        faults.push(Fault::new(
            loc.into_iter().collect(),
            "more_faults",
            format!("There are more than {MOST_FAULTS} faults; the others are not listed"),
        ));
    }
    json!(faults)
}
