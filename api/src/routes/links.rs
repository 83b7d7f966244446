//! Links: one person decides one step once, without a token of the API. Looking decides nothing, however often and
//! by whomever a link is fetched; what decides is the form behind it, through the one way to decide.

mod open;
mod page;

use axum::extract::{RawQuery, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::ids::{OrganizationId, RunId, UserId};
use neena_engine::run::{Actor, Decision, Say};
use neena_engine::{Fault, Json};
use neena_store::queries::reaching::{links, people};

use crate::deciding::decide;
use crate::error::{ApiError, Overload};
use crate::offload::detached;
use crate::state::AppState;
use open::{Opened, open};
use page::{Fields, Sent, Told, form, told};

/// Most bytes of a form.
const LARGEST: usize = 64 << 10;
/// Most bytes of a comment, as everywhere.
const LONGEST_COMMENT: usize = 4_096;

/// The token of a link.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the document; it is read where a fault is a page"
)]
pub(crate) struct Link {
    /// As the e-mail has it.
    token: String,
}

/// What is sent by the page of a link.
#[derive(Debug, utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "for the document; it is read where a fault is a page"
)]
pub(crate) struct LinkForm {
    token: String,
    /// `approve` or `reject`.
    decision: String,
    comment: Option<String>,
    /// JSON, where the gate asks for something to be filled in; or a field `answer.NAME` for each property of a flat
    /// object.
    answer: Option<String>,
}

/// Show what a link decides
///
/// A page with the plan and a form. Nothing is decided by looking at it.
#[utoipa::path(
    get,
    path = "/approvals/link",
    tag = "Approvals",
    params(Link),
    responses(
        (status = 200, content_type = "text/html", body = String),
        (status = 403, description = "The recipient may not approve any more"),
        (status = 404, description = "No such link"),
        (status = 409, description = "It was decided, or another stage is asked"),
        (status = 410, description = "The link was used, or has expired"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn show(State(app): State<AppState>, RawQuery(query): RawQuery) -> Response {
    let shown = async {
        let turn = app.admission().turn(&Method::GET);
        turn.take().await?;
        let token = field(query.as_deref().unwrap_or_default().as_bytes(), "token");
        let token = token.unwrap_or_default();
        match open(&app, &token).await? {
            Ok(opened) => ask(&app, &opened, &token, None).await,
            Err(why) => Ok(told(&why)),
        }
    };
    shown.await.unwrap_or_else(page::failed)
}

/// Decide by a link
///
/// Once, for the step the link is for: the run or gate, its stage and its plan.
#[utoipa::path(
    post,
    path = "/approvals/link",
    tag = "Approvals",
    request_body(content = LinkForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, content_type = "text/html", body = String),
        (status = 403, description = "The recipient may not approve any more"),
        (status = 404, description = "No such link"),
        (status = 409, description = "It was decided, or another stage is asked"),
        (status = 410, description = "The link was used, or has expired"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn submit(State(app): State<AppState>, request: Request) -> Response {
    let Ok(bytes) = axum::body::to_bytes(request.into_body(), LARGEST).await else {
        return told(&Told::TOO_LARGE);
    };
    let work = async move {
        let turn = app.admission().turn(&Method::POST);
        turn.take().await?;
        decided(&app, &bytes).await
    };
    detached(work).await.unwrap_or_else(page::failed)
}

/// The form; or why there is nothing to decide any more.
async fn ask(
    app: &AppState,
    opened: &Opened,
    token: &str,
    sent: Option<&Sent<'_>>,
) -> Result<Response, ApiError> {
    match &opened.closed {
        Some(why) => Ok(told(why)),
        None => form(app, opened, token, sent).await,
    }
}

async fn decided(app: &AppState, bytes: &[u8]) -> Result<Response, ApiError> {
    let token = field(bytes, "token").unwrap_or_default();
    let opened = match open(app, &token).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(told(&why)),
    };
    let (word, said) = match said(&opened, bytes) {
        Ok(said) => said,
        Err(fault) => {
            let faults = vec![Fault::new(Vec::new(), "value_error", fault)];
            let sent = Sent {
                form: bytes,
                faults,
            };
            return ask(app, &opened, &token, Some(&sent)).await;
        }
    };
    let id = opened.link.id;
    let now = app.db().now().await?;
    let taken = app.db().unit(move |tx| {
        async move { Ok::<_, ApiError>(links::take(tx, id, word, now).await?) }.boxed()
    });
    if !taken.await? {
        return Ok(told(&Told::used(None)));
    }
    let decision = match word {
        "approve" => Decision::Approve(said),
        _ => Decision::Reject(said),
    };
    let organization = OrganizationId(opened.link.organization_id);
    let run = RunId(opened.link.run_id);
    let outcome = decide(app, organization, run, decision).await;
    let in_doubt = matches!(
        outcome,
        Err(ApiError::Overloaded(Overload::Unknown) | ApiError::Internal(_))
    );
    if !in_doubt {
        let done = outcome.is_ok();
        let settle = app.db().unit(move |tx| {
            async move {
                match done {
                    true => links::done(tx, id, now).await?,
                    false => links::give_back(tx, id).await?,
                }
                Ok::<_, ApiError>(())
            }
            .boxed()
        });
        // A decision that was made is made, whether or not the link was told.
        if let Err(error) = settle.await {
            tracing::warn!(%error, link = %id, "what became of a link could not be noted");
        }
    }
    match outcome {
        Ok(_) => Ok(told(&Told::thanks(word, &opened))),
        // All but what is missing was right: a veto may be said whichever stage is asked.
        Err(ApiError::Invalid(faults)) => {
            let sent = Sent {
                form: bytes,
                faults,
            };
            form(app, &opened, &token, Some(&sent)).await
        }
        Err(ApiError::Forbidden(why)) => Ok(told(&Told::refused(StatusCode::FORBIDDEN, why))),
        Err(ApiError::Conflict(why)) => Ok(told(&Told::refused(StatusCode::CONFLICT, why))),
        Err(ApiError::StalePlan) => Ok(told(&Told::STALE)),
        Err(ApiError::NotFound(_)) => Ok(told(&Told::GONE)),
        Err(error) => Err(error),
    }
}

/// The decision of the form, as a word and as what the recipient says; or what is wrong with it.
fn said(opened: &Opened, bytes: &[u8]) -> Result<(&'static str, Say), String> {
    let word = match field(bytes, "decision").as_deref() {
        Some("approve") => "approve",
        Some("reject") => "reject",
        _ => return Err("Choose to approve or to reject".to_owned()),
    };
    let given = |name| field(bytes, name).filter(|text| !text.trim().is_empty());
    let comment = given("comment");
    if comment
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST_COMMENT || text.contains('\0'))
    {
        return Err(format!("A reason has at most {LONGEST_COMMENT} bytes"));
    }
    let fields = opened.schema().and_then(Fields::of);
    let by_fields = fields.filter(|fields| fields.sent(|name| field(bytes, name).is_some()));
    let answer = match (word, given("answer"), by_fields) {
        ("approve", None, Some(fields)) => {
            let answer = fields.read(|name| field(bytes, name));
            Some(Json::trusted(answer.to_string()))
        }
        ("approve", Some(text), _) => {
            let value: serde_json::Value = serde_json::from_str(&text)
                .map_err(|error| format!("What is filled in is not JSON: {error}"))?;
            Some(Json::trusted(value.to_string()))
        }
        _ => None,
    };
    let user = &opened.user;
    let say = Say {
        actor: Actor {
            user: UserId(user.id),
            email: user.email.clone(),
            permissions: people::words(user),
            way: "link",
        },
        on: opened.subject,
        plan_hash: Some(opened.plan.hash),
        stage: opened.stage.clone(),
        comment,
        answer,
    };
    Ok((word, say))
}

/// A field of a form or a query; none if it is not there exactly once.
fn field(bytes: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(bytes).filter(|(key, _)| key == name);
    let value = values.next()?.1.into_owned();
    values.next().is_none().then_some(value)
}
