//! Progress on a terminal: a line per task, and a bar for the whole run.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::tracker::Change;
use crate::plan_view::Step;
use crate::table;

/// Up to so many tasks are all shown from the start; of longer runs only what is running.
const ALL: usize = 24;
/// Lines of running tasks in a longer run.
const RUNNING: usize = 12;

/// The lines of one run.
#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    total: ProgressBar,
    tasks: HashMap<u32, ProgressBar>,
    /// Whether every task keeps its line.
    all: bool,
    width: usize,
}

impl Bars {
    /// The lines of a run that has not started.
    pub fn new(steps: &[Step]) -> Bars {
        let screen = MultiProgress::new();
        let all = steps.len() <= ALL;
        let width = steps
            .iter()
            .map(|step| step.name.chars().count())
            .max()
            .unwrap_or(0)
            .min(48);
        let total = screen.add(ProgressBar::new(steps.len() as u64));
        total.set_style(style("  {bar:32.cyan/dim} {pos}/{len} tasks  {elapsed}"));
        let mut bars = Bars {
            screen,
            total,
            tasks: HashMap::new(),
            all,
            width,
        };
        if all {
            for step in steps {
                let bar = bars.line(step.index, &step.name);
                bar.set_style(style("  {prefix:.dim}"));
                bar.tick();
            }
        }
        bars.total.enable_steady_tick(Duration::from_millis(250));
        bars
    }

    /// Brings a task's line up to date.
    pub fn show(&mut self, change: &Change) {
        if change.is_final() {
            self.total.inc(1);
        }
        if !self.all && !self.has_room(change) {
            return;
        }
        let bar = self.line(change.index, &change.name);
        bar.set_prefix(self.padded(mark(&change.status), &change.name));
        match change.status.as_str() {
            "in_progress" => {
                bar.set_style(style("  {prefix:.bold}  {spinner:.cyan} {msg}"));
                bar.reset_elapsed();
                bar.enable_steady_tick(Duration::from_millis(100));
                bar.set_message(attempt(change));
            }
            "retrying" => {
                bar.set_style(style("  {prefix:.yellow}  {msg}"));
                bar.disable_steady_tick();
                bar.set_message(format!("tried again soon: {}", told(change)));
            }
            status => {
                let color = match status {
                    "completed" => "green",
                    "failed" => "red",
                    _ => "dim",
                };
                bar.set_style(style(&format!("  {{prefix:.{color}}}  {{msg}}")));
                bar.disable_steady_tick();
                if self.all {
                    bar.finish_with_message(told(change));
                } else {
                    bar.finish_and_clear();
                    self.tasks.remove(&change.index);
                }
            }
        }
    }

    /// A line above the bars.
    pub fn say(&self, message: &str) {
        self.total.println(format!("  {message}"));
    }

    /// Leaves the lines as they are.
    pub fn end(&self) {
        for bar in self.tasks.values() {
            bar.abandon();
        }
        self.total.abandon();
    }

    fn has_room(&self, change: &Change) -> bool {
        self.tasks.contains_key(&change.index) || (!change.is_final() && self.tasks.len() < RUNNING)
    }

    /// The task's line, made if it has none; always above the bar of the whole.
    fn line(&mut self, index: u32, name: &str) -> ProgressBar {
        if let Some(bar) = self.tasks.get(&index) {
            return bar.clone();
        }
        let bar = self
            .screen
            .insert_before(&self.total, ProgressBar::new_spinner());
        bar.set_prefix(self.padded("·", name));
        self.tasks.insert(index, bar.clone());
        bar
    }

    fn padded(&self, mark: &str, name: &str) -> String {
        let width = self.width;
        format!("{mark} {:<width$}", table::short(name, width))
    }
}

/// The template as a style; a template that cannot be read leaves the default.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("━━─")
}

fn mark(status: &str) -> &'static str {
    match status {
        "completed" => "✔",
        "failed" => "✘",
        "skipped" => "↷",
        "cancelled" => "■",
        "retrying" => "↻",
        _ => "▸",
    }
}

fn attempt(change: &Change) -> String {
    if change.attempt > 1 {
        format!("attempt {}", change.attempt)
    } else {
        String::new()
    }
}

/// What to tell beside a task's name.
fn told(change: &Change) -> String {
    match (&change.error, &change.took, change.status.as_str()) {
        (Some(error), ..) => table::short(error, 120),
        (None, _, "skipped") => "skipped".to_owned(),
        (None, Some(took), _) => took.clone(),
        (None, None, status) => status.to_owned(),
    }
}
