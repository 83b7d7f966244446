//! The plans of runs to be made: from the flow, the request and the catalogue as they are now.

use std::sync::Arc;

use neena_engine::approval::Policy;
use neena_engine::flow::Flow;
use neena_engine::plan::{Author, Graph, Head, Metadata, PLAN_V, Plan, RequestCopy};
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

/// A flow of which runs are planned: what all of them share is made once.
pub(super) struct Planner {
    flow: FlowVersion,
    name: String,
    graph: Arc<Graph>,
    policy: Policy,
}

impl Planner {
    /// Checks the flow against the catalogue as it is now; `local`: whether the organization is the server's own.
    /// Faults are located at `at` the part of the call that named it.
    pub(super) async fn new(
        app: &AppState,
        flow: FlowVersion,
        local: bool,
        at: &[Loc],
    ) -> Result<Planner, ApiError> {
        let floor = policies::floor_of(flow.floor.as_deref(), local)?;
        let posted: NewFlow = read_stored(&flow.body)?;
        let catalogue = catalogue::known(app.db().reader(), posted.definitions()).await?;
        let held = policies::hold(&posted, &floor, &flow.loosened)?;
        let (policy, gates) = (held.policy, held.gates);
        let heavy = posted.size() > SMALL;
        let checked = offload(heavy, move || {
            let checked = Flow::check(posted.spec(gates), &catalogue).map_err(Unfit::Flow)?;
            let graph = checked.graph().map_err(|why| Unfit::Bug(why.to_string()))?;
            Ok((checked.name().to_owned(), Arc::new(graph)))
        });
        match checked.await? {
            Ok((name, graph)) => Ok(Planner {
                flow,
                name,
                graph,
                policy,
            }),
            Err(Unfit::Flow(faults)) => Err(ApiError::Invalid(below(faults, at, 0))),
            Err(Unfit::Bug(cause)) => Err(ApiError::Internal(cause)),
        }
    }

    /// Operations and dependencies.
    pub(super) fn size(&self) -> usize {
        let body = self.graph.body();
        body.operations.len() + body.edges.len()
    }

    /// Whether planning so many runs is work for a thread of its own.
    pub(super) fn is_heavy(&self, runs: usize) -> bool {
        self.graph.len().saturating_mul(runs) > SMALL
    }

    /// Plans a run. Faults are located at `at` the part of the call that named the request.
    pub(super) fn plan(
        &self,
        caller: &Caller,
        request: &flow_request::Model,
        at: &[Loc],
    ) -> Result<Arc<Plan>, Vec<Fault>> {
        let (row, author) = (&self.flow.flow, &self.flow.author);
        let head = Head {
            v: PLAN_V,
            organization: row.organization_id,
            flow: row.id,
            flow_name: self.name.clone(),
            flow_version: u32::try_from(row.version).unwrap_or_default(),
            graph: self.graph.hash(),
            request: copy(request),
            triggered_by: caller.email.as_ref().to_owned(),
            requester: Some(caller.user.0),
            author: Some(Author {
                user: author.user.map(Into::into),
                email: author.email.clone(),
            }),
            policy: self.policy.clone(),
        };
        Plan::make(Arc::clone(&self.graph), head)
            .map(Arc::new)
            .map_err(|faults| below(faults, at, 1))
    }
}

/// Plans one run. Faults are located at `at` the part of the call that named the flow or the request.
pub(super) async fn plan(
    app: &AppState,
    caller: &Caller,
    flow: FlowVersion,
    request: flow_request::Model,
    at: impl Fn(&'static str) -> Vec<Loc>,
) -> Result<Arc<Plan>, ApiError> {
    let planner = Planner::new(app, flow, caller.local, &at("flow")).await?;
    let (caller, at) = (caller.clone(), at("flow_request"));
    offload(planner.is_heavy(1), move || {
        planner.plan(&caller, &request, &at)
    })
    .await?
    .map_err(ApiError::Invalid)
}

enum Unfit {
    /// The catalogue has moved on since the flow was posted.
    Flow(Vec<Fault>),
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
