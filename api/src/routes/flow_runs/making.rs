//! Runs on the way to being made: planned outside the transaction, flow by flow, then all written in one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use neena_engine::ids::{FlowId, FlowRequestId, RunId};
use neena_engine::plan::Plan;
use neena_engine::{Fault, Loc, Micros, loc};
use neena_store::entities::flow_request;
use neena_store::{NewRun, queries};
use uuid::Uuid;

use super::create::{NewFlowRun, RequestOf, smuggled};
use super::plan::Planner;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::at;
use crate::offload::offload;
use crate::routes::flow_requests::{self, new_row, unknown};
use crate::state::AppState;

/// Runs planned at once: so many requests are in memory together.
const AT_ONCE: usize = 64;
/// Most bytes of the plans of one call, without what runs of a flow share.
const MOST_PLANS: usize = 32 << 20;
/// Most operations and dependencies of the flows of one call.
const MOST_GRAPHS: usize = 250_000;

/// Where the things of a call stand in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The body is the one there is.
    Body,
    /// The body is a list of them.
    Item,
}

impl Place {
    /// Faults that are located as if the thing were the body.
    fn of(self, item: usize, faults: Vec<Fault>) -> Vec<Fault> {
        match self {
            Place::Body => faults,
            Place::Item => at(item, faults),
        }
    }

    /// The refusal of one of them, which says of which.
    pub(super) fn refusal(self, item: usize, error: ApiError) -> ApiError {
        let named = |text: String| format!("body[{item}]: {text}");
        match (self, error) {
            (Place::Item, ApiError::Invalid(faults)) => ApiError::Invalid(at(item, faults)),
            (Place::Item, ApiError::Forbidden(text)) => ApiError::Forbidden(named(text)),
            (Place::Item, ApiError::Conflict(text)) => ApiError::Conflict(named(text)),
            (_, error) => error,
        }
    }
}

/// A run that is planned, not yet stored.
pub(super) struct Made {
    pub(super) new: NewRun,
    /// Whether its requester approves it along with making it.
    pub(super) approve: bool,
}

impl Made {
    pub(super) fn new(
        run: RunId,
        request: FlowRequestId,
        plan: Arc<Plan>,
        triggered: Option<Micros>,
        approve: bool,
    ) -> Result<Made, ApiError> {
        let new = NewRun::new(run, request, plan, triggered)
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Made { new, approve })
    }
}

/// Runs that are planned, and the requests that are stored along with them.
pub(super) struct Making {
    pub(super) requests: Vec<flow_request::Model>,
    pub(super) runs: Vec<Made>,
    pub(super) place: Place,
}

impl Making {
    /// Of one run.
    pub(super) fn one(made: Made) -> Making {
        Making {
            requests: Vec::new(),
            runs: vec![made],
            place: Place::Body,
        }
    }
}

/// A run that is asked for, with ids that follow the order of the call.
struct Wanted {
    item: usize,
    run: RunId,
    body: NewFlowRun,
    /// The request that is stored along with it.
    request: Option<flow_request::Model>,
}

/// Plans all that is asked for, or lists all that is wrong with it.
pub(super) async fn gather(
    app: &AppState,
    caller: &Caller,
    bodies: Vec<NewFlowRun>,
    place: Place,
) -> Result<Making, ApiError> {
    let mut faults = Vec::new();
    check_requests(app, caller, &bodies, place, &mut faults).await?;
    // A trip to some databases, and only new requests have a date.
    let dated = |body: &NewFlowRun| matches!(body.flow_request, RequestOf::New(_));
    let now = match bodies.iter().any(dated) {
        true => app.db().now().await?,
        false => Micros(0),
    };
    let mut by_flow: Vec<(Uuid, Vec<Wanted>)> = Vec::new();
    let mut known: HashMap<Uuid, usize> = HashMap::new();
    for (item, body) in bodies.into_iter().enumerate() {
        faults.extend(place.of(item, smuggled(&body, caller)));
        let request = match &body.flow_request {
            RequestOf::Stored(_) => None,
            RequestOf::New(new) => Some(new_row(caller, new, now)),
        };
        let at = *known.entry(body.flow).or_insert_with(|| {
            by_flow.push((body.flow, Vec::new()));
            by_flow.len() - 1
        });
        by_flow[at].1.push(Wanted {
            item,
            run: RunId(Uuid::now_v7()),
            body,
            request,
        });
    }
    let mut planning = Planning {
        app,
        caller,
        place,
        faults,
        graphs: 0,
        plans: 0,
        made: Vec::new(),
    };
    for (flow, wanted) in by_flow {
        planning.flow(flow, wanted).await?;
    }
    planning.end()
}

/// Checks what the new requests among them name: all of it must be the caller's.
async fn check_requests(
    app: &AppState,
    caller: &Caller,
    bodies: &[NewFlowRun],
    place: Place,
    faults: &mut Vec<Fault>,
) -> Result<(), ApiError> {
    let new = bodies
        .iter()
        .enumerate()
        .filter_map(|(item, body)| match &body.flow_request {
            RequestOf::New(new) => Some((item, &**new)),
            RequestOf::Stored(_) => None,
        });
    let new: Vec<_> = new.collect();
    for (item, found) in flow_requests::faults_of(app, caller, &new).await? {
        let mut found = found;
        for fault in &mut found {
            let after = fault.loc.len().min(1);
            fault.loc.insert(after, Loc::from("flow_request"));
        }
        faults.extend(place.of(item, found));
    }
    Ok(())
}

/// The planning of a call's runs.
struct Planning<'a> {
    app: &'a AppState,
    caller: &'a Caller,
    place: Place,
    faults: Vec<Fault>,
    /// Operations and dependencies so far.
    graphs: usize,
    /// Bytes so far.
    plans: usize,
    made: Vec<(usize, Made, Option<flow_request::Model>)>,
}

/// What became of a run that was to be planned.
type Planned = Result<(usize, Made, Option<flow_request::Model>), (usize, Vec<Fault>)>;

impl Planning<'_> {
    /// Plans all runs of a flow.
    async fn flow(&mut self, flow: Uuid, mut wanted: Vec<Wanted>) -> Result<(), ApiError> {
        let planner = self.planner(flow, &wanted).await?.map(Arc::new);
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(AT_ONCE));
            let some = std::mem::replace(&mut wanted, rest);
            self.some(planner.as_ref(), some).await?;
        }
        Ok(())
    }

    /// The planner of a flow; none where it has faults, which are noted.
    async fn planner(
        &mut self,
        flow: Uuid,
        wanted: &[Wanted],
    ) -> Result<Option<Planner>, ApiError> {
        let tenant = queries::of(self.app.db().reader(), self.caller.organization);
        let Some(version) = tenant.flow(FlowId(flow)).await? else {
            for one in wanted {
                let fault = vec![unknown("flow", "Flow")];
                self.faults.extend(self.place.of(one.item, fault));
            }
            return Ok(None);
        };
        let first = wanted.first().map_or(0, |one| one.item);
        let at = ["body", "flow"].map(Loc::from);
        match Planner::new(self.app, version, self.caller.local, &at).await {
            Ok(planner) => {
                self.graphs += planner.size();
                if self.graphs > MOST_GRAPHS {
                    return Err(self.too_much(first, "flow", "flows"));
                }
                Ok(Some(planner))
            }
            Err(ApiError::Invalid(faults)) => {
                self.faults.extend(self.place.of(first, faults));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn some(
        &mut self,
        planner: Option<&Arc<Planner>>,
        wanted: Vec<Wanted>,
    ) -> Result<(), ApiError> {
        let stored = self.stored(&wanted).await?;
        let Some(planner) = planner.cloned() else {
            return Ok(());
        };
        let caller = self.caller.clone();
        let heavy = planner.is_heavy(wanted.len());
        let plan = move || -> Result<Vec<Planned>, ApiError> {
            let one = |one| planned(&planner, &caller, &stored, one);
            wanted
                .into_iter()
                .filter_map(|wanted| one(wanted).transpose())
                .collect()
        };
        for planned in offload(heavy, plan).await?? {
            match planned {
                Err((item, faults)) => self.faults.extend(self.place.of(item, faults)),
                Ok(made) => {
                    self.plans += made.1.new.size();
                    if self.plans > MOST_PLANS {
                        return Err(self.too_much(made.0, "flow_request", "plans"));
                    }
                    self.made.push(made);
                }
            }
        }
        Ok(())
    }

    /// The stored requests that some runs name; those that are not there are noted.
    async fn stored(
        &mut self,
        wanted: &[Wanted],
    ) -> Result<HashMap<Uuid, flow_request::Model>, ApiError> {
        let named = |one: &Wanted| match one.body.flow_request {
            RequestOf::Stored(id) => Some(id),
            RequestOf::New(_) => None,
        };
        let ids: HashSet<Uuid> = wanted.iter().filter_map(named).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let tenant = queries::of(self.app.db().reader(), self.caller.organization);
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let rows = tenant.flow_requests_of(&ids).await?;
        let rows: HashMap<Uuid, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        for one in wanted {
            if named(one).is_some_and(|id| !rows.contains_key(&id)) {
                let fault = vec![unknown("flow_request", "Flow request")];
                self.faults.extend(self.place.of(one.item, fault));
            }
        }
        Ok(rows)
    }

    fn too_much(&self, item: usize, field: &'static str, what: &str) -> ApiError {
        let msg =
            format!("The {what} of this call are too large together; make fewer runs at once");
        let fault = Fault::new(loc!["body", field], "too_large", msg);
        ApiError::Invalid(self.place.of(item, vec![fault]))
    }

    fn end(mut self) -> Result<Making, ApiError> {
        if !self.faults.is_empty() {
            return Err(ApiError::Invalid(self.faults));
        }
        self.made.sort_unstable_by_key(|(item, ..)| *item);
        let mut making = Making {
            requests: Vec::new(),
            runs: Vec::with_capacity(self.made.len()),
            place: self.place,
        };
        for (_, made, request) in self.made {
            making.runs.push(made);
            making.requests.extend(request);
        }
        Ok(making)
    }
}

/// Plans a run; none if its request is not there.
fn planned(
    planner: &Planner,
    caller: &Caller,
    stored: &HashMap<Uuid, flow_request::Model>,
    wanted: Wanted,
) -> Result<Option<Planned>, ApiError> {
    let request = match (&wanted.request, &wanted.body.flow_request) {
        (Some(new), _) => Some(new),
        (None, RequestOf::Stored(id)) => stored.get(id),
        (None, RequestOf::New(_)) => None,
    };
    let Some(request) = request else {
        return Ok(None);
    };
    let plan = match planner.plan(caller, request, &["body", "flow_request"].map(Loc::from)) {
        Ok(plan) => plan,
        Err(faults) => return Ok(Some(Err((wanted.item, faults)))),
    };
    let made = Made::new(
        wanted.run,
        FlowRequestId(request.id),
        plan,
        wanted.body.triggered(),
        wanted.body.is_approved(),
    )?;
    Ok(Some(Ok((wanted.item, made, wanted.request))))
}
