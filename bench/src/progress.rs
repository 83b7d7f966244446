//! How far a measurement is, for whoever waits for it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal, a line where there is none; gone when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(name: &str, steps: u64) -> Progress {
        let bar = ProgressBar::new(steps).with_message(name.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg:44} {wide_bar} {pos}/{len} {elapsed}")
        {
            bar.set_style(style);
        }
        if bar.is_hidden() {
            eprintln!("measuring {name} …");
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    pub fn one(&self) {
        self.0.inc(1);
    }

    pub fn by(&self, steps: u64) {
        self.0.inc(steps);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
