//! The OpenAPI document, gathered from the handlers, and its browser.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, Response as Documented, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::Config;

use crate::error::detail;
use crate::surface::Access;

const SCHEME: &str = "bearer";

/// What the browser's pages may load: what this server carries, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Why a request was not answered with a 200.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents an answer")]
pub(crate) struct ErrorDetail {
    /// What is wrong, in words.
    detail: String,
}

/// Every fault of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents an answer")]
struct ValidationErrors {
    detail: Vec<ValidationFault>,
}

/// One fault of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents an answer")]
struct ValidationFault {
    /// The way to it: `body`, `query` or `header`, then fields and places in lists.
    #[schema(value_type = Vec<Step>)]
    loc: Vec<serde_json::Value>,
    msg: String,
    /// A stable word for it.
    r#type: String,
}

/// A field or a place in a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents an answer")]
enum Step {
    Field(String),
    Place(u64),
}

/// A document without paths.
pub(crate) fn empty() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Neena API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Flows that people approve and workers run."))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token as `Authorization: Bearer …`. Its `permissions` claim lists what \
            it grants: `read`, `write`, `approve`, `admin`; without the claim `read` and `write`.",
        ))
        .build();
    let mut components = ComponentsBuilder::new()
        .security_scheme(SCHEME, SecurityScheme::Http(bearer))
        .schema(ErrorDetail::name(), ErrorDetail::schema())
        .schema(ValidationErrors::name(), ValidationErrors::schema());
    let mut parts = Vec::new();
    ValidationErrors::schemas(&mut parts);
    for (name, schema) in parts {
        components = components.schema(name, schema);
    }
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components.build()))
        .build()
}

/// Adds the operations of a route under `base`, with who may call them and how they fail.
pub(crate) fn add(
    document: &mut OpenApi,
    base: &str,
    access: Access,
    schemas: Vec<(String, RefOr<Schema>)>,
    paths: Paths,
) {
    let components = document.components.get_or_insert_default();
    components.schemas.extend(schemas);
    for (path, mut item) in paths.paths {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            name(operation, &path);
            describe(operation, access);
        }
        if let Some(post) = &mut item.post {
            post.parameters
                .get_or_insert_default()
                .push(RefOr::T(key_parameter()));
        }
        let path = format!("{base}{path}");
        match document.paths.paths.get_mut(&path) {
            Some(known) => known.merge_operations(item),
            None => {
                document.paths.paths.insert(path, item);
            }
        }
    }
}

/// Handlers of several resources share their names; an operation's id is its own.
fn name(operation: &mut Operation, path: &str) {
    let resource = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    operation.operation_id = operation
        .operation_id
        .take()
        .map(|handler| format!("{resource}_{handler}"));
}

/// Every POST takes it.
fn key_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The same request under the same key takes effect once and gets the same answer for 24 hours.",
        ))
        .schema(Some(String::schema()))
        .build()
}

fn describe(operation: &mut Operation, access: Access) {
    let who = match access {
        Access::Public => return,
        Access::AnyToken => "Needs a token.".to_owned(),
        Access::Needs(permission) => format!("Needs the permission `{permission}`."),
    };
    let text = operation.description.take().unwrap_or_default();
    operation.description = Some(format!("{text}\n\n{who}").trim().to_owned());
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
        SCHEME,
        [],
    )]);
    let fail = |status: &str, what: &str, body: Ref| {
        let content = ContentBuilder::new().schema(Some(RefOr::Ref(body))).build();
        let answer: Documented = ResponseBuilder::new()
            .description(what)
            .content("application/json", content)
            .build();
        (status.to_owned(), RefOr::T(answer))
    };
    let detail = || Ref::from_schema_name(ErrorDetail::name());
    let faults = Ref::from_schema_name(ValidationErrors::name());
    if operation.request_body.is_some() {
        operation.responses.responses.extend([
            fail("413", "The body is too large", detail()),
            fail("415", "There is a body, and it is not JSON", detail()),
        ]);
    }
    operation.responses.responses.extend([
        fail(
            "429",
            "Asked too often: come back after `Retry-After` seconds",
            detail(),
        ),
        fail(
            "503",
            "Overloaded, or the database is away or full: come back after `Retry-After` seconds",
            detail(),
        ),
        fail("401", "No token, or one that does not hold", detail()),
        fail("422", "Validation Error", faults),
    ]);
    if let Access::Needs(_) = access {
        let forbidden = fail("403", "A permission or a rule forbids it", detail());
        operation.responses.responses.extend([forbidden]);
    }
}

/// The document's text.
pub(crate) fn text(document: &OpenApi) -> String {
    json!(document).to_string()
}

/// Where people read the document: everything it loads is carried in the binary.
pub(crate) fn browser<S: Clone + Send + Sync + 'static>(document: &str) -> Router<S> {
    let config = Arc::new(Config::from(document.to_owned()));
    let index = Arc::clone(&config);
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route(
            "/docs/",
            get(move |headers: HeaderMap| {
                std::future::ready(file("", &headers, Arc::clone(&index)))
            }),
        )
        .route(
            "/docs/{file}",
            get(move |Path(name): Path<String>, headers: HeaderMap| {
                std::future::ready(file(&name, &headers, Arc::clone(&config)))
            }),
        )
}

/// A file of the browser's. They are carried compressed, and given so to whoever takes them.
fn file(name: &str, asked: &HeaderMap, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => {
            let compressed = file.gzpipped && takes_gzip(asked);
            let mut bytes = file.bytes.into_owned();
            if file.gzpipped && !compressed {
                let mut plain = Vec::new();
                if let Err(error) = GzDecoder::new(&*bytes).read_to_end(&mut plain) {
                    tracing::error!(%error, name, "a file of the documentation is damaged");
                    return crate::error::internal();
                }
                bytes = plain;
            }
            let mut response = bytes.into_response();
            let headers = response.headers_mut();
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
                headers.insert(CONTENT_TYPE, kind);
            }
            if compressed {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            response
        }
        _ => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// Whether `Accept-Encoding` names gzip and does not refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter();
    let named = named.filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, "q=1"));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}
