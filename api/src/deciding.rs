//! The one way to decide: whatever way a decision comes in by, it is checked, carried out and answered here.

mod renewing;

use std::collections::HashMap;
use std::sync::Arc;

use neena_engine::approval::Subject;
use neena_engine::ids::{OrganizationId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, Phase, Refused, RunStatus, Say, TaskKey};
use neena_engine::{Fault, Json, loc};
use neena_store::entities::flow_run;
use neena_store::queries;
use neena_store::{Decided, Deciding, Message, Transaction, decide_all_within};
use uuid::Uuid;

use self::renewing::Currency;
use crate::error::ApiError;
use crate::extract::within;
use crate::forms;
use crate::offload::offload;
use crate::state::AppState;

const THING: &str = "Flow run";

/// What a decision did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The run as it was before; none where the decision did not depend on it.
    pub(crate) before: Option<flow_run::Model>,
    /// In which phase it was left; none: it is over, or nothing changed.
    pub(crate) phase: Option<Phase>,
}

/// Carries a decision out, durably, and passes on what it caused. Not found is also what another
/// organization's run is.
pub(crate) async fn decide(
    app: &AppState,
    organization: OrganizationId,
    run: RunId,
    mut decision: Decision,
) -> Result<Outcome, ApiError> {
    let mut before = None;
    let mut plan = None;
    let mut code_current = true;
    if let Decision::Approve(say) | Decision::Reject(say) = &decision {
        let tenant = queries::of(app.db().reader(), organization);
        let (row, planned) = tokio::join!(tenant.flow_run(run), app.store().plan(run));
        // Before the plan: of a run that is not there, or another's, nothing is told.
        let row = row?.ok_or(ApiError::NotFound(THING))?;
        let planned = planned?;
        let (gate, answered) = (say.on != Subject::Run, say.answer.is_some());
        let unstarted = row.status == RunStatus::Pending.as_str();
        if gate || answered {
            filled_in(app, (run, &planned), &mut decision).await?;
        } else if unstarted && matches!(decision, Decision::Approve(_)) {
            code_current = Currency::default().of(app, &row, &planned).await?;
        }
        before = Some(row);
        plan = Some(planned);
    }
    let deciding = Deciding {
        run,
        organization,
        decision,
        code_current,
    };
    let decided = match plan {
        Some(plan) => app.store().decide_all(&[(deciding, plan)]).await?.pop(),
        None => Some(app.store().decide(&deciding).await?),
    };
    let decided = decided.unwrap_or(Decided::NotFound);
    let mut told = Told::default();
    let outcome = told.outcome(app, (organization, run), before, decided);
    let outcome = outcome.await;
    app.announce(told.messages, told.pokes);
    outcome
}

/// What is to be passed on of decisions once they are committed.
#[derive(Default)]
struct Told {
    messages: Vec<Message>,
    pokes: Vec<(WorkerId, RunId)>,
}

impl Told {
    async fn outcome(
        &mut self,
        app: &AppState,
        (organization, run): (OrganizationId, RunId),
        before: Option<flow_run::Model>,
        decided: Decided,
    ) -> Result<Outcome, ApiError> {
        match decided {
            Decided::Done { live, outbox, poke } => {
                self.messages.extend(outbox);
                self.pokes.extend(poke.map(|worker| (worker, run)));
                Ok(Outcome {
                    before,
                    phase: live.map(|live| live.phase),
                })
            }
            Decided::AlreadySo | Decided::Refused(Refused::AlreadySo) => Ok(Outcome {
                before,
                phase: None,
            }),
            Decided::NotFound => Err(ApiError::NotFound(THING)),
            Decided::Refused(Refused::CodeChanged) => {
                let began = before.is_some_and(|row| row.start_time.is_some());
                let (messages, answer) = renewing::renew(app, organization, run, began).await?;
                self.messages.extend(messages);
                Err(answer)
            }
            Decided::Refused(refused) => Err(refusal(&refused)),
        }
    }
}

/// Carries decisions about the plans of many runs out, each as [`decide`] would, one after the other; what each did,
/// in order.
pub(crate) async fn decide_all(
    app: &AppState,
    organization: OrganizationId,
    all: Vec<(RunId, Decision)>,
) -> Result<Vec<Result<Outcome, ApiError>>, ApiError> {
    let mut ids: Vec<Uuid> = all.iter().map(|(run, _)| run.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let tenant = queries::of(app.db().reader(), organization);
    let rows = tenant.flow_run_rows(&ids).await?;
    let rows: HashMap<Uuid, flow_run::Model> = rows.into_iter().map(|row| (row.id, row)).collect();
    let runs: Vec<RunId> = rows.keys().map(|id| RunId(*id)).collect();
    let plans = app.store().plans(&runs).await?;
    let mut current = Currency::default();
    let mut asked = Vec::with_capacity(all.len());
    let mut to_decide = Vec::with_capacity(all.len());
    for (run, decision) in all {
        let known = rows.get(&run.0).zip(plans.get(&run));
        asked.push((run, known.is_some()));
        let Some((row, plan)) = known else { continue };
        let starts =
            matches!(decision, Decision::Approve(_)) && row.status == RunStatus::Pending.as_str();
        let deciding = Deciding {
            run,
            organization,
            decision,
            code_current: !starts || current.of(app, row, plan).await?,
        };
        to_decide.push((deciding, Arc::clone(plan)));
    }
    let decided = app.store().decide_all(&to_decide).await?;
    let mut decided = decided.into_iter();
    let mut told = Told::default();
    let mut outcomes = Vec::with_capacity(asked.len());
    for (run, known) in asked {
        outcomes.push(match known.then(|| decided.next()).flatten() {
            Some(decided) => {
                let before = rows.get(&run.0).cloned();
                told.outcome(app, (organization, run), before, decided)
                    .await
            }
            None => Err(ApiError::NotFound(THING)),
        });
    }
    app.announce(told.messages, told.pokes);
    Ok(outcomes)
}

/// A decision about a run that is made in the same unit of work.
pub(crate) struct AtOnce {
    pub(crate) run: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) decision: Decision,
}

/// Decides about runs that are made in the same unit of work, which a refusal undoes as a whole: it is given with its
/// place among them. The messages are to be announced after the commit.
pub(crate) async fn decide_new(
    tx: &Transaction,
    organization: OrganizationId,
    all: Vec<AtOnce>,
) -> Result<Vec<Message>, (usize, ApiError)> {
    let deciding = |new: AtOnce| {
        let deciding = Deciding {
            run: new.run,
            organization,
            decision: new.decision,
            // The plan was made of the catalogue a moment ago.
            code_current: true,
        };
        (deciding, new.plan)
    };
    let decided = decide_all_within(tx, all.into_iter().map(deciding).collect()).await;
    let mut messages = Vec::new();
    for (place, one) in decided
        .map_err(|error| (0, error.into()))?
        .into_iter()
        .enumerate()
    {
        match one {
            Decided::Done { outbox, .. } => messages.extend(outbox),
            Decided::AlreadySo => {}
            Decided::Refused(refused) => return Err((place, refusal(&refused))),
            Decided::NotFound => {
                return Err((place, ApiError::Internal("a new run is gone".to_owned())));
            }
        }
    }
    Ok(messages)
}

/// The answer to a decision that changed nothing.
pub(crate) fn refusal(refused: &Refused) -> ApiError {
    match refused {
        Refused::StalePlan => ApiError::StalePlan,
        Refused::Denied(denied) => ApiError::Forbidden(sentence(&denied.to_string())),
        Refused::NoGate => ApiError::NotFound("Gate"),
        Refused::ReasonRequired => ApiError::fault(Fault::new(
            loc!["body", "comment"],
            "missing",
            sentence(&refused.to_string()),
        )),
        Refused::AlreadySo
        | Refused::Conflict(_)
        | Refused::Late(_)
        | Refused::CodeChanged
        | Refused::NotDue => ApiError::Conflict(sentence(&refused.to_string())),
    }
}

/// Checks what a form was filled in with. An approval without an answer confirms what an approver before
/// filled in.
async fn filled_in(
    app: &AppState,
    (run, plan): (RunId, &Plan),
    decision: &mut Decision,
) -> Result<(), ApiError> {
    let approves = matches!(decision, Decision::Approve(_));
    let (Decision::Approve(say) | Decision::Reject(say)) = decision else {
        return Ok(());
    };
    // A plan that was not looked at says nothing about what was meant to be answered.
    if say.plan_hash.is_some_and(|hash| hash != plan.hash) {
        return Err(ApiError::StalePlan);
    }
    let form = match say.on {
        Subject::Run => None,
        Subject::Gate(key) => form(plan, key)?,
    };
    match (form, say.answer.take()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(unasked("There is nothing to fill in")),
        (Some(_), Some(_)) if !approves => Err(unasked("A rejection fills nothing in")),
        (Some(_), None) if !approves => Ok(()),
        (Some(schema), Some(answer)) => {
            let schema = schema.clone();
            let forms = app.forms().clone();
            let (answer, faults) = offload(true, move || {
                let faults = forms.faults(&schema, answer.text());
                (answer, faults)
            })
            .await?;
            if !faults.is_empty() {
                return Err(ApiError::Invalid(within("body", within("answer", faults))));
            }
            say.answer = Some(answer);
            Ok(())
        }
        (Some(_), None) => {
            say.answer = earlier(app, run, say).await?;
            Ok(())
        }
    }
}

/// What is filled in at the gate; none where nothing is.
fn form(plan: &Plan, key: TaskKey) -> Result<Option<&serde_json::Value>, ApiError> {
    let position = plan.graph.position(key.index);
    let gate = position.and_then(|at| plan.graph.operation(at).approval.as_ref());
    Ok(gate.ok_or(ApiError::NotFound("Gate"))?.input.as_ref())
}

/// What the gate was answered before; none where it does not ask (any more), which the decision itself
/// will find.
async fn earlier(app: &AppState, run: RunId, say: &Say) -> Result<Option<Json>, ApiError> {
    let asks = app.store().gates(run).await?;
    let Some(ask) = asks.into_iter().find(|ask| ask.subject == say.on) else {
        return Ok(None);
    };
    let open = ask.state == neena_engine::approval::AskState::Open;
    if open && ask.answer.is_none() {
        return Err(ApiError::fault(Fault::new(
            loc!["body", "answer"],
            "missing",
            "Field required",
        )));
    }
    Ok(ask.answer)
}

fn unasked(msg: &str) -> ApiError {
    ApiError::fault(Fault::new(loc!["body", "answer"], forms::UNASKED, msg))
}

/// With a capital letter: what people read.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
