//! The plan of a run to be made: from the flow, the request and the catalogue as they are now.

use std::sync::Arc;

use neena_engine::flow::Flow;
use neena_engine::plan::{Author, Head, Metadata, PLAN_V, Plan, RequestCopy};
use neena_engine::{Fault, Loc};
use neena_store::entities::flow_request;
use neena_store::queries::{FlowVersion, catalogue};
use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::offload::offload;
use crate::policies;
use crate::routes::flows::{NewFlow, read_stored};
use crate::state::AppState;
use crate::view::parsed;

/// Flows of more operations and dependencies than this are planned on a thread for such work.
const SMALL: usize = 256;

/// Plans a run. Faults are located at `at` the part of the call that named the flow or the request.
pub(super) async fn plan(
    app: &AppState,
    caller: &Caller,
    flow: FlowVersion,
    request: &flow_request::Model,
    at: impl Fn(&'static str) -> Vec<Loc>,
) -> Result<Arc<Plan>, ApiError> {
    let posted: NewFlow = read_stored(&flow.body)?;
    let catalogue = catalogue::known(app.db().reader(), posted.definitions()).await?;
    let (request, by) = (copy(request), caller.email.as_ref().to_owned());
    let requester = caller.user.0;
    let author = Author {
        user: flow.author.user.map(Into::into),
        email: flow.author.email.clone(),
    };
    let floor = policies::floor(app, caller.organization, caller.local).await?;
    let held = policies::hold(&posted, &floor, &flow.loosened)?;
    let (policy, gates) = (held.policy, held.gates);
    let heavy = posted.size() > SMALL;
    let planned = offload(heavy, move || {
        let checked = Flow::check(posted.spec(gates), &catalogue).map_err(Unplanned::Flow)?;
        let graph = checked
            .graph()
            .map_err(|error| Unplanned::Bug(error.to_string()))?;
        let head = Head {
            v: PLAN_V,
            organization: flow.flow.organization_id,
            flow: flow.flow.id,
            flow_name: checked.name().to_owned(),
            flow_version: u32::try_from(flow.flow.version).unwrap_or_default(),
            graph: graph.hash(),
            request,
            triggered_by: by,
            requester: Some(requester),
            author: Some(author),
            policy,
        };
        Plan::make(Arc::new(graph), head)
            .map(Arc::new)
            .map_err(Unplanned::Request)
    });
    planned.await?.map_err(|why| match why {
        Unplanned::Flow(faults) => ApiError::Invalid(below(faults, &at("flow"), 0)),
        Unplanned::Request(faults) => ApiError::Invalid(below(faults, &at("flow_request"), 1)),
        Unplanned::Bug(cause) => ApiError::Internal(cause),
    })
}

enum Unplanned {
    /// The catalogue has moved on since the flow was posted.
    Flow(Vec<Fault>),
    Request(Vec<Fault>),
    Bug(String),
}

/// The faults, each at `place` and what its own location says after so many steps.
fn below(mut faults: Vec<Fault>, place: &[Loc], after: usize) -> Vec<Fault> {
    for fault in &mut faults {
        let rest = fault.loc.split_off(after.min(fault.loc.len()));
        fault.loc = [place, &rest].concat();
    }
    faults
}

/// The request as the plan holds it; a later edit changes nothing.
fn copy(request: &flow_request::Model) -> RequestCopy {
    let metadata: Vec<Map<String, Value>> = parsed(&request.request_metadata);
    RequestCopy {
        instructions: request.request_instructions.clone(),
        name: request.request_name.clone(),
        metadata: Metadata::from(metadata.into_iter().flatten().collect::<Map<_, _>>()),
    }
}
