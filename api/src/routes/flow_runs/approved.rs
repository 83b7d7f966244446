//! What was approved before: what a plan that waits is compared with.

use std::sync::Arc;

use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_store::queries;
use uuid::Uuid;

use crate::error::ApiError;
use crate::state::AppState;

/// The plan approved last before that of `run`, and the run that holds it: the one under which this run itself has
/// begun, else that of the flow's last approved run made before.
pub(crate) async fn last_approved(
    app: &AppState,
    organization: OrganizationId,
    flow: FlowId,
    run: RunId,
) -> Result<Option<(Uuid, Arc<Plan>)>, ApiError> {
    if let Some(former) = app.store().former_plan(run).await? {
        return Ok(Some((run.0, former)));
    }
    let tenant = queries::of(app.db().reader(), organization);
    let Some(last) = tenant.approved_before(flow, run).await? else {
        return Ok(None);
    };
    Ok(Some((last.id, app.store().plan(RunId(last.id)).await?)))
}
