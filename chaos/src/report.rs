//! What a row comes to, as a block of text, a line of the table, and JSON.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

/// How one row went.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    pub offered: usize,
    pub acknowledged: usize,
    /// The row's own figures, as sentences.
    pub figures: Vec<String>,
    /// How long after the end of the fault everything was final.
    pub recovery_seconds: Option<f64>,
    /// What the checker found right, in words.
    pub checked: String,
    /// What is wrong; empty: the row holds.
    pub faults: Vec<String>,
    /// Why the trial says too little: the row does not hold, but no planted bug is caught by it either.
    pub weak: Vec<String>,
}

impl Outcome {
    /// Notes a figure.
    pub fn figure(&mut self, text: impl Into<String>) {
        self.figures.push(text.into());
    }

    /// Notes a fault if `holds` is not so.
    pub fn must(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.faults.push(fault.into());
        }
    }

    /// Notes that the trial says too little if `holds` is not so.
    pub fn means(&mut self, holds: bool, why: impl Into<String>) {
        if !holds {
            self.weak.push(why.into());
        }
    }
}

/// A row that was tried.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub row: u32,
    pub what: &'static str,
    /// The planted bug, which must be caught.
    pub control: Option<&'static str>,
    pub seconds: f64,
    pub holds: bool,
    pub outcome: Outcome,
}

impl Tried {
    /// A block of text.
    pub fn block(&self) -> String {
        let mut text = String::new();
        let outcome = &self.outcome;
        let percent = 100.0 * outcome.acknowledged as f64 / outcome.offered.max(1) as f64;
        let title = match self.control {
            Some(control) => format!("row {} with {control}: {}", self.row, self.what),
            None => format!("row {}: {}", self.row, self.what),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}");
        let _ = writeln!(
            text,
            "  offered {}, acknowledged {} ({percent:.1} %)",
            outcome.offered, outcome.acknowledged
        );
        for figure in &outcome.figures {
            let _ = writeln!(text, "  {figure}");
        }
        if let Some(seconds) = outcome.recovery_seconds {
            let _ = writeln!(text, "  all final {seconds:.1} s after the fault ended");
        }
        if !outcome.checked.is_empty() {
            let _ = writeln!(text, "  checker: {}", outcome.checked);
        }
        for fault in outcome.faults.iter().take(12) {
            let _ = writeln!(text, "  WRONG: {fault}");
        }
        for why in &outcome.weak {
            let _ = writeln!(text, "  TOO LITTLE: {why}");
        }
        let _ = writeln!(text, "  {} in {:.0} s", self.verdict(), self.seconds);
        text
    }

    fn verdict(&self) -> &'static str {
        match (self.control.is_some(), self.holds) {
            (false, true) => "holds",
            (false, false) => "FAILS",
            (true, true) => "caught, as it must be",
            (true, false) => "NOT CAUGHT",
        }
    }
}

/// All rows, a line each.
pub fn table(tried: &[Tried]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "row",
        "what",
        "offered",
        "acknowledged",
        "recovery",
        "took",
        "verdict",
    ]);
    for one in tried {
        let what = match one.control {
            Some(control) => format!("control: {control}"),
            None => one.what.to_owned(),
        };
        table.add_row([
            one.row.to_string(),
            what,
            one.outcome.offered.to_string(),
            one.outcome.acknowledged.to_string(),
            one.outcome
                .recovery_seconds
                .map_or("–".to_owned(), |seconds| format!("{seconds:.1} s")),
            format!("{:.0} s", one.seconds),
            one.verdict().to_owned(),
        ]);
    }
    table.to_string()
}

/// Of sorted or unsorted times: the middle, the 99th of 100, the largest, in seconds.
pub fn spread(mut times: Vec<Duration>) -> (f64, f64, f64) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
        times.get(index).map_or(0.0, Duration::as_secs_f64)
    };
    (at(0.5), at(0.99), at(1.0))
}
