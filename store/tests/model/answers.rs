//! What stores answer, in words that are the same for all.

use neena_engine::run::LiveRun;
use neena_store::{Decided, Held, Message, Verdict};

/// What a decision did, in words that are the same for all.
pub fn decided_words(decided: Decided) -> String {
    match decided {
        Decided::Done { live, outbox, poke } => {
            let live = live.map(|live| of_live(&live));
            format!("{live:?} {} {poke:?}", messages(&outbox))
        }
        other => format!("{other:?}"),
    }
}

pub fn verdict(of: &Verdict) -> String {
    match of.held {
        false => format!("{} fenced", of.run),
        true => format!(
            "{} {} {:?} {} {} {}",
            of.run,
            of.phase,
            of.intent,
            of.inbox_seq,
            of.applied,
            messages(&of.outbox)
        ),
    }
}

pub fn helds(mut held: Vec<Held>) -> String {
    held.sort_by_key(|held| held.run);
    let of = |of: &Held| {
        let deadline = of.deadline_at.is_some();
        format!(
            "{} {} {} {} {} {:?} {} {deadline}",
            of.run, of.claim, of.epoch, of.claims, of.phase, of.intent, of.inbox_seq
        )
    };
    held.iter().map(of).collect::<Vec<_>>().join("; ")
}

pub fn messages(of: &[Message]) -> String {
    let mut of: Vec<String> = of
        .iter()
        .map(|message| format!("{} {} {}", message.run, message.kind, message.epoch))
        .collect();
    of.sort();
    of.join(", ")
}

fn of_live(live: &LiveRun) -> String {
    format!(
        "{} {:?} {:?} {:?} {} {} {}",
        live.phase, live.intent, live.owner, live.claim, live.epoch, live.claims, live.inbox_seq
    )
}
