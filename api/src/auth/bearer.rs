//! The layer before every handler that is not public: a token that holds, and the route's permission.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;

use super::permission::Permission;
use crate::error::ApiError;
use crate::state::AppState;

/// Lets a request through to its handler, with its [`super::Caller`], if the bearer of its token may.
pub(crate) async fn authenticate(
    State((app, needed)): State<(AppState, Option<Permission>)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = token(request.headers()).ok_or(ApiError::Unauthorized)?;
    let identity = app.verifier().verify(token).map_err(|why| {
        tracing::debug!(%why, "a token does not hold");
        ApiError::Unauthorized
    })?;
    let caller = app.accounts().caller(app.db(), identity).await?;
    if let Some(permission) = needed
        && !caller.may(permission)
    {
        return Err(ApiError::Forbidden(format!(
            "The permission `{permission}` is needed"
        )));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
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
