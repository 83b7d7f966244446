//! Who may run next: a slot here, or a place in a queue that other workers take from.
//!
//! Runs take turns: one with a thousand tasks waiting does not keep one with a single task from its turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use neena_bus::remote::TaskQueue;
use neena_engine::ids::RunId;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// The slots of a worker; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Grows whenever slots were taken, freed or asked for.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    all: usize,
    free: usize,
    /// Per queue: how many tasks may be out, and how many are.
    places: BTreeMap<TaskQueue, Places>,
    /// Whose turn it is, in order.
    turns: VecDeque<Line>,
    waiting: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Places {
    limit: usize,
    out: usize,
}

/// Attempts of one run that may run in the same places.
#[derive(Debug)]
struct Line {
    run: RunId,
    wants: Wants,
    waiters: VecDeque<oneshot::Sender<Turn>>,
}

/// Where an attempt may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    pub here: bool,
    pub elsewhere: Option<TaskQueue>,
}

impl Wants {
    /// Only in this process.
    pub const HERE: Wants = Wants {
        here: true,
        elsewhere: None,
    };
    /// Nobody can run it.
    pub const NOWHERE: Wants = Wants {
        here: false,
        elsewhere: None,
    };
}

/// What an attempt was given; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) enum Turn {
    Here(Slot),
    Elsewhere(Place),
}

/// A slot of this worker.
#[derive(Debug)]
pub(crate) struct Slot(Option<Slots>);

/// A place in a queue.
#[derive(Debug)]
pub(crate) struct Place(Option<Slots>, TaskQueue);

impl Slots {
    pub fn new(slots: usize) -> Slots {
        Slots(Arc::new(Shared {
            state: Mutex::new(State {
                all: slots,
                free: slots,
                places: BTreeMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
            }),
            changes: watch::Sender::new(0),
        }))
    }

    /// Waits for the turn of an attempt of `run`. Dropped while it waits, it gives its turn up.
    pub async fn turn(&self, run: RunId, wants: Wants) -> Turn {
        loop {
            let mut waiting = Waiting::new(self, run, wants.clone());
            self.serve();
            // A sender is never dropped unused while its receiver lives; if it were, the attempt queues again.
            if let Ok(turn) = (&mut waiting.receiver).await {
                return turn;
            }
        }
    }

    /// Lets so many tasks be out in a queue for workers outside, which nobody limits later.
    pub fn open(&self, queue: &TaskQueue, limit: usize) {
        let mut state = self.0.state.lock();
        if !state.places.contains_key(queue) {
            let places = Places { limit, out: 0 };
            state.places.insert(queue.clone(), places);
        }
    }

    /// How many tasks may be out in each queue of workers like this one; those that are not named take none
    /// any more.
    pub fn allow(&self, limits: impl IntoIterator<Item = (TaskQueue, usize)>) {
        {
            let mut state = self.0.state.lock();
            let ours = |(queue, _): &(&TaskQueue, &mut Places)| queue.digest.is_some();
            let known = state.places.iter_mut().filter(ours);
            known.for_each(|(_, places)| places.limit = 0);
            for (queue, limit) in limits {
                state.places.entry(queue).or_default().limit = limit;
            }
            state
                .places
                .retain(|_, places| places.limit > 0 || places.out > 0);
        }
        self.serve();
    }

    /// Slots that nobody uses.
    pub fn free(&self) -> usize {
        self.0.state.lock().free
    }

    /// Slots in use.
    pub fn busy(&self) -> usize {
        let state = self.0.state.lock();
        state.all - state.free
    }

    /// Attempts that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().waiting
    }

    /// Tells whenever slots were taken, freed or asked for.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Hands out what is free, one run after the other.
    fn serve(&self) {
        while let Some((waiter, turn)) = self.next() {
            // Whoever waited may have gone: what it was to get is free again, and the next is served.
            if let Err(turn) = waiter.send(turn) {
                self.take_back(turn);
            }
        }
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn take_back(&self, mut turn: Turn) {
        match &mut turn {
            Turn::Here(Slot(slots)) => drop(slots.take()),
            Turn::Elsewhere(Place(slots, _)) => drop(slots.take()),
        }
        self.0.state.lock().free_again(&turn);
    }

    /// The next waiter that can be served, and what it gets.
    fn next(&self) -> Option<(oneshot::Sender<Turn>, Turn)> {
        let mut state = self.0.state.lock();
        let at = (0..state.turns.len()).find(|at| state.can(&state.turns[*at].wants))?;
        let mut line = state.turns.remove(at)?;
        let waiter = line.waiters.pop_front()?;
        let wants = line.wants.clone();
        if !line.waiters.is_empty() {
            state.turns.push_back(line);
        }
        let turn = match wants.elsewhere {
            _ if wants.here && state.free > 0 => {
                state.free -= 1;
                Turn::Here(Slot(Some(self.clone())))
            }
            Some(queue) => {
                state.places.entry(queue.clone()).or_default().out += 1;
                Turn::Elsewhere(Place(Some(self.clone()), queue))
            }
            None => return None,
        };
        Some((waiter, turn))
    }
}

impl State {
    fn leave(&mut self, queue: &TaskQueue) {
        if let Some(places) = self.places.get_mut(queue) {
            places.out = places.out.saturating_sub(1);
        }
    }

    fn free_again(&mut self, turn: &Turn) {
        match turn {
            Turn::Here(_) => self.free += 1,
            Turn::Elsewhere(Place(_, queue)) => self.leave(queue),
        }
    }

    /// Whether an attempt with these wants can be served now.
    fn can(&self, wants: &Wants) -> bool {
        let place = |queue| {
            let places = self.places.get(queue);
            places.is_some_and(|places| places.out < places.limit)
        };
        wants.here && self.free > 0 || wants.elsewhere.as_ref().is_some_and(place)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.0.state.lock().free += 1;
            slots.serve();
        }
    }
}

impl Place {
    /// The queue it is in.
    pub fn queue(&self) -> &TaskQueue {
        &self.1
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.0.state.lock().leave(&self.1);
            slots.serve();
        }
    }
}

/// An attempt that waits, as long as it does.
struct Waiting<'a> {
    slots: &'a Slots,
    receiver: oneshot::Receiver<Turn>,
}

impl<'a> Waiting<'a> {
    fn new(slots: &'a Slots, run: RunId, wants: Wants) -> Waiting<'a> {
        let (sender, receiver) = oneshot::channel();
        let mut state = slots.0.state.lock();
        state.waiting += 1;
        let same = |line: &&mut Line| line.run == run && line.wants == wants;
        match state.turns.iter_mut().find(same) {
            Some(line) => line.waiters.push_back(sender),
            None => state.turns.push_back(Line {
                run,
                wants,
                waiters: VecDeque::from([sender]),
            }),
        }
        drop(state);
        Waiting { slots, receiver }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        let Shared { state, changes } = &*self.slots.0;
        {
            let mut state = state.lock();
            state.waiting -= 1;
            // Those that gave up are forgotten from the front: a line of them is never long.
            for line in &mut state.turns {
                let gone = |waiter: &oneshot::Sender<Turn>| waiter.is_closed();
                while line.waiters.front().is_some_and(gone) {
                    line.waiters.pop_front();
                }
            }
            state.turns.retain(|line| !line.waiters.is_empty());
        }
        changes.send_modify(|changes| *changes += 1);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn run(number: u128) -> RunId {
        RunId(Uuid::from_u128(number))
    }

    fn queue() -> TaskQueue {
        TaskQueue {
            integration: "resize".into(),
            digest: Some("0123".into()),
        }
    }

    fn either() -> Wants {
        Wants {
            here: true,
            elsewhere: Some(queue()),
        }
    }

    #[test]
    fn a_run_with_many_tasks_waiting_keeps_no_other_from_its_turn() {
        let slots = Slots::new(1);
        let first = slots.turn(run(1), Wants::HERE).now_or_never().unwrap();
        let mut wide: Vec<_> = (0..100)
            .map(|_| Box::pin(slots.turn(run(1), Wants::HERE)))
            .collect();
        for turn in &mut wide {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        let mut narrow = Box::pin(slots.turn(run(2), Wants::HERE));
        assert!(narrow.as_mut().now_or_never().is_none());
        assert_eq!(slots.waiting(), 101);
        drop(first);
        let second = wide[0].as_mut().now_or_never().expect("the first in line");
        drop(second);
        assert!(
            narrow.as_mut().now_or_never().is_some(),
            "its turn is the second, not the hundredth"
        );
    }

    #[test]
    fn what_finds_no_slot_here_is_sent_elsewhere_as_far_as_others_take_it() {
        let slots = Slots::new(1);
        slots.allow([(queue(), 1)]);
        let here = slots.turn(run(1), either()).now_or_never().unwrap();
        assert!(matches!(here, Turn::Here(_)));
        let away = slots.turn(run(1), either()).now_or_never().unwrap();
        assert!(matches!(&away, Turn::Elsewhere(place) if *place.queue() == queue()));
        let mut third = Box::pin(slots.turn(run(1), either()));
        assert!(third.as_mut().now_or_never().is_none());
        drop(here);
        assert!(matches!(third.now_or_never(), Some(Turn::Here(_))));
        drop(away);
        assert_eq!((slots.free(), slots.busy(), slots.waiting()), (1, 0, 0));
    }

    #[test]
    fn a_queue_that_nobody_takes_from_any_more_is_given_nothing() {
        let slots = Slots::new(0);
        let wants = Wants {
            here: false,
            elsewhere: Some(queue()),
        };
        slots.allow([(queue(), 5)]);
        let out = slots.turn(run(1), wants.clone()).now_or_never().unwrap();
        slots.allow([]);
        drop(out);
        let mut waits = Box::pin(slots.turn(run(1), wants));
        assert!(waits.as_mut().now_or_never().is_none());
        slots.allow([(queue(), 1)]);
        assert!(waits.now_or_never().is_some());
    }

    #[test]
    fn those_that_give_up_leave_nothing_behind() {
        let slots = Slots::new(1);
        let held = slots.turn(run(1), Wants::HERE).now_or_never().unwrap();
        let mut waits: Vec<_> = (0..10_000)
            .map(|_| Box::pin(slots.turn(run(1), Wants::HERE)))
            .collect();
        for turn in &mut waits {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        // The last ones first, so that those gone stand in the middle of the line.
        while waits.len() > 1 {
            waits.pop();
        }
        drop(held);
        let turn = waits.remove(0).now_or_never().expect("the one that stayed");
        drop(turn);
        assert_eq!((slots.free(), slots.waiting()), (1, 0));
        assert!(slots.0.state.lock().turns.is_empty());
    }
}
