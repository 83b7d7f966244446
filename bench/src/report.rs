//! Figures and their table.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::cluster::Scaled;
use crate::idle::Idle;

/// What a scenario took.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub scenario: &'static str,
    pub tasks: usize,
    /// Durable and lazy commits of one run, approval to completion, the approval included.
    pub durable_commits: u64,
    pub lazy_commits: u64,
    /// Approval to completion, milliseconds.
    pub median_ms: f64,
    pub min_ms: f64,
    pub max_ms: f64,
    /// As many bare commits and bare calls, milliseconds.
    pub floor_ms: f64,
    /// The allowance of this scenario, milliseconds; none where there is no goal.
    pub goal_ms: Option<f64>,
}

/// Median, minimum and maximum in milliseconds.
pub fn spread(mut times: Vec<Duration>) -> (f64, f64, f64) {
    times.sort_unstable();
    let millis = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    (
        millis(times.len() / 2),
        millis(0),
        millis(times.len().saturating_sub(1)),
    )
}

/// A table for people.
pub fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "scenario",
        "tasks",
        "durable",
        "lazy",
        "median ms",
        "min–max ms",
        "floor ms",
        "× floor",
        "goal ms",
        "µs/task",
    ]);
    for figure in figures {
        let goal = figure.goal_ms.map_or_else(
            || "–".to_owned(),
            |goal| {
                let met = if figure.median_ms <= goal {
                    "met"
                } else {
                    "missed"
                };
                format!("{goal:.1} {met}")
            },
        );
        table.add_row([
            figure.scenario.to_owned(),
            figure.tasks.to_string(),
            figure.durable_commits.to_string(),
            figure.lazy_commits.to_string(),
            format!("{:.2}", figure.median_ms),
            format!("{:.2}–{:.2}", figure.min_ms, figure.max_ms),
            format!("{:.2}", figure.floor_ms),
            format!(
                "{:.2}",
                figure.median_ms / figure.floor_ms.max(f64::EPSILON)
            ),
            goal,
            format!("{:.1}", figure.median_ms * 1e3 / figure.tasks as f64),
        ]);
    }
    table.to_string()
}

/// A table of how work spread.
pub fn scaled(figures: &[Scaled]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "scenario",
        "workers",
        "tasks",
        "seconds",
        "ideal",
        "of the ideal",
        "tasks/s",
    ]);
    for figure in figures {
        table.add_row([
            figure.scenario.to_owned(),
            figure.workers.to_string(),
            figure.tasks.to_string(),
            format!("{:.2}", figure.seconds),
            format!("{:.2}", figure.ideal_seconds),
            format!("{:.2}", figure.efficiency()),
            format!("{:.0}", figure.tasks as f64 / figure.seconds),
        ]);
    }
    table.to_string()
}

/// What waiting runs cost, for people.
pub fn idle(figures: &[Idle]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "waiting runs",
        "resident MiB",
        "CPU s",
        "of s",
    ]);
    for figure in figures {
        table.add_row([
            figure.waiting.to_string(),
            format!("{:.1}", figure.resident_mib),
            format!("{:.2}", figure.cpu_seconds),
            format!("{:.0}", figure.watched_seconds),
        ]);
    }
    table.to_string()
}
