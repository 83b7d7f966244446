//! Every route of the API, with the permission it needs: the whole surface on one page.

pub(crate) mod approvals;
pub(crate) mod decisions;
pub(crate) mod delegations;
pub(crate) mod flow_requests;
pub(crate) mod flow_runs;
pub(crate) mod flows;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod integrations;
pub(crate) mod links;
pub(crate) mod notification_hooks;
pub(crate) mod policies;
pub(crate) mod standing_approvals;
pub(crate) mod task_definitions;
pub(crate) mod users;

mod parameters;

use utoipa_axum::routes;

use crate::auth::Permission::{Admin, Approve, Read, Write};
use crate::surface::Access::{AnyToken, Needs, Public};
use crate::surface::Surface;

/// Adds every route.
pub(crate) fn all(surface: Surface) -> Surface {
    surface
        .at_root(Public, routes!(health::alive))
        .at_root(Public, routes!(health::ready))
        .at_root(Needs(Admin), routes!(health::metrics))
        .add(AnyToken, routes!(users::current))
        .add(AnyToken, routes!(users::create_if_not_exists))
        .add(Needs(Write), routes!(flow_requests::create))
        .add(Needs(Write), routes!(flow_requests::bulk::create_many))
        .add(Needs(Write), routes!(flow_requests::update))
        .add(Needs(Read), routes!(flow_requests::read))
        .add(Needs(Write), routes!(flow_requests::delete))
        .add(Needs(Read), routes!(flow_requests::all))
        .add(Needs(Write), routes!(flows::create))
        .add(Needs(Write), routes!(flows::update))
        .add(Needs(Read), routes!(flows::read))
        .add(Needs(Write), routes!(flows::delete))
        .add(Needs(Read), routes!(flows::all))
        .add(Needs(Write), routes!(flow_runs::create::execute))
        .add(Needs(Read), routes!(integrations::all))
        .add(Needs(Admin), routes!(integrations::sync))
        .add(Needs(Read), routes!(task_definitions::all))
        .add(Needs(Read), routes!(task_definitions::read))
        .add(Needs(Read), routes!(flow_runs::all))
        .add(Needs(Read), routes!(flow_runs::all_for_flow_id))
        .add(Needs(Read), routes!(flow_runs::preview_all))
        .add(Needs(Read), routes!(flow_runs::read))
        .add(Needs(Read), routes!(flow_runs::with_flow_result))
        .add(Needs(Read), routes!(flow_runs::stored::plan))
        .add(Needs(Read), routes!(flow_runs::canonical::canonical))
        .add(Needs(Read), routes!(flow_runs::plan_diff::plan_diff))
        .add(Needs(Approve), routes!(approvals::all))
        .add(Needs(Write), routes!(flow_runs::create::create))
        .add(Needs(Write), routes!(flow_runs::create::create_many))
        .add(Needs(Approve), routes!(flow_runs::decide::approve))
        .add(
            Needs(Approve),
            routes!(flow_runs::decide_many::approve_many),
        )
        .add(Needs(Approve), routes!(flow_runs::decide::reject))
        .add(Needs(Approve), routes!(flow_runs::decide_many::reject_many))
        .add(Needs(Write), routes!(flow_runs::decide::cancel))
        .add(Needs(Read), routes!(decisions::all))
        .add(Needs(Read), routes!(decisions::export))
        .add(Needs(Read), routes!(policies::read))
        .add(Needs(Admin), routes!(policies::set))
        .add(Needs(Admin), routes!(policies::delete))
        .add(Needs(Read), routes!(groups::all))
        .add(Needs(Admin), routes!(groups::set))
        .add(Needs(Admin), routes!(groups::delete))
        .add(Needs(Read), routes!(delegations::all))
        .add(Needs(Approve), routes!(delegations::create))
        .add(Needs(Approve), routes!(delegations::delete))
        .add(Public, routes!(links::show))
        .add(Public, routes!(links::submit))
        .add(Needs(Write), routes!(standing_approvals::create))
        .add(Needs(Read), routes!(standing_approvals::all))
        .add(Needs(Approve), routes!(standing_approvals::approve))
        .add(Needs(Approve), routes!(standing_approvals::revoke))
        .add(Needs(Admin), routes!(notification_hooks::create))
        .add(Needs(Admin), routes!(notification_hooks::all))
        .add(Needs(Admin), routes!(notification_hooks::delete))
        .add(Needs(Write), routes!(flow_runs::decide::retry))
}
