//! Hooks: where an organization is told what waits for approval and what was decided.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use neena_engine::{Fault, loc};
use neena_store::entities::notification_hook;
use neena_store::queries::reaching::{deliveries, hooks};
use neena_store::queries::{self, NewEntry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::ById;
use crate::auth::Caller;
use crate::courier::APPROVERS;
use crate::error::ApiError;
use crate::extract::{Post, Query, payload};
use crate::state::AppState;
use crate::view::{Time, parsed};

/// What a hook can be told of.
const EVENTS: [&str; 4] = ["requested", "reminder", "escalated", "decided"];

/// A new hook.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewHook {
    kind: HookKind,
    /// Of a webhook: where its messages are posted to.
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    /// Of e-mail: addresses, and `approvers` for those who are asked.
    #[schema(min_items = 1, max_items = 50)]
    to: Option<Vec<String>>,
    /// `requested`, `reminder`, `escalated` and `decided`; all of them unless given.
    #[schema(min_items = 1, max_items = 4)]
    events: Option<Vec<String>>,
}

payload!(NewHook);

/// How a hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HookKind {
    Webhook,
    Email,
}

/// A hook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookView {
    id: Uuid,
    kind: String,
    url: Option<String>,
    to: Option<Vec<String>>,
    events: Vec<String>,
    created_time: Time,
    created_by_email: String,
    /// What messages of a webhook are signed with; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    deliveries: DeliveriesView,
}

/// How the deliveries of a hook stand, of the last seven days.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct DeliveriesView {
    /// To be made, or to be tried again.
    waiting: i64,
    /// Given up.
    failed: i64,
    last_delivered_time: Option<Time>,
    last_failed_time: Option<Time>,
    /// Why the newest one failed, for good or so far.
    last_error: Option<String>,
}

impl From<notification_hook::Model> for HookView {
    fn from(row: notification_hook::Model) -> HookView {
        HookView {
            id: row.id,
            kind: row.kind,
            url: row.url,
            to: row.recipients.as_deref().map(parsed),
            events: parsed(&row.events),
            created_time: Time::of(row.created_at),
            created_by_email: row.created_by_email,
            secret: None,
            deliveries: DeliveriesView::default(),
        }
    }
}

/// Create a notification hook
///
/// It is told of what happens from now on. The secret of a webhook is in this answer and in no other.
#[utoipa::path(
    post,
    path = "/notification_hooks/",
    tag = "Notification hooks",
    request_body = NewHook,
    responses((status = 200, body = HookView), (status = 409, description = "There are too many"))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewHook>,
) -> Result<Response, ApiError> {
    let faults = faults(&app, &body);
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let id = Uuid::now_v7();
    let (kind, secret) = match body.kind {
        HookKind::Webhook => {
            let secret = app.reaching().keys().of_hook(id).shown();
            ("webhook", Some(secret))
        }
        HookKind::Email => ("email", None),
    };
    let list = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    let events = body
        .events
        .unwrap_or_else(|| EVENTS.map(str::to_owned).to_vec());
    let row = notification_hook::Model {
        id,
        organization_id: caller.organization.0,
        kind: kind.to_owned(),
        url: body.url,
        recipients: body.to.as_deref().map(list),
        events: list(&events),
        created_at: 0,
        created_by_email: caller.email.as_ref().to_owned(),
    };
    let made = once.run(app.db(), move |tx, now| {
        async move {
            let row = notification_hook::Model {
                created_at: now.0,
                ..row
            };
            let there = hooks::of(tx, caller.organization).await?.len() as u64;
            if there >= deliveries::MOST_HOOKS {
                let most = deliveries::MOST_HOOKS;
                return Err(ApiError::Conflict(format!(
                    "An organization has at most {most} hooks"
                )));
            }
            hooks::insert(tx, row.clone()).await?;
            let told = row.url.as_deref().or(row.recipients.as_deref());
            let result = format!(
                "{} hook {id} to {} made",
                row.kind,
                told.unwrap_or_default()
            );
            let entry = NewEntry {
                what: "hook",
                result: &result,
                ..caller.entry()
            };
            queries::of(tx, caller.organization)
                .append(entry, now)
                .await?;
            let view = HookView {
                secret,
                ..HookView::from(row)
            };
            Ok((view, ()))
        }
        .boxed()
    });
    Ok(made.await?.0)
}

/// What is wrong with a hook beside its form.
fn faults(app: &AppState, body: &NewHook) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |loc, kind, msg: &str| faults.push(Fault::new(loc, kind, msg));
    match (body.kind, &body.url, &body.to) {
        (HookKind::Webhook, Some(url), None) => {
            let egress = app.reaching().egress();
            if let Some(Err(barred)) = egress.map(|egress| egress.way(url)) {
                fault(loc!["body", "url"], "url", &barred.to_string());
            }
        }
        (HookKind::Email, None, Some(to)) => {
            if app.reaching().mailer().is_none() {
                let msg = "This server sends no e-mail; whoever runs it sets NEENA_SMTP_URL";
                fault(loc!["body", "kind"], "unavailable", msg);
            }
            for (at, recipient) in to.iter().enumerate() {
                let fits = recipient == APPROVERS || is_address(recipient);
                if !fits {
                    let msg = "Input should be an e-mail address or `approvers`";
                    fault(loc!["body", "to", at], "value_error", msg);
                }
            }
        }
        (HookKind::Webhook, None, _) => fault(loc!["body", "url"], "missing", "Field required"),
        (HookKind::Email, _, None) => fault(loc!["body", "to"], "missing", "Field required"),
        (HookKind::Webhook, _, Some(_)) => {
            fault(loc!["body", "to"], "extra_forbidden", "A webhook has a URL");
        }
        (HookKind::Email, Some(_), _) => {
            fault(loc!["body", "url"], "extra_forbidden", "E-mail has no URL");
        }
    }
    for (at, event) in body.events.iter().flatten().enumerate() {
        if !EVENTS.contains(&event.as_str()) {
            let msg = "Input should be `requested`, `reminder`, `escalated` or `decided`";
            fault(loc!["body", "events", at], "enum", msg);
        }
    }
    faults
}

/// An address that a mail server could take.
fn is_address(text: &str) -> bool {
    text.len() <= 320 && text.parse::<lettre::Address>().is_ok()
}

/// List notification hooks
///
/// Oldest first, each with how its deliveries stand: what is given up is shown here.
#[utoipa::path(
    get,
    path = "/notification_hooks/",
    tag = "Notification hooks",
    responses((status = 200, body = Vec<HookView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<HookView>>, ApiError> {
    let reader = app.db().reader();
    let rows = hooks::of(reader, caller.organization).await?;
    let standings = hooks::standings(reader, caller.organization).await?;
    let mut standings: HashMap<Uuid, DeliveriesView> = standings
        .into_iter()
        .map(|standing| {
            let view = DeliveriesView {
                waiting: standing.waiting,
                failed: standing.failed,
                last_delivered_time: standing.delivered_at.map(Time::of),
                last_failed_time: standing.failed_at.map(Time::of),
                last_error: standing.error,
            };
            (standing.hook_id, view)
        })
        .collect();
    let view = |row: notification_hook::Model| HookView {
        deliveries: standings.remove(&row.id).unwrap_or_default(),
        ..HookView::from(row)
    };
    Ok(Json(rows.into_iter().map(view).collect()))
}

/// Delete a notification hook
///
/// What it was still to be told is not delivered any more.
#[utoipa::path(
    delete,
    path = "/notification_hooks/",
    tag = "Notification hooks",
    params(ById),
    responses((status = 200), (status = 404, description = "Not found"))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<(), ApiError> {
    let now = app.db().now().await?;
    let delete = app.db().unit(move |tx| {
        async move {
            if !hooks::delete(tx, caller.organization, by.id).await? {
                return Err(ApiError::NotFound("Notification hook"));
            }
            let result = format!("hook {} removed", by.id);
            let entry = NewEntry {
                what: "hook",
                result: &result,
                ..caller.entry()
            };
            queries::of(tx, caller.organization)
                .append(entry, now)
                .await?;
            Ok(())
        }
        .boxed()
    });
    delete.await
}
