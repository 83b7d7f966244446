//! Many requests in one call.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use neena_engine::Fault;
use neena_store::queries;
use uuid::Uuid;

use super::{FlowRequestView, NewFlowRequest, store, unknown};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{MOST_BYTES, Many, Post, at, payload};
use crate::state::AppState;

/// New requests.
type NewFlowRequests = Many<NewFlowRequest>;

payload!(NewFlowRequests, MOST_BYTES, |_| Vec::new());

/// Create flow requests
///
/// Up to 1,000, all or none; the answers are in the order given.
#[utoipa::path(
    post,
    path = "/flow_requests/bulk",
    tag = "Flow requests",
    request_body = NewFlowRequests,
    responses((status = 200, body = Vec<FlowRequestView>))
)]
pub(crate) async fn create_many(
    State(app): State<AppState>,
    caller: Caller,
    Post {
        body: Many(all),
        once,
    }: Post<Many<NewFlowRequest>>,
) -> Result<Response, ApiError> {
    let new: Vec<_> = all.iter().enumerate().collect();
    let found = faults_of(&app, &caller, &new).await?;
    let faults: Vec<Fault> = found
        .into_iter()
        .flat_map(|(item, faults)| at(item, faults))
        .collect();
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    store(&app, caller, once, all, |all| all).await
}

/// What is wrong with the ids that new requests name, each request with its place; located as if it were the body.
pub(crate) async fn faults_of(
    app: &AppState,
    caller: &Caller,
    new: &[(usize, &NewFlowRequest)],
) -> Result<Vec<(usize, Vec<Fault>)>, ApiError> {
    let flows: HashSet<Uuid> = new.iter().filter_map(|(_, body)| body.flow).collect();
    let mut there = HashSet::new();
    if !flows.is_empty() {
        let tenant = queries::of(app.db().reader(), caller.organization);
        let flows: Vec<Uuid> = flows.into_iter().collect();
        there.extend(tenant.flows_among(&flows).await?);
    }
    let mut found = Vec::new();
    for (item, body) in new {
        let mut faults = Vec::new();
        if body.flow.is_some_and(|flow| !there.contains(&flow)) {
            faults.push(unknown("flow", "Flow"));
        }
        if body
            .organization
            .is_some_and(|one| one != caller.organization.0)
        {
            faults.push(unknown("organization", "Organization"));
        }
        if !faults.is_empty() {
            found.push((*item, faults));
        }
    }
    Ok(found)
}
