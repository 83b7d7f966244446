//! The store in memory, on SQLite and on Postgres give the same answers to the same calls and hold the same
//! rows after each of them. `PROPTEST_CASES` says how many sequences are tried.

mod answers;
mod asking;
mod look;
mod steps;
mod subject;

use neena_store::Flaw;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::World;
use look::Seen;
use steps::{Step, step};
use subject::Subject;

/// Sequences tried where nothing says how many.
const CASES: u32 = 10;

fn in_memory(flaw: Option<Flaw>, round: u32) -> Subject {
    let world = match flaw {
        Some(flaw) => World::in_memory_with(flaw),
        None => World::in_memory(),
    };
    Subject::new(world, round)
}

/// All forms of the store, each on a runtime whose time is its own.
struct Trio {
    /// Its time stands still unless it is moved.
    paused: tokio::runtime::Runtime,
    running: tokio::runtime::Runtime,
    memory: Subject,
    others: Vec<(&'static str, Subject)>,
    schema: Option<crate::harness::Schema>,
    /// A bug of the one in memory; it is then compared with SQLite only.
    flaw: Option<Flaw>,
    round: u32,
}

impl Trio {
    fn new(flaw: Option<Flaw>) -> Trio {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all();
        let running = builder.build().unwrap();
        let paused = builder.start_paused(true).build().unwrap();
        let memory = paused.block_on(async { in_memory(flaw, 0) });
        let mut others = vec![(
            "sqlite",
            Subject::new(running.block_on(World::on_sqlite()), 0),
        )];
        let mut schema = None;
        if flaw.is_none()
            && let Some((world, made)) = running.block_on(World::on_postgres())
        {
            others.push(("postgres", Subject::new(world, 0)));
            schema = Some(made);
        }
        Trio {
            paused,
            running,
            memory,
            others,
            schema,
            flaw,
            round: 0,
        }
    }

    /// Empties all of them.
    fn reset(&mut self) {
        self.round += 1;
        self.memory = self
            .paused
            .block_on(async { in_memory(self.flaw, self.round) });
        for (_, other) in &mut self.others {
            self.running.block_on(other.reset(self.round));
        }
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        self.reset();
        for (number, step) in steps.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            let facts = self.paused.block_on(self.memory.facts());
            let (answer, state): (String, Seen) = self.paused.block_on(async {
                tokio::time::advance(std::time::Duration::from_millis(1)).await;
                let answer = self.memory.play(number, step, &facts).await;
                (answer, self.memory.look().await)
            });
            for (name, other) in &mut self.others {
                let (same, there) = self.running.block_on(async {
                    let answer = other.play(number, step, &facts).await;
                    (answer, other.look().await)
                });
                prop_assert_eq!(
                    &same,
                    &answer,
                    "{} answers otherwise at {}: {:?}",
                    name,
                    number,
                    step
                );
                prop_assert_eq!(
                    &there,
                    &state,
                    "{} differs after {}: {:?}",
                    name,
                    number,
                    step
                );
            }
        }
        Ok(())
    }

    fn end(self) {
        let Trio {
            running, schema, ..
        } = self;
        if let Some(schema) = schema {
            running.block_on(schema.remove());
        }
    }
}

/// Plays random sequences; the first on which they differ.
fn differ(trio: Trio, cases: u32) -> Option<String> {
    let mut config = ProptestConfig::with_cases(cases);
    config.failure_persistence = None;
    config.max_shrink_time = 60_000;
    if trio.flaw.is_some() {
        config.max_shrink_iters = 0;
    }
    let trio = std::cell::RefCell::new(trio);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&vec(step(), 1..60), |steps| trio.borrow_mut().play(&steps));
    trio.into_inner().end();
    outcome.err().map(|problem| problem.to_string())
}

#[test]
fn every_form_of_the_store_answers_alike() {
    let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    if let Some(problem) = differ(Trio::new(None), cases) {
        panic!("{problem}");
    }
}

/// That test notices what it is for: each of these bugs in one form makes it fail.
fn notices(flaws: &[Flaw]) {
    for flaw in flaws {
        assert!(
            differ(Trio::new(Some(*flaw)), 1_000).is_some(),
            "{flaw:?} was not noticed"
        );
    }
}

#[test]
fn bugs_in_one_form_are_noticed() {
    notices(&[Flaw::EpochNotRaised, Flaw::OutboxLeftOut]);
}

#[test]
#[ignore = "takes a minute"]
fn more_bugs_in_one_form_are_noticed() {
    notices(&[
        Flaw::NoFence,
        Flaw::FinishesBlindly,
        Flaw::ParksBlindly,
        Flaw::RetryKeepsRows,
        Flaw::ClaimsOwned,
        Flaw::OutcomesReplaced,
        Flaw::ClaimsNotCounted,
        Flaw::ClaimOutlivesOwner,
        Flaw::NeverBuries,
        Flaw::NeverWakes,
        Flaw::TableNotRead,
        Flaw::LiveRowStays,
    ]);
}
