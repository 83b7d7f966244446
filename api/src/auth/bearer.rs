//! The layer before every handler that is not public: a token that holds, the route's permission, and a
//! place among the requests that are worked on.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::permission::Permission;
use crate::error::ApiError;
use crate::offload::detached;
use crate::state::AppState;

/// What stands before the handlers of a path.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) app: AppState,
    /// None: any token that holds.
    pub(crate) needed: Option<Permission>,
    /// Of these the body is read before a place is taken.
    pub(crate) with_body: Arc<[Method]>,
}

/// Lets a request through to its handler, with its [`super::Caller`], if the bearer of its token may and
/// there is a place. What may write goes on to its end even if the client hangs up.
pub(crate) async fn authenticate(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let app = &guard.app;
    let token = token(request.headers()).ok_or(ApiError::Unauthorized)?;
    let identity = app.verifier().verify(token).map_err(|why| {
        tracing::debug!(%why, "a token does not hold");
        ApiError::Unauthorized
    })?;
    let way = way(request.headers());
    let caller = app.accounts().caller(app.db(), identity, way).await?;
    if let Some(permission) = guard.needed
        && !caller.may(permission)
    {
        return Err(ApiError::Forbidden(format!(
            "The permission `{permission}` is needed"
        )));
    }
    app.admission().count(caller.user)?;
    let turn = app.admission().turn(request.method());
    if !guard.with_body.contains(request.method()) {
        turn.take().await?;
    }
    let reads = request.method().is_safe();
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(turn.clone());
    let handled = async move {
        let response = next.run(request).await;
        drop(turn);
        response
    };
    match reads {
        true => Ok(handled.await),
        false => Ok(detached(handled).await),
    }
}

/// Which way in the client says it is.
fn way(headers: &HeaderMap) -> &'static str {
    let agent = headers.get(USER_AGENT);
    match agent.is_some_and(|agent| agent.as_bytes().starts_with(b"neena/")) {
        true => "cli",
        false => "rest",
    }
}

/// The one bearer token of a request. Two ways of saying who one is are one too many.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let one = given.next()?.to_str().ok()?;
    if given.next().is_some() || headers.contains_key("api_key") {
        return None;
    }
    let (scheme, token) = one.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
