//! The whole HTTP surface: every route with the permission it needs, and the document of them all.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, Paths};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::auth::{Guard, Permission, authenticate};
use crate::error::{detail, internal};
use crate::state::AppState;
use crate::{docs, drain, observe, routes};

/// What all paths but those for operators start with.
pub(crate) const BASE: &str = "/api/v1";

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, without a token.
    Public,
    /// Whoever has a token that holds.
    AnyToken,
    /// Whoever's token grants the permission.
    Needs(Permission),
}

/// Routes as they are gathered. One cannot be added without saying who may call it.
pub(crate) struct Surface {
    app: AppState,
    router: Router<AppState>,
    document: OpenApi,
}

impl Surface {
    fn new(app: AppState) -> Surface {
        Surface {
            app,
            router: Router::new(),
            document: docs::empty(),
        }
    }

    /// Adds the handlers of a `routes!`, which share a path, for those who have `access`.
    pub(crate) fn add(self, access: Access, routes: UtoipaMethodRouter<AppState>) -> Surface {
        self.under(BASE, access, routes)
    }

    /// Adds what operators ask: it stands beside the API, not in a version of it.
    pub(crate) fn at_root(self, access: Access, routes: UtoipaMethodRouter<AppState>) -> Surface {
        self.under("", access, routes)
    }

    fn under(
        mut self,
        base: &str,
        access: Access,
        (schemas, paths, methods): UtoipaMethodRouter<AppState>,
    ) -> Surface {
        let needed = match access {
            Access::Public => None,
            Access::AnyToken => Some(None),
            Access::Needs(permission) => Some(Some(permission)),
        };
        let methods = match needed {
            None => methods,
            Some(permission) => {
                let guard = Guard {
                    app: self.app.clone(),
                    needed: permission,
                    with_body: methods_with_body(&paths),
                };
                methods.route_layer(from_fn_with_state(guard, authenticate))
            }
        };
        for path in paths.paths.keys() {
            let path = format!("{base}{path}");
            let bare = path.trim_end_matches('/');
            self.router = self
                .router
                .route(bare, methods.clone())
                .route(&format!("{bare}/"), methods.clone());
        }
        docs::add(&mut self.document, base, access, schemas, paths);
        self
    }
}

/// Which of the methods of a path read a body.
fn methods_with_body(paths: &Paths) -> Arc<[Method]> {
    let reads = |operation: &Option<Operation>| {
        operation
            .as_ref()
            .is_some_and(|operation| operation.request_body.is_some())
    };
    let mut methods = Vec::new();
    for item in paths.paths.values() {
        methods.extend(reads(&item.post).then_some(Method::POST));
        methods.extend(reads(&item.put).then_some(Method::PUT));
    }
    methods.into()
}

/// The API as a router: what [`crate::serve()`] serves, and what tests call without a socket.
pub fn router(app: AppState) -> Router {
    let surface = routes::all(Surface::new(app.clone()));
    let document: Arc<str> = docs::text(&surface.document).into();
    surface
        .router
        .route(
            &format!("{BASE}/openapi.json"),
            get(move || document_of(Arc::clone(&document))),
        )
        .merge(docs::browser(&format!("{BASE}/openapi.json")))
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async {
            detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        // Limits stand at the types of the bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(drain::drain))
        .layer(CatchPanicLayer::custom(|_| internal()))
        .layer(from_fn(observe::observe))
        .with_state(app)
}

async fn document_of(text: Arc<str>) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        text.as_ref().to_owned(),
    )
        .into_response()
}
