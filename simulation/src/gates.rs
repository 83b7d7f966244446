//! Gates of simulated flows, and those who answer them.

use std::sync::Arc;

use neena_engine::Json;
use neena_engine::approval::{AskState, OnExpiry, Policy};
use neena_engine::ids::RunId;
use neena_engine::run::{Decision, Say};
use serde_json::json;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::people::{ask, once, someone};
use crate::world::World;

/// The part of the dice that gates roll, apart from that of processes.
const PART: u64 = 1 << 32;
/// How many people answer; more than any gate takes.
const PEOPLE: u64 = 6;

/// The luck of the gates of a run.
pub(crate) fn luck(world: &World, run: u64) -> Dice {
    Dice::new(world.seed, PART + run)
}

/// Whom the gates of a flow ask, task by task; most flows have none.
pub(crate) fn random(dice: &Dice, tasks: usize) -> Vec<Option<Policy>> {
    let per_mille = if dice.chance(450) { 350 } else { 0 };
    let gates = (0..tasks).map(|_| dice.chance(per_mille).then(|| policy(dice)));
    gates.collect()
}

/// One or two stages of one or two people, often for a limited time.
fn policy(dice: &Dice) -> Policy {
    let count = if dice.chance(200) { 2 } else { 1 };
    let mut policy = Policy::quorum(count);
    if dice.chance(300)
        && let Some(first) = policy.stages.first().cloned()
    {
        policy.stages.push(first);
    }
    if dice.chance(450) {
        let limit = dice.between(800, 15_000);
        policy.expires_in_ms = Some(limit);
        let ways = [OnExpiry::Reject, OnExpiry::Escalate, OnExpiry::Approve];
        policy.on_expiry = dice.pick(&ways).copied().unwrap_or_default();
        if dice.chance(500) {
            policy.remind_before_ms = vec![limit / 2];
        }
    }
    policy
}

/// Answers what is asked within a run, for ever: whoever comes by says yes or no, now and then two at once. Once the
/// faults have stopped everything is let go on.
pub(crate) async fn answer(world: Arc<World>, run: RunId, dice: Dice) {
    let mut visits: u64 = 0;
    loop {
        sleep(dice.millis(50, 3_000)).await;
        let asked = world.store.asked_gates(run).into_iter();
        for open in asked.filter(|ask| ask.state == AskState::Open) {
            let calm = world.is_calm();
            if !calm && dice.chance(350) {
                continue;
            }
            visits += 1;
            let say = Say {
                on: open.subject,
                answer: dice.chance(500).then(|| Json::of(&json!(visits))),
                ..Say::of_run(someone(20 + dice.below(PEOPLE)), None)
            };
            let decision = match !calm && dice.chance(120) {
                true => Decision::Reject(say),
                false => Decision::Approve(say),
            };
            world.tally("~ answers to gates");
            if dice.chance(500) {
                let wait = dice.millis(0, 400);
                tokio::spawn(once(world.clone(), run, decision, wait));
            } else {
                ask(&world, run, decision).await;
            }
        }
    }
}
