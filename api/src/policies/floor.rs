//! The organization's policy, and flows laid on it.

use neena_engine::approval::{OnExpiry, Policy, PolicySpec};
use neena_engine::ids::OrganizationId;
use neena_engine::plan::Gate;
use neena_engine::{Fault, Loc, loc};
use neena_store::queries;
use serde_json::Value;

use super::body::Approval;
use crate::error::ApiError;
use crate::routes::flows::NewFlow;
use crate::state::AppState;

/// The policy that everything in an organization is laid on. `local`: whether it is the server's own.
pub(crate) async fn floor(
    app: &AppState,
    organization: OrganizationId,
    local: bool,
) -> Result<Policy, ApiError> {
    let tenant = queries::of(app.db().reader(), organization);
    floor_of(tenant.policy().await?.as_deref(), local)
}

/// What a stored policy of an organization comes to.
pub(crate) fn floor_of(given: Option<&str>, local: bool) -> Result<Policy, ApiError> {
    let least = least(local);
    let Some(given) = given else { return Ok(least) };
    // Nobody is asked less because something cannot be read.
    let unreadable = |why: String| ApiError::Internal(format!("an organization's policy: {why}"));
    let given: Approval = serde_json::from_str(given).map_err(|why| unreadable(why.to_string()))?;
    let (spec, _) = given
        .spec()
        .map_err(|faults| unreadable(format!("{faults:?}")))?;
    Ok(spec.on(&least).0)
}

/// A policy given for an organization, as it is stored; faults are located from the policy.
pub(crate) fn stored(given: &Approval, local: bool) -> Result<String, Vec<Fault>> {
    let (spec, _) = given.spec()?;
    let (policy, _) = spec.on(&least(local));
    let senseless = senseless(&spec, &policy);
    if !senseless.is_empty() {
        return Err(senseless);
    }
    Ok(serde_json::to_string(given).unwrap_or_default())
}

/// Where nobody said anything: one approval, in an organization not by the requester. Whoever runs a server
/// alone may approve what they asked for.
fn least(local: bool) -> Policy {
    Policy {
        distinct_from_requester: !local,
        ..Policy::quorum(1)
    }
}

/// A flow's policies, laid on its organization's.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) policy: Policy,
    /// In the order of the posted operations.
    pub(crate) gates: Vec<Option<Gate>>,
    /// By which settings it asks for less, each in the words it is stored and shown in.
    pub(crate) loosened: Vec<String>,
}

/// Lays a posted flow on `floor`. Faults are located from the flow.
pub(crate) fn lay(flow: &NewFlow, floor: &Policy) -> Result<Laid, Vec<Fault>> {
    laid(flow, floor, |spec, floor, index| {
        let (policy, loosened) = spec.on(floor);
        let words = loosened.iter().map(|setting| word(setting.0, index));
        (policy, words.collect())
    })
}

/// Lays a flow on what the floor has become since it was posted: it asks for no less than that, but for what
/// was allowed to be looser.
pub(crate) fn hold(flow: &NewFlow, floor: &Policy, allowed: &[String]) -> Result<Laid, ApiError> {
    let held = laid(flow, floor, |spec, floor, index| {
        let allowed = |setting: &str| allowed.contains(&word(setting, index));
        (spec.held_to(floor, allowed), Vec::new())
    });
    held.map_err(|faults| ApiError::Internal(format!("a stored flow's policy: {faults:?}")))
}

/// The gates of a flow whose policies have faults: enough to look for others.
pub(crate) fn unchecked(flow: &NewFlow, floor: &Policy) -> Vec<Option<Gate>> {
    let gate = |_: &Approval| Gate {
        policy: floor.of_gates(),
        input: None,
    };
    flow.gates().map(|(_, given)| given.map(gate)).collect()
}

/// How a policy is laid on a floor: the policy, and the settings by which it asks for less.
trait Way: Fn(&PolicySpec, &Policy, Option<u32>) -> (Policy, Vec<String>) {}

impl<F: Fn(&PolicySpec, &Policy, Option<u32>) -> (Policy, Vec<String>)> Way for F {}

fn laid(flow: &NewFlow, floor: &Policy, way: impl Way) -> Result<Laid, Vec<Fault>> {
    let mut found = Found::default();
    let whole = loc!["approval"];
    if flow.approval().is_some_and(Approval::has_form) {
        let at = [&*whole, &["input".into()]].concat();
        found.fault(at, "not_supported", "Only a task asks for input");
    }
    let policy = found.lay(flow.approval(), (floor, None), whole, &way);
    let of_gates = floor.of_gates();
    let mut gates = Vec::new();
    for (place, (index, given)) in flow.gates().enumerate() {
        let at = loc!["task_operations", place, "approval"];
        let Some(given) = given else {
            gates.push(None);
            continue;
        };
        if given.asks_nobody() {
            let at = [&*at, &given.place_of_mode()].concat();
            let msg = "A gate asks somebody: leave `approval` out for none";
            found.fault(at, "value_error", msg);
        }
        let laid = found.lay(Some(given), (&of_gates, Some(index)), at, &way);
        gates.push(laid.map(|(policy, input)| Gate { policy, input }));
    }
    match policy {
        Some((policy, _)) if found.faults.is_empty() => Ok(Laid {
            policy,
            gates,
            loosened: found.loosened,
        }),
        _ => Err(found.faults),
    }
}

/// What laying the policies of a flow brings to light.
#[derive(Default)]
struct Found {
    faults: Vec<Fault>,
    loosened: Vec<String>,
}

impl Found {
    fn fault(&mut self, at: Vec<Loc>, kind: &'static str, msg: &str) {
        self.faults.push(Fault::new(at, kind, msg));
    }

    /// A policy laid on its floor, and its form.
    fn lay(
        &mut self,
        given: Option<&Approval>,
        (floor, index): (&Policy, Option<u32>),
        at: Vec<Loc>,
        way: &impl Way,
    ) -> Option<(Policy, Option<Value>)> {
        let spec = given.map_or_else(|| Ok((PolicySpec::default(), None)), Approval::spec);
        let (spec, input) = match spec {
            Ok(spec) => spec,
            Err(faults) => {
                self.faults.extend(below(&at, faults));
                return None;
            }
        };
        let (policy, looser) = way(&spec, floor, index);
        self.faults.extend(below(&at, senseless(&spec, &policy)));
        self.loosened.extend(looser);
        Some((policy, input))
    }
}

/// What a policy says to no effect.
pub(super) fn senseless(spec: &PolicySpec, policy: &Policy) -> Vec<Fault> {
    let mut faults = Vec::new();
    let timed = spec.on_expiry.is_some() || spec.remind_before_ms.is_some();
    if timed && policy.expires_in_ms.is_none() {
        let msg = "Without it nothing expires";
        faults.push(Fault::new(loc!["expires_in_seconds"], "missing", msg));
    }
    if policy.on_expiry == OnExpiry::Escalate && policy.escalate_to.is_anyone() {
        let msg = "Somebody should be named who may answer as well";
        faults.push(Fault::new(loc!["escalate_to"], "missing", msg));
    }
    faults
}

fn below(at: &[Loc], faults: Vec<Fault>) -> impl Iterator<Item = Fault> {
    let at = at.to_vec();
    faults.into_iter().map(move |mut fault| {
        fault.loc.splice(0..0, at.iter().cloned());
        fault
    })
}

/// What a setting of the flow, or of the gate of the task at `index`, is called.
fn word(setting: &str, index: Option<u32>) -> String {
    match index {
        None => setting.to_owned(),
        Some(index) => format!("{setting} of task {index}"),
    }
}
