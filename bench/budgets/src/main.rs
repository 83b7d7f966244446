//! The hot paths, one at a time, for a program that counts instructions: `scripts/budgets` runs it under callgrind and
//! compares the counts with those in `budgets.json`.
//!
//! ```text
//! neena-budgets                lists the paths
//! neena-budgets PATH           walks one: once to warm up, once inside `measured`
//! neena-budgets PATH --slower  with a tenth more of it, which must be noticed
//! ```

mod bind;
mod decide;
mod flows;
mod record;
mod serialize;
mod step;

use std::hint::black_box;
use std::process::ExitCode;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A path: prepared once, then walked as often as asked.
type Walk = Box<dyn FnMut()>;

/// How a path is prepared; `share` is how many hundredths of its usual work it does.
type Prepare = fn(share: usize) -> Walk;

/// The paths by name. Where a path is short it is walked many times for one count.
const PATHS: [(&str, Prepare); 9] = [
    ("validate_100", |_| flows::validate(100)),
    ("validate_10000", |_| flows::validate(10_000)),
    ("plan_100", |_| flows::plan(100)),
    ("plan_10000", |_| flows::plan(10_000)),
    ("decide_100_votes", decide::votes),
    ("bind_100_tasks", |_| bind::expressions(100)),
    ("step_40_tasks", |_| step::chain(40)),
    ("record_100_tasks", |_| record::batch(100)),
    ("serialize_100_tasks", |_| serialize::run(100)),
];

/// What is counted: nothing else carries this name, and nothing of it is put in line elsewhere.
#[inline(never)]
fn measured(walk: &mut dyn FnMut()) {
    walk();
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(wanted) = arguments.next() else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let share = match arguments.next().as_deref() {
        Some("--slower") => 110,
        _ => 100,
    };
    let Some((_, prepare)) = PATHS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("there is no path `{wanted}`");
        return ExitCode::FAILURE;
    };
    let mut walk = prepare(share);
    // Texts that are cached, pages that are touched, tables that are filled.
    walk();
    measured(black_box(&mut *walk));
    ExitCode::SUCCESS
}
