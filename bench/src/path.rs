//! From approval to completion: one run at a time, in this process, in turns with its floor.

use std::time::Duration;

use neena_store::Durability;

use crate::figure::{Figure, IN_SYSTEM, median};
use crate::floor::bare_python;
use crate::machine::{Machine, Sample};
use crate::progress::Progress;
use crate::stack::Stack;
use crate::work::{Shape, Task, Work};

/// A flow, and what it may cost.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub scenario: &'static str,
    pub what: &'static str,
    pub work: Work,
    /// Durable commits from approval to completion; none where they depend on how outcomes fall together.
    pub commits: Option<u64>,
    floor: Under,
    goal: Goal,
    /// Only where commits are not waited for, else only where they are.
    fast: bool,
    samples: usize,
}

/// Which floor a path stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    /// So many commits, the calls, and in a cluster the message that wakes a worker.
    Commits(u64),
    /// The same functions in plain Python.
    Python,
    /// As many rows written in large commits; the figure is tasks a second.
    Rows,
}

#[derive(Clone, Copy, Debug)]
enum Goal {
    None,
    /// Milliseconds.
    Flat(f64),
    /// A multiple of the floor, and milliseconds on top.
    Floor(f64, f64),
    /// So many commits, and milliseconds on top.
    Commits(u64, f64),
}

const DEFAULT: Path = Path {
    scenario: "",
    what: "",
    work: Work {
        shape: Shape::Chain(40),
        task: Task::Echo,
    },
    commits: Some(2),
    floor: Under::Commits(2),
    goal: Goal::None,
    fast: false,
    samples: 11,
};

const fn work(shape: Shape, task: Task) -> Work {
    Work { shape, task }
}

const fn chain(what: &'static str, task: Task, commits: u64, goal: Goal) -> Path {
    Path {
        scenario: "chain40",
        what,
        work: work(Shape::Chain(40), task),
        commits: Some(commits),
        floor: Under::Commits(commits),
        goal,
        ..DEFAULT
    }
}

const fn fast(path: Path, millis: f64) -> Path {
    Path {
        fast: true,
        goal: Goal::Flat(millis),
        ..path
    }
}

/// All there are.
pub const PATHS: &[Path] = &[
    Path {
        scenario: "single",
        what: "built-in",
        work: work(Shape::Chain(1), Task::Echo),
        ..DEFAULT
    },
    chain(
        "Python, recorded per step",
        Task::Step(10),
        41,
        Goal::Floor(1.15, 10.0),
    ),
    chain(
        "Python, pure",
        Task::PureStep(10),
        2,
        Goal::Commits(2, 40.0 * 0.3),
    ),
    chain(
        "built-in, pure",
        Task::Echo,
        2,
        Goal::Commits(2, 40.0 * 0.05),
    ),
    fast(
        chain("Python, recorded per step", Task::Step(10), 41, Goal::None),
        20.0,
    ),
    fast(chain("built-in, pure", Task::Echo, 2, Goal::None), 10.0),
    Path {
        scenario: "heavy10",
        what: "Python, recorded per step",
        work: work(Shape::Chain(10), Task::Step(33)),
        commits: Some(11),
        floor: Under::Python,
        goal: Goal::Floor(1.02, 0.0),
        samples: 3,
        ..DEFAULT
    },
    Path {
        scenario: "fan100",
        what: "Python, recorded",
        work: work(Shape::Fan(100), Task::Step(10)),
        commits: None,
        floor: Under::Commits(4),
        ..DEFAULT
    },
    Path {
        scenario: "fan100",
        what: "built-in, pure",
        work: work(Shape::Fan(100), Task::Echo),
        ..DEFAULT
    },
    Path {
        scenario: "fan1000",
        what: "built-in, pure",
        work: work(Shape::Fan(1_000), Task::Echo),
        goal: Goal::Commits(4, 150.0),
        ..DEFAULT
    },
    Path {
        scenario: "tasks10000",
        what: "built-in, pure, side by side",
        work: work(Shape::Wide(10_000), Task::Echo),
        commits: None,
        floor: Under::Rows,
        goal: Goal::Floor(0.5, 0.0),
        samples: 5,
        ..DEFAULT
    },
];

/// The paths of a scenario on a stack. On SQLite that does not wait for the disk there are others.
pub fn paths(scenario: &str, stack: &Stack) -> Vec<Path> {
    let fast = matches!(stack, Stack::Embedded(Durability::Fast));
    PATHS
        .iter()
        .filter(|path| path.scenario == scenario && path.fast == fast)
        .copied()
        .collect()
}

/// What the floor took, in the figure's unit, and how long a commit took, in milliseconds.
struct Ground {
    floor: f64,
    commit: f64,
}

impl Path {
    /// Measures it, after one run that warms up, in turns with its floor.
    pub async fn measure(
        &self,
        machine: &Machine,
        stack: &Stack,
        python: &std::path::Path,
        samples: Option<usize>,
    ) -> anyhow::Result<Figure> {
        let name = format!("{} ({})", self.scenario, self.what);
        let definition = machine.definition(self.work.task.method());
        let graph = machine.graph(self.work.flow(self.scenario, definition))?;
        let count = samples.unwrap_or(self.samples);
        let progress = Progress::new(&name, count as u64);
        machine.run(&graph).await?;
        let (mut taken, mut grounds): (Vec<Sample>, Vec<Ground>) = Default::default();
        for _ in 0..count {
            taken.push(machine.run(&graph).await?);
            grounds.push(self.ground(machine, python).await?);
            progress.one();
        }
        // The sealer of the decision log commits now and then, too: the least is the path's own.
        let durable = taken.iter().map(|one| one.durable).min();
        let values = taken.iter().map(|one| self.value(one.took)).collect();
        let unit = if self.floor == Under::Rows {
            "tasks/s"
        } else {
            "ms"
        };
        let mode = format!("{}, {}", stack.mode(), self.what);
        let figure = Figure {
            commits: durable,
            higher_is_better: self.floor == Under::Rows,
            ..Figure::of(self.scenario, mode, unit, values)
        };
        let figure = match (self.commits, figure.commits) {
            (Some(promised), Some(found)) if found != promised => {
                figure.note(format!("{promised} durable commits were promised"))
            }
            _ => figure,
        };
        let commit = median(grounds.iter().map(|one| one.commit).collect());
        let floor = median(grounds.iter().map(|one| one.floor).collect());
        let figure = match self.fast {
            true => Figure {
                durable: IN_SYSTEM.to_owned(),
                ..figure
            },
            false => figure,
        };
        let figure = figure.floor(floor, self.floor_of(machine.floor.has_broker()));
        Ok(self.judged(figure, floor, commit))
    }

    fn value(&self, took: Duration) -> f64 {
        match self.floor {
            Under::Rows => f64::from(self.work.shape.tasks()) / took.as_secs_f64(),
            _ => millis(took),
        }
    }

    async fn ground(&self, machine: &Machine, python: &std::path::Path) -> anyhow::Result<Ground> {
        let floor = &machine.floor;
        Ok(match self.floor {
            Under::Commits(count) => {
                let commits = millis(floor.commits(count).await?);
                let n = match self.work.task {
                    Task::Step(n) | Task::PureStep(n) => n,
                    _ => 0,
                };
                let calls = millis(machine.host.calls(self.work.calls(), n).await?);
                let wake = millis(floor.confirms(1).await?);
                Ground {
                    floor: commits + calls + wake,
                    commit: commits / count as f64,
                }
            }
            Under::Python => {
                let (Task::Step(n) | Task::PureStep(n)) = self.work.task else {
                    anyhow::bail!("{} is no Python", self.what);
                };
                let took = bare_python(python, self.work.shape.tasks(), n).await?;
                Ground {
                    floor: millis(took),
                    commit: 0.0,
                }
            }
            Under::Rows => {
                let rows = self.work.shape.tasks() as usize;
                Ground {
                    floor: floor.rows_a_second(rows).await?,
                    commit: 0.0,
                }
            }
        })
    }

    fn floor_of(&self, broker: bool) -> String {
        match self.floor {
            Under::Python => "the same in plain Python".to_owned(),
            Under::Rows => "as many rows, 512 a commit".to_owned(),
            Under::Commits(count) => {
                let mut parts = vec![format!("{count} c")];
                if self.work.calls() > 0 {
                    parts.push(format!("{} call", self.work.calls()));
                }
                if broker {
                    parts.push("b".to_owned());
                }
                parts.join(" + ")
            }
        }
    }

    fn judged(&self, figure: Figure, floor: f64, commit: f64) -> Figure {
        let of = figure.floor_of.clone().unwrap_or_default();
        match self.goal {
            Goal::None => figure,
            Goal::Flat(millis) => figure.goal(millis, format!("{millis} ms")),
            Goal::Floor(times, millis) => {
                let more = if millis > 0.0 {
                    format!(" + {millis} ms")
                } else {
                    String::new()
                };
                figure.goal(times * floor + millis, format!("{times} × ({of}){more}"))
            }
            Goal::Commits(count, millis) => figure.goal(
                count as f64 * commit + millis,
                format!("{count} c + {millis} ms"),
            ),
        }
    }
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
