//! The organization's policy: the floor on which those of its flows are laid.

use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use neena_engine::{Fault, loc};
use neena_store::queries::{self, NewEntry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Body, payload, within};
use crate::policies::{Approval, PolicyView, floor_of, later_settings, stored};
use crate::state::AppState;

/// A policy to be the organization's.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewPolicy {
    approval: Approval,
}

payload!(NewPolicy, 1 << 20, |body| {
    let mut faults = Vec::new();
    later_settings(&body["approval"], || loc!["approval"], &mut faults);
    faults
});

/// The organization's policy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationPolicy)]
pub(crate) struct OrganizationPolicyView {
    /// As it was given; null where none was.
    approval: Option<Approval>,
    /// What it comes to, with every default written out.
    policy: PolicyView,
}

impl OrganizationPolicyView {
    fn of(given: Option<&str>, local: bool) -> Result<OrganizationPolicyView, ApiError> {
        let policy = floor_of(given, local)?;
        Ok(OrganizationPolicyView {
            approval: given.and_then(|given| serde_json::from_str(given).ok()),
            policy: PolicyView::of(&policy),
        })
    }
}

/// Get the organization's policy
#[utoipa::path(
    get,
    path = "/policies/",
    tag = "Policies",
    responses((status = 200, body = OrganizationPolicyView))
)]
pub(crate) async fn read(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<OrganizationPolicyView>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let given = tenant.policy().await?;
    Ok(Json(OrganizationPolicyView::of(
        given.as_deref(),
        caller.local,
    )?))
}

/// Set the organization's policy
///
/// Flows may ask for more, and for less only where an admin allows it. Runs that exist keep the policy of their plan.
#[utoipa::path(
    put,
    path = "/policies/",
    tag = "Policies",
    request_body = NewPolicy,
    responses((status = 200, body = OrganizationPolicyView))
)]
pub(crate) async fn set(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<NewPolicy>,
) -> Result<Json<OrganizationPolicyView>, ApiError> {
    if body.approval.has_form() {
        let msg = "Only a task asks for input";
        return Err(ApiError::fault(Fault::new(
            loc!["body", "approval", "input"],
            "not_supported",
            msg,
        )));
    }
    let at = |faults| ApiError::Invalid(within("body", within("approval", faults)));
    let text = stored(&body.approval, caller.local).map_err(at)?;
    write(&app, &caller, Some(text)).await
}

/// Go back to no policy of the organization's own
///
/// One approval is asked for then, in an organization not by the requester.
#[utoipa::path(
    delete,
    path = "/policies/",
    tag = "Policies",
    responses((status = 200, body = OrganizationPolicyView))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<OrganizationPolicyView>, ApiError> {
    write(&app, &caller, None).await
}

async fn write(
    app: &AppState,
    caller: &Caller,
    given: Option<String>,
) -> Result<Json<OrganizationPolicyView>, ApiError> {
    let view = OrganizationPolicyView::of(given.as_deref(), caller.local)?;
    let now = app.db().now().await?;
    let caller = caller.clone();
    let write = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            tenant.set_policy(given.as_deref()).await?;
            let entry = NewEntry {
                what: "policy",
                result: given.as_deref().unwrap_or("none"),
                ..caller.entry()
            };
            tenant.append(entry, now).await?;
            Ok::<_, ApiError>(())
        }
        .boxed()
    });
    write.await?;
    Ok(Json(view))
}
