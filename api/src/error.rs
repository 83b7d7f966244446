//! The only place that knows status codes: every error of a handler becomes one `{"detail": …}` answer.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use neena_engine::Fault;
use neena_store::StoreError;
use sea_orm::DbErr;
use serde_json::json;

/// Most faults listed in one answer; one more says that there were others.
pub(crate) const MOST_FAULTS: usize = 1_000;

/// Why a request is not answered with a 200.
#[derive(Debug)]
pub enum ApiError {
    /// No token, or one that does not hold.
    Unauthorized,
    /// A permission or a rule forbids it.
    Forbidden(String),
    /// An id in path or query that is unknown, deleted or another organization's. Names the kind of thing.
    NotFound(&'static str),
    /// The state does not allow it.
    Conflict(String),
    /// The `plan_hash` sent is not the run's.
    StalePlan,
    /// The request could not be read to its end.
    Unreadable,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// There is a body, and it is not JSON.
    NotJson(&'static str),
    /// Faults of the body or the query, each with its place.
    Invalid(Vec<Fault>),
    /// Too much to do, or the database is away: later.
    Overloaded,
    /// A fault of ours; logged where it is turned into an answer, never shown.
    Internal(String),
    /// The answer that was given to the same request before (`Idempotency-Key`).
    Repeated(Box<Response>),
}

impl ApiError {
    /// One fault.
    pub(crate) fn fault(fault: Fault) -> ApiError {
        ApiError::Invalid(vec![fault])
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Unknown(_) => {
                tracing::warn!(%error, "the database did not take a request");
                ApiError::Overloaded
            }
            StoreError::Refused(_) => ApiError::Internal(error.to_string()),
        }
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> ApiError {
        ApiError::from(StoreError::from(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            ApiError::Unauthorized => {
                let mut response = detail(StatusCode::UNAUTHORIZED, "Not authenticated");
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            ApiError::Forbidden(why) => detail(StatusCode::FORBIDDEN, &why),
            ApiError::NotFound(thing) => {
                detail(StatusCode::NOT_FOUND, &format!("{thing} not found"))
            }
            ApiError::Conflict(why) => detail(StatusCode::CONFLICT, &why),
            ApiError::StalePlan => detail(
                StatusCode::PRECONDITION_FAILED,
                "The run's plan has another hash",
            ),
            ApiError::Unreadable => detail(
                StatusCode::BAD_REQUEST,
                "The request could not be read to its end",
            ),
            ApiError::TooLarge(limit) => {
                let why = format!("The body is larger than {limit} bytes");
                detail(StatusCode::PAYLOAD_TOO_LARGE, &why)
            }
            ApiError::NotJson(why) => detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, why),
            ApiError::Invalid(faults) => invalid(faults),
            ApiError::Overloaded => {
                let mut response = detail(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Overloaded; try again in a moment",
                );
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            ApiError::Internal(cause) => {
                tracing::error!(%cause, "a request failed inside");
                internal()
            }
            ApiError::Repeated(response) => *response,
        }
    }
}

/// `{"detail": "…"}` with a status.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "detail": text }))).into_response()
}

/// The answer to what is our own fault. The request's id, in a header, is all a client learns.
pub(crate) fn internal() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn invalid(mut faults: Vec<Fault>) -> Response {
    if faults.len() > MOST_FAULTS {
        faults.truncate(MOST_FAULTS);
        let loc = faults.first().and_then(|fault| fault.loc.first().cloned());
        faults.push(Fault::new(
            loc.into_iter().collect(),
            "more_faults",
            format!("There are more than {MOST_FAULTS} faults; the others are not listed"),
        ));
    }
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        Json(json!({ "detail": faults })),
    )
        .into_response()
}
