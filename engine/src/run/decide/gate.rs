//! Answers to a gate inside a run. Each gate is a question of its own: deciding one says nothing about another.

use super::super::{LiveRun, Phase, VoteKind};
use super::approve::{cast, veto, voted};
use super::note::{by, progress};
use super::{AskChange, Change, Facts, Note, Refused, RunChange, Say, What, conflict};
use crate::Micros;
use crate::approval::{Ask, AskState};

/// A vote for the gate; the one that fills the last stage lets its task go on.
pub(super) fn approve(facts: &Facts, say: &Say, now: Micros) -> Result<Change, Refused> {
    let (live, ask) = asked(facts, say, VoteKind::Approve, now)?;
    let cast = cast(facts, ask, say, now)?;
    let note = Note {
        stage: Some(cast.stage_name),
        stands_in_for: cast.vote.stands_in_for.clone(),
        ..Note::of_say(
            What::Approve,
            say,
            progress(facts, cast.vote.stage as usize, &cast.after),
        )
    };
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.vote = Some(cast.vote);
    if let Some(next) = cast.next {
        change.live = Some(live.clone());
        // What the first approver filled in stands until a later one fills it in anew.
        change.ask = AskChange::Write(Ask {
            answer: say.answer.clone().or_else(|| ask.answer.clone()),
            ..next
        });
        return Ok(change);
    }
    let by = by(&say.actor, say.comment.as_deref());
    let decided = Ask {
        answer: say.answer.clone().or_else(|| ask.answer.clone()),
        ..ask.decided(AskState::Approved, format!("approved by {by}"))
    };
    Ok(settled(change, live, decided, now))
}

/// One veto closes the gate: its task fails.
pub(super) fn reject(facts: &Facts, say: &Say, now: Micros) -> Result<Change, Refused> {
    let (live, ask) = asked(facts, say, VoteKind::Reject, now)?;
    let vote = veto(facts, ask, say)?;
    let note = Note {
        stands_in_for: vote.stands_in_for.clone(),
        ..Note::of_say(What::Reject, say, "rejected")
    };
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.vote = Some(vote);
    let by = by(&say.actor, say.comment.as_deref());
    let decided = ask.decided(AskState::Rejected, format!("rejected by {by}"));
    Ok(settled(change, live, decided, now))
}

/// The change, and the gate is decided: whoever holds the run looks again, and a parked one goes on.
pub(super) fn settled(mut change: Change, live: &LiveRun, ask: Ask, now: Micros) -> Change {
    change.ask = AskChange::Write(ask);
    let mut live = LiveRun {
        inbox_seq: live.inbox_seq + 1,
        ..live.clone()
    };
    change.poke = live.owner.is_some();
    if live.phase == Phase::Parked {
        live.phase = Phase::Ready;
        live.ready_at = Some(now);
        live.wake_at = None;
        change.events.push("flow_run.resumed");
    }
    change.live = Some(live);
    change
}

/// The run and the open gate, if it waits for an answer on the plan that `say` names.
fn asked<'a>(
    facts: &'a Facts,
    say: &Say,
    kind: VoteKind,
    now: Micros,
) -> Result<(&'a LiveRun, &'a Ask), Refused> {
    if say
        .plan_hash
        .is_some_and(|hash| hash != facts.run.plan_hash)
    {
        return Err(Refused::StalePlan);
    }
    if facts.policy.is_none() {
        return Err(Refused::NoGate);
    }
    let voted = voted(facts, say, kind);
    let wanted = match kind {
        VoteKind::Approve => AskState::Approved,
        VoteKind::Reject => AskState::Rejected,
    };
    let Some(ask) = &facts.ask else {
        return Err(conflict(match facts.live {
            Some(_) => "The gate was not reached yet",
            None => "The flow run is over",
        }));
    };
    match ask.state {
        AskState::Open if voted => return Err(Refused::AlreadySo),
        AskState::Open => {}
        state if voted && state == wanted => return Err(Refused::AlreadySo),
        AskState::Expired => {
            return Err(Refused::Late(
                "The time to decide about this gate is over".to_owned(),
            ));
        }
        state => return Err(conflict(format!("The gate was already {state}"))),
    }
    if ask.is_over(now) {
        return Err(Refused::Late(
            "The time to decide about this gate is over".to_owned(),
        ));
    }
    match &facts.live {
        Some(live)
            if matches!(
                live.phase,
                Phase::Running | Phase::Parked | Phase::Paused | Phase::Ready
            ) =>
        {
            Ok((live, ask))
        }
        _ => Err(conflict("The flow run is over")),
    }
}
