//! The database as a process reaches it: over a network that loses, delays and forgets, on a machine that crashes.

mod lazy;
mod verbs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use neena_engine::ids::{ClaimId, RunId};
use neena_store::{Res, StoreError};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::process::Process;
use crate::world::World;

/// A run under one claim.
type Hold = (RunId, ClaimId);

/// One process's way to the database.
#[derive(Debug)]
pub(crate) struct Database {
    world: Arc<World>,
    process: Arc<Process>,
    /// The claims this process was told of, by run and epoch.
    claims: Mutex<BTreeMap<(RunId, i64), Vec<ClaimId>>>,
    /// Holds under which something was committed lazily, and how often the database had crashed then.
    lazily: Mutex<BTreeMap<Hold, u64>>,
}

/// What a verb does to the tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reads,
    Writes,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Unavailable,
    AnswerLost,
    CallLost,
    Ghost,
}

impl Database {
    pub fn new(world: Arc<World>, process: Arc<Process>) -> Database {
        Database {
            world,
            process,
            claims: Mutex::default(),
            lazily: Mutex::default(),
        }
    }

    /// The claim of this epoch by which this process took a run, whether it still stands or not. There are two
    /// if a crash of the database took back the first.
    pub fn claims_of(&self, run: RunId, epoch: i64) -> Vec<ClaimId> {
        let claims = self.claims.lock();
        claims.get(&(run, epoch)).cloned().unwrap_or_default()
    }

    /// Carries a call to the database, where `act` is done at once, and its answer back.
    async fn call<T: Send + 'static>(
        &self,
        verb: &'static str,
        kind: Kind,
        act: impl FnOnce(&World) -> T + Send + 'static,
    ) -> Res<T> {
        self.process.gate().await;
        let crashes = self.world.condition.lock().crashes;
        self.call_by(crashes, verb, kind, act).await
    }

    /// The same on a connection that was made after so many crashes.
    async fn call_by<T: Send + 'static>(
        &self,
        crashes: u64,
        verb: &'static str,
        kind: Kind,
        act: impl FnOnce(&World) -> T + Send + 'static,
    ) -> Res<T> {
        let (fate, before, after) = self.draw(kind);
        pass(before).await;
        self.on_the_wire().await;
        let refused = self.refusal(kind, crashes);
        let number = self.process.number;
        let answer = match (refused, fate) {
            (Some(error), _) => Err(error),
            (None, Fate::Unavailable) => Err(StoreError::Unavailable("as simulated".into())),
            (None, Fate::CallLost) => Err(StoreError::Unknown("as simulated".into())),
            (None, Fate::Fine) => Ok(act(&self.world)),
            (None, Fate::AnswerLost) => {
                act(&self.world);
                Err(StoreError::Unknown("as simulated".into()))
            }
            (None, Fate::Ghost) => {
                self.haunt(verb, act);
                Err(StoreError::Unknown("as simulated".into()))
            }
        };
        pass(after).await;
        self.process.gate().await;
        let torn = self.world.condition.lock().crashes != crashes && kind == Kind::Writes;
        let answer = match answer {
            Ok(_) if torn => Err(StoreError::Unknown("the connection was torn".into())),
            answer => answer,
        };
        if let Err(error) = &answer {
            self.world
                .note(|| format!("p{number} {verb} {fate:?}: {error}"));
        }
        answer
    }

    /// The call is done later, when nobody expects it any more.
    fn haunt<T: Send + 'static>(
        &self,
        verb: &'static str,
        act: impl FnOnce(&World) -> T + Send + 'static,
    ) {
        let (world, number) = (self.world.clone(), self.process.number);
        let wait = self.process.dice.millis(1, 6_000);
        let crashes = world.condition.lock().crashes;
        tokio::spawn(async move {
            sleep(wait).await;
            // A crash ends it.
            if world.condition.lock().crashes == crashes {
                world.note(|| format!("p{number} {verb} lands late"));
                act(&world);
            }
        });
    }

    /// A process that dies or stands still may have sent its call before, or not.
    async fn on_the_wire(&self) {
        let lost = self.process.is_dead() && self.process.dice.chance(500);
        let held_back = self.process.stands_still() && self.process.dice.chance(700);
        if lost || held_back {
            self.process.gate().await;
        }
    }

    /// What becomes of a call, and how long it and its answer travel.
    fn draw(&self, kind: Kind) -> (Fate, Duration, Duration) {
        let dice = &self.process.dice;
        let condition = self.world.condition.lock();
        let weather = &condition.weather;
        let slow = condition.database_slow || dice.chance(weather.slow);
        let luck = dice.below(1_000);
        let fates = [
            (Fate::Unavailable, weather.unavailable, "call refused"),
            (Fate::AnswerLost, weather.answer_lost, "answer lost"),
            (Fate::CallLost, weather.call_lost, "call lost"),
            (Fate::Ghost, weather.ghost, "call landed late"),
        ];
        let mut sum = 0;
        let mut fate = Fate::Fine;
        for (one, chance, name) in fates {
            let within = (sum..sum + chance).contains(&luck);
            sum += chance;
            if within && (kind == Kind::Writes || one == Fate::Unavailable) {
                fate = one;
                self.world.tally(name);
            }
        }
        let (most, least) = match (slow, dice.below(3)) {
            (true, _) => (4_000, 100),
            (false, 0) => (3, 0),
            (false, _) => (1, 0),
        };
        if slow {
            self.world.tally("slow call");
        }
        let before = dice.millis(least, most);
        let after = match dice.chance(300) {
            true => dice.millis(0, 2),
            false => Duration::ZERO,
        };
        (fate, before, after)
    }

    /// Why a call on a connection that was made after so many crashes finds no database.
    fn refusal(&self, kind: Kind, crashes: u64) -> Option<StoreError> {
        let condition = self.world.condition.lock();
        if condition.database_down || condition.crashes != crashes {
            return Some(StoreError::Unavailable("the database is down".into()));
        }
        if condition.disk_full && kind == Kind::Writes {
            return Some(StoreError::Full("the disk is full".into()));
        }
        None
    }
}

/// Lets time pass; none costs nothing.
pub(crate) async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// The answer of the store in memory, which never waits.
fn at_once<T>(future: impl Future<Output = Res<T>>) -> Res<T> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(StoreError::Unavailable("memory waits for nothing".into())),
    }
}
