//! A run while it is under way: bars on a terminal, plain lines elsewhere, both on standard error.

mod bars;
mod tracker;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Client, ClientError, read};
use crate::plan_view::Step;
use crate::table;
use crate::view::Run;
use bars::Bars;
use tracker::{Change, Tracker};

/// How often the run is read. The server answers in well under a millisecond.
const EVERY: Duration = Duration::from_millis(150);
/// How long a server that went away may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows the run until it ends and answers it as it was read last.
pub async fn watch(client: &Client, run: &str, steps: &[Step]) -> Result<Value, ClientError> {
    let mut tracker = Tracker::new(steps);
    let mut screen = Screen::new(steps);
    let mut silent_since: Option<Instant> = None;
    let mut told_to_wait = false;
    loop {
        match client
            .get("flow_runs/with_flow_result", &[("id", run)])
            .await
        {
            Ok(answer) => {
                silent_since = None;
                let view: Run = read(&answer)?;
                for change in tracker.changes(&view) {
                    screen.show(&change);
                }
                // The tasks' rows may be read a moment before the run's end; the result comes with it.
                if view.is_final() && view.flow_result.is_some() || view.status == "cancelled" {
                    screen.end();
                    return Ok(answer);
                }
                if view.status == "pending" && !told_to_wait {
                    told_to_wait = true;
                    screen.say(&format!("waits for approval: neena approve {run}"));
                }
            }
            Err(error @ ClientError::Unreachable { .. }) => {
                let since = *silent_since.get_or_insert_with(|| {
                    screen.say(&format!("{error}; trying again"));
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    screen.end();
                    return Err(error);
                }
            }
            Err(error) => {
                screen.end();
                return Err(error);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Where progress goes.
enum Screen {
    Bars(Bars),
    Lines,
}

impl Screen {
    fn new(steps: &[Step]) -> Screen {
        if std::io::stderr().is_terminal() {
            Screen::Bars(Bars::new(steps))
        } else {
            Screen::Lines
        }
    }

    fn show(&mut self, change: &Change) {
        match self {
            Screen::Bars(bars) => bars.show(change),
            Screen::Lines => eprintln!("{}", line(change)),
        }
    }

    fn say(&self, message: &str) {
        match self {
            Screen::Bars(bars) => bars.say(message),
            Screen::Lines => eprintln!("  {message}"),
        }
    }

    fn end(&self) {
        if let Screen::Bars(bars) = self {
            bars.end();
        }
    }
}

/// A change as a line of a log.
fn line(change: &Change) -> String {
    let mut line = format!("  {:<11}  {}", change.status, change.name);
    if change.attempt > 1 {
        line.push_str(&format!("  attempt {}", change.attempt));
    }
    if let Some(took) = &change.took {
        line.push_str(&format!("  {took}"));
    }
    if let Some(error) = &change.error {
        line.push_str(&format!("  {}", table::short(error, 300)));
    }
    line
}

#[cfg(test)]
#[path = "progress/tests.rs"]
mod tests;
