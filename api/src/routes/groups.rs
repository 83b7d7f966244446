//! Groups: people that policies name together.

use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use neena_engine::{Fault, loc};
use neena_store::queries::{self, NewEntry};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Body, Pairs, Query, QueryParameters, payload};
use crate::state::AppState;

/// Most members of a group.
const MOST: usize = 1_000;

/// A group as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewGroup {
    /// What policies name it by, after `group:`.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[A-Za-z0-9._-]+$")]
    name: String,
    /// E-mails; this list replaces the one before. At most 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    members: Vec<String>,
}

payload!(NewGroup);

/// By its name.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ByName {
    /// The name.
    name: String,
}

impl QueryParameters for ByName {
    fn read(pairs: &mut Pairs) -> Option<ByName> {
        Some(ByName {
            name: pairs.word("name")?,
        })
    }
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(crate) struct GroupView {
    name: String,
    /// E-mails in lower case, sorted.
    members: Vec<String>,
}

/// List groups
#[utoipa::path(
    get,
    path = "/groups/all",
    tag = "Groups",
    responses((status = 200, body = Vec<GroupView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<GroupView>>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let groups = tenant.groups().await?.into_iter();
    let view = |(name, members)| GroupView { name, members };
    Ok(Json(groups.map(view).collect()))
}

/// Make a group, or give it other members
#[utoipa::path(
    put,
    path = "/groups/",
    tag = "Groups",
    request_body = NewGroup,
    responses((status = 200, body = GroupView))
)]
pub(crate) async fn set(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<NewGroup>,
) -> Result<Json<GroupView>, ApiError> {
    let faults = faults(&body.members);
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let mut members: Vec<String> = body.members.iter().map(|one| one.to_lowercase()).collect();
    members.sort_unstable();
    members.dedup();
    let view = GroupView {
        name: body.name,
        members,
    };
    let now = app.db().now().await?;
    let write = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            tenant.set_group(&view.name, &view.members).await?;
            let result = format!("{}: {}", view.name, view.members.join(", "));
            tenant.append(entry(&caller, &result), now).await?;
            Ok::<_, ApiError>(view)
        }
        .boxed()
    });
    Ok(Json(write.await?))
}

/// Delete a group
///
/// Policies that name it find nobody in it.
#[utoipa::path(
    delete,
    path = "/groups/",
    tag = "Groups",
    params(ByName),
    responses((status = 200), (status = 404, description = "Not found"))
)]
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ByName>,
) -> Result<(), ApiError> {
    let now = app.db().now().await?;
    let delete = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            if !tenant.remove_group(&by.name).await? {
                return Err(ApiError::NotFound("Group"));
            }
            let result = format!("{}: removed", by.name);
            tenant.append(entry(&caller, &result), now).await?;
            Ok(())
        }
        .boxed()
    });
    delete.await
}

fn faults(members: &[String]) -> Vec<Fault> {
    if members.len() > MOST {
        let msg = format!("A group has at most {MOST} members");
        return vec![Fault::new(loc!["body", "members"], "too_long", msg)];
    }
    members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.parse::<lettre::Address>().is_err() || member.len() > 320)
        .map(|(at, _)| {
            let msg = "Input should be an e-mail address";
            Fault::new(loc!["body", "members", at], "value_error", msg)
        })
        .collect()
}

fn entry<'a>(caller: &'a Caller, result: &'a str) -> NewEntry<'a> {
    NewEntry {
        what: "group",
        result,
        ..caller.entry()
    }
}
