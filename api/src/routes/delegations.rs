//! Delegations: somebody takes another one's place in approvals for a while.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use neena_engine::{Fault, Micros, loc};
use neena_store::entities::delegation;
use neena_store::queries::{self, NewEntry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::ById;
use crate::auth::{Caller, Permission};
use crate::error::ApiError;
use crate::extract::{Post, Query, payload};
use crate::state::AppState;
use crate::view::Time;

/// Longest time a place is lent for, in microseconds: a leap year.
const LONGEST: i64 = 366 * 86_400_000_000;

/// A place to be lent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewDelegation {
    /// Whose place: your own unless given; another one's takes `admin`.
    #[schema(min_length = 3, max_length = 320)]
    from: Option<String>,
    /// Who takes it; they need the permission `approve` of their own.
    #[schema(min_length = 3, max_length = 320)]
    to: String,
    /// From when on; now unless given.
    starts: Option<DateTime<Utc>>,
    /// Until when; at most 366 days from its start.
    ends: DateTime<Utc>,
    #[schema(max_length = 512, pattern = r"^[^\x00]*$")]
    reason: Option<String>,
}

payload!(NewDelegation);

/// A place that is lent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delegation)]
pub(crate) struct DelegationView {
    id: Uuid,
    from: String,
    to: String,
    starts: Time,
    ends: Time,
    reason: Option<String>,
    created_date: Time,
    created_by_email: String,
}

impl From<delegation::Model> for DelegationView {
    fn from(row: delegation::Model) -> DelegationView {
        DelegationView {
            id: row.id,
            from: row.from_email,
            to: row.to_email,
            starts: Time::of(row.starts_at),
            ends: Time::of(row.ends_at),
            reason: row.reason,
            created_date: Time::of(row.created_at),
            created_by_email: row.created_by_email,
        }
    }
}

/// List delegations
///
/// Those that are not over, the first to end first.
#[utoipa::path(
    get,
    path = "/delegations/all",
    tag = "Delegations",
    responses((status = 200, body = Vec<DelegationView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<DelegationView>>, ApiError> {
    let now = app.db().now().await?;
    let tenant = queries::of(app.db().reader(), caller.organization);
    let rows = tenant.delegations(now).await?.into_iter();
    Ok(Json(rows.map(DelegationView::from).collect()))
}

/// Lend a place in approvals
///
/// Whoever takes it may approve where its holder may, and nowhere the holder may not; both count once.
#[utoipa::path(
    post,
    path = "/delegations/",
    tag = "Delegations",
    request_body = NewDelegation,
    responses((status = 200, body = DelegationView), (status = 403, description = "Not your place to lend"))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewDelegation>,
) -> Result<Response, ApiError> {
    let from = body.from.as_deref().unwrap_or(&caller.email).to_lowercase();
    let own = caller.is(&from);
    if !own && !caller.may(Permission::Admin) {
        return Err(ApiError::Forbidden(
            "Lending another one's place takes the permission `admin`".to_owned(),
        ));
    }
    let now = app.db().now().await?;
    let starts = body.starts.map_or(now, micros);
    let ends = micros(body.ends);
    let faults = faults(&body, &from, (starts, ends), now);
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let row = delegation::Model {
        id: Uuid::now_v7(),
        organization_id: caller.organization.0,
        from_email: from,
        from_user: own.then_some(caller.user.0),
        to_email: body.to.to_lowercase(),
        starts_at: starts.0,
        ends_at: ends.0,
        reason: body.reason,
        created_at: now.0,
        created_by_email: caller.email.as_ref().to_owned(),
    };
    let made = once.run(app.db(), move |tx, now| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            let row = tenant.add_delegation(row).await?;
            let result = format!("{} to {}, {starts} to {ends}", row.from_email, row.to_email);
            let entry = NewEntry {
                comment: row.reason.as_deref(),
                ..entry(&caller, "delegate", &result)
            };
            tenant.append(entry, now).await?;
            Ok((DelegationView::from(row), ()))
        }
        .boxed()
    });
    Ok(made.await?.0)
}

/// Take a place back
///
/// Whoever lent it, whoever took it, and an admin may.
#[utoipa::path(
    delete,
    path = "/delegations/",
    tag = "Delegations",
    params(ById),
    responses((status = 200), (status = 403, description = "Not yours"), (status = 404, description = "Not found"))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<(), ApiError> {
    let now = app.db().now().await?;
    let delete = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            let row = tenant.delegation(by.id).await?;
            let row = row.ok_or(ApiError::NotFound("Delegation"))?;
            let own = caller.is(&row.from_email) || caller.is(&row.to_email);
            if !own && !caller.may(Permission::Admin) {
                return Err(ApiError::Forbidden(
                    "Ending another one's delegation takes the permission `admin`".to_owned(),
                ));
            }
            tenant.remove_delegation(by.id).await?;
            let result = format!("{} to {}", row.from_email, row.to_email);
            tenant
                .append(entry(&caller, "undelegate", &result), now)
                .await?;
            Ok(())
        }
        .boxed()
    });
    delete.await
}

fn faults(body: &NewDelegation, from: &str, time: (Micros, Micros), now: Micros) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |field: &'static str, msg: &str| {
        faults.push(Fault::new(loc!["body", field], "value_error", msg));
    };
    let is_address = |text: &str| text.parse::<lettre::Address>().is_ok();
    if body.from.is_some() && !is_address(from) {
        fault("from", "Input should be an e-mail address");
    }
    if !is_address(&body.to) {
        fault("to", "Input should be an e-mail address");
    } else if body.to.eq_ignore_ascii_case(from) {
        fault("to", "Nobody stands in for themselves");
    }
    let (starts, ends) = time;
    if ends <= starts || ends <= now {
        fault(
            "ends",
            "It should end after it starts, and not have ended yet",
        );
    } else if ends.0.saturating_sub(starts.0) > LONGEST {
        fault("ends", "It should end within 366 days of its start");
    }
    faults
}

fn micros(time: DateTime<Utc>) -> Micros {
    Micros(time.timestamp_micros())
}

fn entry<'a>(caller: &'a Caller, what: &'a str, result: &'a str) -> NewEntry<'a> {
    NewEntry {
        what,
        result,
        ..caller.entry()
    }
}
