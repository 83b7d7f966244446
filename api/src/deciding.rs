//! The one way to decide: whatever way a decision comes in by, it is checked, carried out and answered here.

use std::collections::HashMap;

use neena_engine::approval::Subject;
use neena_engine::ids::{OrganizationId, RunId, TaskDefinitionId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, History, Phase, Refused, RunStatus, Say, TaskKey};
use neena_engine::{Fault, Json, loc};
use neena_store::entities::flow_run;
use neena_store::queries::{self, catalogue};
use neena_store::renewal::{Renewal, history, renewal};
use neena_store::{Decided, Deciding, Message, decide_within};
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

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
    let mut code_current = true;
    if let Decision::Approve(say) | Decision::Reject(say) = &decision {
        let tenant = queries::of(app.db().reader(), organization);
        let row = tenant.flow_run(run).await?;
        let row = row.ok_or(ApiError::NotFound(THING))?;
        let (gate, answered) = (say.on != Subject::Run, say.answer.is_some());
        let unstarted = row.status == RunStatus::Pending.as_str();
        if gate || answered {
            filled_in(app, run, &mut decision).await?;
        } else if unstarted && matches!(decision, Decision::Approve(_)) {
            let history = history(app.store(), run, row.start_time.is_some()).await?;
            code_current = is_current(app, &*app.store().plan(run).await?, &history).await?;
        }
        before = Some(row);
    }
    let deciding = Deciding {
        run,
        organization,
        decision,
        code_current,
    };
    match app.store().decide(&deciding).await? {
        Decided::Done { live, outbox, poke } => {
            app.announce(outbox, poke.map(|worker| (worker, run)));
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
            Err(moved_on(app, organization, run, before.as_ref()).await?)
        }
        Decided::Refused(refused) => Err(refusal(&refused)),
    }
}

/// The answer to who would approve a plan whose code is not the registry's any more. The run is given the plan with
/// the code there is now, which they are to look at.
async fn moved_on(
    app: &AppState,
    organization: OrganizationId,
    run: RunId,
    row: Option<&flow_run::Model>,
) -> Result<ApiError, ApiError> {
    let plan = app.store().plan(run).await?;
    let history = history(
        app.store(),
        run,
        row.is_some_and(|row| row.start_time.is_some()),
    )
    .await?;
    let changed = sentence(&Refused::CodeChanged.to_string());
    let plan = match renewal(app.store(), &plan, &history).await? {
        Renewal::Plan(new) => Decision::Resubmit {
            plan: new,
            from: plan.hash,
            why: Refused::CodeChanged.to_string(),
        },
        Renewal::Current => return Ok(ApiError::Conflict(changed)),
        Renewal::Unfit(why) => {
            let answer = format!("{changed}, and the flow does not fit it any more: {why}");
            return Ok(ApiError::Conflict(answer));
        }
    };
    let deciding = Deciding {
        run,
        organization,
        decision: plan,
        code_current: true,
    };
    // Another may have done it meanwhile: whatever the plan is now, it is to be read.
    if let Decided::Done { outbox, .. } = app.store().decide(&deciding).await? {
        app.announce(outbox, None);
    }
    let answer = format!("{changed}; it holds a new plan now, which is to be read and approved");
    Ok(ApiError::Conflict(answer))
}

/// Decides about a run that is made in the same unit of work, which a refusal undoes as a whole. The
/// messages are to be announced after its commit.
pub(crate) async fn decide_new(
    tx: &DatabaseTransaction,
    organization: OrganizationId,
    run: RunId,
    decision: Decision,
    plan: &Plan,
) -> Result<Vec<Message>, ApiError> {
    let deciding = Deciding {
        run,
        organization,
        decision,
        // The plan was made of the catalogue a moment ago.
        code_current: true,
    };
    match decide_within(tx, deciding, plan).await? {
        Decided::Done { outbox, .. } => Ok(outbox),
        Decided::AlreadySo => Ok(Vec::new()),
        Decided::Refused(refused) => Err(refusal(&refused)),
        Decided::NotFound => Err(ApiError::Internal("a new run is gone".to_owned())),
    }
}

/// Whether every task of the plan that has not ended still has, in the catalogue, the code it was planned with.
async fn is_current(app: &AppState, plan: &Plan, history: &History) -> Result<bool, ApiError> {
    let operations = &plan.graph.body().operations;
    let ended = history.ended();
    let planned: HashMap<Uuid, &str> = operations
        .iter()
        .filter(|operation| !ended.contains(&operation.index))
        .map(|operation| (operation.definition, operation.code_digest.as_str()))
        .collect();
    let ids = planned.keys().map(|id| TaskDefinitionId(*id));
    let known = catalogue::digests_of(app.db().reader(), ids).await?;
    let current = |(id, digest): (&Uuid, &&str)| known.get(id).is_some_and(|now| now == digest);
    Ok(planned.iter().all(current))
}

/// The answer to a decision that changed nothing.
fn refusal(refused: &Refused) -> ApiError {
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
async fn filled_in(app: &AppState, run: RunId, decision: &mut Decision) -> Result<(), ApiError> {
    let approves = matches!(decision, Decision::Approve(_));
    let (Decision::Approve(say) | Decision::Reject(say)) = decision else {
        return Ok(());
    };
    let plan = app.store().plan(run).await?;
    // A plan that was not looked at says nothing about what was meant to be answered.
    if say.plan_hash.is_some_and(|hash| hash != plan.hash) {
        return Err(ApiError::StalePlan);
    }
    let form = match say.on {
        Subject::Run => None,
        Subject::Gate(key) => form(&plan, key)?,
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
