//! Wide and deep graphs: what a task costs among ten thousand, beside what it costs among a hundred.

use crate::Measure;
use crate::figure::{Figure, median};
use crate::machine::Machine;
use crate::path::millis;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::work::{Shape, Task, Work};

const SHAPES: [(&str, Shape, Shape); 3] = [
    ("chain", Shape::Chain(100), Shape::Chain(10_000)),
    ("star", Shape::Star(99), Shape::Star(9_999)),
    ("layers", Shape::Layers(10, 10), Shape::Layers(100, 100)),
];

/// Each large shape in turns with the small one and with the commits of both, which are taken off: they are
/// the same whatever the size, and would hide what grows.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let machine = Machine::start(&options.python, stack).await?;
    let count = options.samples().unwrap_or(5);
    let mut figures = Vec::new();
    for (name, small, large) in SHAPES {
        let progress = Progress::new(
            &format!("shapes ({name} of 100 and of 10,000)"),
            count as u64,
        );
        let graph = |shape| {
            let task = Task::Echo;
            let work = Work { shape, task };
            machine.graph(work.flow(name, machine.definition(task.method())))
        };
        let (few, many) = (graph(small)?, graph(large)?);
        machine.run(&few).await?;
        let (mut of_few, mut of_many, mut floors) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            // Several small ones: they are over in a moment.
            let mut all = Vec::new();
            for _ in 0..10 {
                let commits = millis(machine.floor.commits(2).await?);
                all.push(millis(machine.run(&few).await?.took) - commits);
            }
            of_few.push(median(all).max(0.0) * 1e3 / f64::from(small.tasks()));
            let commits = millis(machine.floor.commits(2).await?);
            let took = millis(machine.run(&many).await?.took) - commits;
            of_many.push(took.max(0.0) * 1e3 / f64::from(large.tasks()));
            let rows = machine.floor.rows_a_second(large.tasks() as usize).await?;
            floors.push(1e6 / rows);
            progress.one();
        }
        let among_few = median(of_few);
        let mode = format!("{}, {name} of 10,000", stack.mode());
        figures.push(
            Figure::of("shapes", mode, "µs/task", of_many)
                .floor(median(floors), "a row, 512 a commit")
                .goal(1.3 * among_few, "1.3 × a task of 100")
                .note(format!(
                    "a task of 100 takes {among_few:.1} µs; 2 c taken off both"
                )),
        );
    }
    machine.stop().await?;
    Ok(figures)
}
