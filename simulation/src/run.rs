//! One seed, from the first run submitted to the last one at rest.

use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::bug::Bug;
use crate::incidents;
use crate::node::Node;
use crate::people;
use crate::trace::Tracing;
use crate::weather::Weather;
use crate::world::{Condition, Ended, World};

/// How long everything may take to come to rest once the faults have stopped.
const REST: Duration = Duration::from_secs(900);

/// How a seed is simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub bug: Option<Bug>,
    pub tracing: Tracing,
}

/// Simulates one seed.
///
/// # Errors
///
/// The runtime could not be made.
pub fn simulate(seed: u64, options: Options) -> std::io::Result<Ended> {
    watch_for_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let (world, mut ended) = runtime.block_on(async {
        let world = World::new(seed, options.bug, options.tracing);
        let ended = live(&world).await;
        (world, ended)
    });
    drop(runtime);
    if Arc::strong_count(&world) > 1 {
        // A hundred thousand of them would fill it.
        let stays = "the world stays in memory".to_owned();
        ended.broken.get_or_insert(stays);
    }
    if let Some(panic) = PANIC.with(RefCell::take) {
        ended
            .broken
            .get_or_insert(format!("something panicked: {panic}"));
    }
    Ok(ended)
}

async fn live(world: &Arc<World>) -> Ended {
    for _ in 0..world.dice.between(2, 4) {
        let node = Node::working(world);
        world.workers.lock().push(Some(node));
    }
    for _ in 0..world.dice.between(1, 2) {
        let node = Node::serving(world);
        world.servers.lock().push(Some(node));
    }
    let length = world.dice.between(8_000, 40_000);
    for number in 1..=world.dice.between(1, 8) {
        let at = Duration::from_millis(world.dice.below(length * 7 / 10));
        let world = world.clone();
        tokio::spawn(async move {
            sleep(at).await;
            people::submit(world, number).await;
        });
    }
    let start = Instant::now();
    for (time, incident) in incidents::schedule(world, length) {
        sleep_until(start + Duration::from_millis(time)).await;
        if world.is_broken() {
            return world.end();
        }
        incidents::happen(world, incident);
    }
    sleep_until(start + Duration::from_millis(length)).await;
    calm_down(world);
    rest(world).await;
    world.end()
}

/// Faults stop for good.
fn calm_down(world: &Arc<World>) {
    world.note(|| "CALM".to_owned());
    {
        let mut condition = world.condition.lock();
        *condition = Condition {
            weather: Weather::default(),
            calm: true,
            crashes: condition.crashes,
            ..Condition::default()
        };
    }
    world.broker.set_down(false);
    for node in world.workers.lock().iter().flatten() {
        node.process.go_on();
        node.process.host(true);
    }
}

/// Waits until everything is done, and looks at what is left.
async fn rest(world: &World) {
    let until = Instant::now() + REST;
    loop {
        sleep(Duration::from_millis(500)).await;
        if world.is_broken() {
            return;
        }
        let open = world.checker.lock().open();
        match open {
            None => break,
            Some(open) if Instant::now() > until => {
                return world.held(Err(format!("this does not come to rest: {open}")));
            }
            Some(_) => {}
        }
    }
    // Whoever woke up late must not change anything any more.
    sleep(Duration::from_secs(8)).await;
    let open = world.checker.lock().open();
    if open.is_none() {
        world.held(world.checker.lock().at_the_end());
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A task that panics is gone without a sound; here it is heard.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC.with(|last| {
                last.borrow_mut().get_or_insert(panic.to_string());
            });
            before(panic);
        }));
    });
}
