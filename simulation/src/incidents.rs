//! What befalls whole processes, the database and the broker.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::node::Node;
use crate::process::Process;
use crate::world::World;

/// Something that happens to the world at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    Crash,
    ServerCrash,
    Pause,
    Stop,
    KeeperDeath,
    CodeGone,
    DatabaseCrash,
    Outage,
    DiskFull,
    SlowSpell,
    BrokerOutage,
    Purge,
}

/// The incidents of a world that lasts `length` milliseconds, by time.
pub(crate) fn schedule(world: &World, length: u64) -> Vec<(u64, Incident)> {
    let weather = world.condition.lock().weather.clone();
    let kinds = [
        (Incident::Crash, weather.crashes),
        (Incident::ServerCrash, weather.crashes / 3),
        (Incident::Pause, weather.pauses),
        (Incident::Stop, weather.stops),
        (Incident::KeeperDeath, weather.keeper_deaths),
        (Incident::CodeGone, weather.code_gone),
        (Incident::DatabaseCrash, weather.database_crashes),
        (Incident::Outage, weather.outages),
        (Incident::DiskFull, weather.disk_full),
        (Incident::SlowSpell, weather.slow_spells),
        (Incident::BrokerOutage, weather.broker_outages),
        (Incident::Purge, weather.purges),
    ];
    let mut incidents = Vec::new();
    for (kind, count) in kinds {
        incidents.extend((0..count).map(|_| (world.dice.below(length), kind)));
    }
    incidents.sort_by_key(|(time, _)| *time);
    incidents
}

/// Lets it happen.
pub(crate) fn happen(world: &Arc<World>, incident: Incident) {
    world.note(|| format!("INCIDENT {incident:?}"));
    match incident {
        Incident::Crash => {
            if let Some(node) = some(world, &world.workers) {
                crash(world, &node.process, "worker crash");
            }
        }
        Incident::ServerCrash => {
            if let Some(node) = some(world, &world.servers) {
                crash(world, &node.process, "server crash");
            }
        }
        Incident::Pause => pause(world),
        Incident::Stop => stop(world),
        Incident::KeeperDeath => {
            if let Some(node) = some(world, &world.workers) {
                world.tally("keeper death");
                node.stop_keeper.cancel();
            }
        }
        Incident::CodeGone => {
            if let Some(node) = some(world, &world.workers) {
                world.tally("code gone");
                node.process.host(false);
                let back = world.dice.millis(100, 15_000);
                later(back, move || node.process.host(true));
            }
        }
        Incident::DatabaseCrash => {
            tokio::spawn(database_crash(world.clone()));
        }
        Incident::Outage => {
            world.tally("database outage");
            world.condition.lock().database_down = true;
            for_a_while(world, 15_000, |world| {
                world.condition.lock().database_down = false;
            });
        }
        Incident::DiskFull => {
            world.tally("disk full");
            world.condition.lock().disk_full = true;
            for_a_while(world, 15_000, |world| {
                world.condition.lock().disk_full = false;
            });
        }
        Incident::SlowSpell => {
            world.tally("slow spell");
            world.condition.lock().database_slow = true;
            for_a_while(world, 15_000, |world| {
                world.condition.lock().database_slow = false;
            });
        }
        Incident::BrokerOutage => {
            world.tally("broker outage");
            world.broker.set_down(true);
            for_a_while(world, 15_000, |world| world.broker.set_down(false));
        }
        Incident::Purge => {
            world.tally("queue purged");
            world.broker.purge();
        }
    }
}

/// The process is gone, at whatever it was doing; a new one takes its place some time later.
pub(crate) fn crash(world: &Arc<World>, process: &Arc<Process>, fault: &'static str) {
    if process.is_dead() {
        return;
    }
    world.note(|| format!("p{} dies: {fault}", process.number));
    world.tally(fault);
    process.die();
    let (broker, number) = (world.clone(), process.number);
    // The broker notices at once, or when no heartbeat comes.
    let notices = match world.dice.chance(700) {
        true => Duration::ZERO,
        false => world.dice.millis(100, 10_000),
    };
    later(notices, move || broker.broker.lost(number));
    replace(world, number);
}

/// A new process in the place of a dead one, some time later.
fn replace(world: &Arc<World>, dead: u64) {
    let (world, wait) = (world.clone(), world.dice.millis(200, 8_000));
    let mut places = world.workers.lock();
    let place = of(&places, dead);
    if let Some(place) = place {
        places[place] = None;
        drop(places);
        let to = world.clone();
        later(wait, move || {
            let node = Node::working(&to);
            to.workers.lock()[place] = Some(node);
        });
        return;
    }
    drop(places);
    let mut places = world.servers.lock();
    if let Some(place) = of(&places, dead) {
        places[place] = None;
        drop(places);
        let to = world.clone();
        later(wait, move || {
            let node = Node::serving(&to);
            to.servers.lock()[place] = Some(node);
        });
    }
}

fn of(places: &[Option<Arc<Node>>], number: u64) -> Option<usize> {
    places.iter().position(|node| {
        node.as_ref()
            .is_some_and(|node| node.process.number == number)
    })
}

fn pause(world: &Arc<World>) {
    let Some(node) = some(world, &world.workers) else {
        return;
    };
    world.tally("worker pause");
    let process = node.process.clone();
    let time = world.dice.millis(500, 25_000);
    world.note(|| format!("p{} stands still for {time:?}", process.number));
    process.stand_still();
    // It is woken by the calm, too, so it never stays so.
    later(time, move || process.go_on());
}

fn stop(world: &Arc<World>) {
    let Some(node) = some(world, &world.workers) else {
        return;
    };
    world.tally("worker stop");
    world.note(|| format!("p{} is stopped", node.process.number));
    let world = world.clone();
    tokio::spawn(async move {
        node.stop().await;
        let number = node.process.number;
        world.note(|| format!("p{number} has stopped"));
        world.broker.lost(number);
        replace(&world, number);
    });
}

/// How long a crash waits for something to lose, in steps of 20 ms.
const PATIENCE: u32 = 150;

/// The database crashes, most often when an outcome is not on the disk yet.
async fn database_crash(world: Arc<World>) {
    for _ in 0..PATIENCE {
        if world.is_calm() {
            return;
        }
        if world.checker.lock().risks_outcomes() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let world = &world;
    let keep = world.dice.roll();
    let lost = world
        .store
        .crash(|lazy| usize::try_from(keep % (lazy as u64 + 1)).unwrap_or(0));
    world.note(|| format!("the database lost {lost} commits"));
    world.tally("database crash");
    (0..lost).for_each(|_| world.tally("lazy commit lost"));
    {
        let mut condition = world.condition.lock();
        condition.crashes += 1;
        condition.database_down = true;
    }
    world.held(world.checker.lock().crashed());
    for_a_while(world, 3_000, |world| {
        world.condition.lock().database_down = false;
    });
}

/// Undoes something after a while; the calm undoes everything anyway.
fn for_a_while(world: &Arc<World>, most: u64, undo: impl FnOnce(&World) + Send + 'static) {
    let (world, time) = (world.clone(), world.dice.millis(100, most));
    later(time, move || undo(&world));
}

fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        sleep(time).await;
        act();
    });
}

fn some(world: &World, places: &Mutex<Vec<Option<Arc<Node>>>>) -> Option<Arc<Node>> {
    let there: Vec<Arc<Node>> = places.lock().iter().flatten().cloned().collect();
    world.dice.pick(&there).cloned()
}
