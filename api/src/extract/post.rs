//! A POST: its body, and the `Idempotency-Key` under which it takes effect once.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::HeaderName;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use neena_engine::{Fault, Hash, Micros, loc};
use neena_store::entities::idempotency_key;
use neena_store::queries::idempotency::{self, Key};
use neena_store::{Db, Transaction};
use serde::Serialize;

use super::body::{Payload, SMALL, decode, parse, read};
use crate::auth::Caller;
use crate::error::{ApiError, Overload, json_text};
use crate::offload::offload;
use crate::state::AppState;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;

/// A POST's decoded body. One whose key was answered before is answered the same before it is decoded.
#[derive(Debug)]
pub(crate) struct Post<T> {
    pub(crate) body: T,
    pub(crate) once: Once,
}

impl<T: Payload> FromRequest<AppState> for Post<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Post<T>, ApiError> {
        let (mut parts, stream) = request.into_parts();
        let once = Once::of(&mut parts, app).await?;
        let bytes = read(Request::from_parts(parts, stream), T::LIMIT).await?;
        let heavy = bytes.len() > SMALL;
        let (value, once) = offload(heavy, move || {
            let value = parse(&bytes)?;
            let once = once.for_body(|| value.to_string());
            Ok::<_, ApiError>((value, once))
        })
        .await??;
        once.replay(app.db()).await?;
        let body = offload(heavy, move || decode(&value)).await??;
        Ok(Post { body, once })
    }
}

/// The key of a POST, if it has one: what is done under it is done once.
#[derive(Debug)]
pub(crate) struct Once(Option<Taken>);

#[derive(Debug)]
struct Taken {
    key: Key,
    /// Method, path and query.
    route: String,
    body: Hash,
}

/// For a POST without a body.
impl FromRequestParts<AppState> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Once, ApiError> {
        let once = Once::of(parts, app).await?;
        once.replay(app.db()).await?;
        Ok(once)
    }
}

impl Once {
    async fn of(parts: &mut Parts, app: &AppState) -> Result<Once, ApiError> {
        let Some(key) = key(parts)? else {
            return Ok(Once(None));
        };
        let caller = Caller::from_request_parts(parts, app).await?;
        let path = parts.uri.path().trim_end_matches('/');
        Ok(Once(Some(Taken {
            key: Key {
                organization: caller.organization,
                user: caller.user,
                key,
            },
            route: format!(
                "{} {path}?{}",
                parts.method,
                parts.uri.query().unwrap_or("")
            ),
            body: Hash::of(b""),
        })))
    }

    fn for_body(mut self, text: impl FnOnce() -> String) -> Once {
        if let Some(taken) = &mut self.0 {
            taken.body = Hash::of(text().as_bytes());
        }
        self
    }

    /// Ends the request with the answer that was given before, if there is one.
    async fn replay(&self, db: &Db) -> Result<(), ApiError> {
        let Some(taken) = &self.0 else { return Ok(()) };
        let now = db.now().await?;
        match idempotency::find(db.reader(), &taken.key, now).await? {
            Some(row) => Err(taken.answer(row)),
            None => Ok(()),
        }
    }

    /// Does `work` in one durable unit and answers its view with a 200. Under a key it is done once: the
    /// answer is stored in the same transaction, and whoever comes second gets it instead.
    pub(crate) async fn run<V, X, F>(self, db: &Db, work: F) -> Result<(Response, X), ApiError>
    where
        V: Serialize + Send + 'static,
        X: Send + 'static,
        F: for<'c> FnOnce(&'c Transaction, Micros) -> BoxFuture<'c, Result<(V, X), ApiError>>
            + Send
            + 'static,
    {
        let (body, rest) = db
            .unit(move |tx| {
                async move {
                    let now = neena_store::now(tx).await?;
                    if let Some(taken) = &self.0 {
                        taken.reserve(tx, now).await?;
                    }
                    let (view, rest) = work(tx, now).await?;
                    let body = serde_json::to_string(&view)
                        .map_err(|error| ApiError::Internal(error.to_string()))?;
                    if let Some(taken) = &self.0 {
                        idempotency::keep(tx, &taken.key, 200, &body).await?;
                    }
                    Ok::<_, ApiError>((body, rest))
                }
                .boxed()
            })
            .await?;
        Ok((json_text(StatusCode::OK, body), rest))
    }
}

impl Taken {
    async fn reserve(&self, tx: &Transaction, now: Micros) -> Result<(), ApiError> {
        if idempotency::reserve(tx, &self.key, &self.route, self.body, now).await? {
            return Ok(());
        }
        match idempotency::find(tx, &self.key, now).await? {
            Some(row) => Err(self.answer(row)),
            None => Err(ApiError::Overloaded(Overload::Database)),
        }
    }

    /// The answer given before, if it was given to the same request.
    fn answer(&self, row: idempotency_key::Model) -> ApiError {
        if row.route != self.route || row.body_hash != self.body.to_string() {
            return ApiError::fault(Fault::new(
                loc!["header", HEADER.as_str()],
                "idempotency_key_reused",
                "This key was used for another request",
            ));
        }
        let status = u16::try_from(row.status)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok());
        ApiError::Repeated {
            status: status.unwrap_or(StatusCode::OK),
            body: row.body,
        }
    }
}

fn key(parts: &Parts) -> Result<Option<String>, ApiError> {
    let mut given = parts.headers.get_all(HEADER).iter();
    let Some(one) = given.next() else {
        return Ok(None);
    };
    match one.to_str() {
        Ok(key) if given.next().is_none() && (1..=LONGEST_KEY).contains(&key.len()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(ApiError::fault(Fault::new(
            loc!["header", HEADER.as_str()],
            "idempotency_key_invalid",
            "Give one key of 1 to 255 printable ASCII characters",
        ))),
    }
}
