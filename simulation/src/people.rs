//! Those who ask for runs, approve, reject, cancel and retry them, and ask again when no answer comes.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::ids::{FlowRequestId, OrganizationId, RunId, UserId};
use neena_engine::run::{Actor, Decision, RunStatus, Say};
use neena_store::{Decided, Deciding, NewRun};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::bug::Bug;
use crate::flow::Flow;
use crate::gates;
use crate::world::World;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often somebody asks.
const TRIES: u32 = 12;

/// Somebody submits run number `number`; others decide about it.
pub(crate) async fn submit(world: Arc<World>, number: u64) {
    let luck = gates::luck(&world, number);
    let flow = match Flow::random(&world.dice, &luck, world.has(Bug::EffectsRunAhead)) {
        Ok(flow) => Arc::new(flow),
        Err(error) => return world.held(Err(format!("no flow could be made: {error}"))),
    };
    let run = RunId(Uuid::from_u128(u128::from(number)));
    let request = FlowRequestId(Uuid::nil());
    let new = match NewRun::new(run, request, flow.plan.clone(), None) {
        Ok(new) => new,
        Err(error) => return world.held(Err(format!("no run could be made: {error}"))),
    };
    world.store.insert_run(&new);
    world.note(|| format!("run {run} is made: {:?}", flow.steps));
    world.tally("~ runs");
    world.checker.lock().made(run, flow.clone());
    let dice = &world.dice;
    let voters = u64::from(flow.quorum) + u64::from(dice.chance(100));
    let together = dice.chance(500);
    let first = dice.millis(0, 1_500);
    for voter in 0..voters {
        let wait = if together {
            first
        } else {
            first + dice.millis(0, 800)
        };
        tokio::spawn(approve(world.clone(), run, voter, wait));
    }
    if dice.chance(60) {
        let wait = dice.millis(0, 2_500);
        let actor = someone(9);
        let reject = Decision::Reject(Say::of_run(actor, None));
        tokio::spawn(once(world.clone(), run, reject, wait));
    }
    if dice.chance(300) {
        let wait = dice.millis(0, 12_000);
        let cancel = Decision::Cancel { actor: someone(8) };
        tokio::spawn(once(world.clone(), run, cancel, wait));
    }
    if flow.asks() {
        world.tally("~ runs with gates");
        tokio::spawn(gates::answer(world.clone(), run, luck));
    }
    if flow.hangs() {
        tokio::spawn(end_hanging(world.clone(), run));
    }
    if dice.chance(400) {
        tokio::spawn(retry(world.clone(), run, dice.between(1, 2)));
    }
}

async fn approve(world: Arc<World>, run: RunId, voter: u64, wait: Duration) {
    sleep(wait).await;
    let actor = someone(voter);
    let decision = Decision::Approve(Say::of_run(actor, None));
    if let Some(Decided::Done { .. } | Decided::AlreadySo) = ask(&world, run, decision).await {
        let mut checker = world.checker.lock();
        let approved = checker.approved.entry(run).or_default();
        approved.insert(u128::from(voter));
    }
}

/// Somebody decides in a while.
pub(crate) async fn once(world: Arc<World>, run: RunId, decision: Decision, wait: Duration) {
    sleep(wait).await;
    ask(&world, run, decision).await;
}

/// A run that goes on for ever is cancelled in the end.
async fn end_hanging(world: Arc<World>, run: RunId) {
    sleep(world.dice.millis(2_000, 30_000)).await;
    loop {
        if world.store.live(run).is_some() {
            let cancel = Decision::Cancel { actor: someone(8) };
            ask(&world, run, cancel).await;
        }
        // It may be retried, and then it hangs again.
        sleep(Duration::from_secs(5)).await;
    }
}

/// Retries a run that ended badly, so often.
async fn retry(world: Arc<World>, run: RunId, mut rounds: u64) {
    while rounds > 0 && !world.is_calm() {
        sleep(world.dice.millis(500, 4_000)).await;
        let status = world.store.run(run).map(|row| row.run.status);
        if !matches!(status, Some(RunStatus::Failed | RunStatus::Cancelled)) {
            continue;
        }
        rounds -= 1;
        let retry = Decision::Retry { actor: someone(7) };
        ask(&world, run, retry).await;
    }
}

/// Asks one server after the other until one answers.
pub(crate) async fn ask(world: &Arc<World>, run: RunId, decision: Decision) -> Option<Decided> {
    for _ in 0..TRIES {
        let deciding = Deciding {
            run,
            organization: OrganizationId(Uuid::nil()),
            decision: decision.clone(),
            code_current: true,
        };
        let server = {
            let servers = world.servers.lock();
            let there: Vec<_> = servers.iter().flatten().cloned().collect();
            world.dice.pick(&there).cloned()
        };
        if let Some(server) = server {
            // The server goes on even if nobody waits for it.
            let answer = tokio::spawn(async move { server.decide(&deciding).await });
            if let Ok(Ok(Ok(decided))) = timeout(PATIENCE, answer).await {
                return Some(decided);
            }
        }
        sleep(world.dice.millis(100, 2_000)).await;
    }
    None
}

pub(crate) fn someone(number: u64) -> Actor {
    Actor {
        user: UserId(Uuid::from_u128(1_000 + u128::from(number))),
        email: format!("someone{number}@example.com"),
        permissions: vec!["approve".into()],
        way: "simulation",
    }
}
