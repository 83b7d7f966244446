//! A figure: what was measured, beside its floor and its goal. One shape for ours and for those of others.

use serde::{Deserialize, Serialize};

/// Whatever was measured: median, extremes, how many times, and what to compare it with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figure {
    pub scenario: String,
    pub system: String,
    pub version: String,
    /// Stack and variant, as `embedded, Python, recorded per step`.
    pub mode: String,
    /// ms, µs, runs/s, tasks/s, MB
    pub unit: String,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub samples: usize,
    /// What this machine itself needs for the same, measured in turns with it; in the figure's unit.
    pub floor: Option<f64>,
    pub floor_of: Option<String>,
    pub goal: Option<f64>,
    pub goal_of: Option<String>,
    pub higher_is_better: bool,
    /// Durable commits on the path.
    pub commits: Option<u64>,
    /// Of others: durable commits they make per step.
    pub commits_per_step: Option<f64>,
    /// What is on the disk when.
    pub durable: String,
    pub note: Option<String>,
}

/// Somebody who could not be measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Skipped {
    #[serde(default)]
    pub scenario: Option<String>,
    pub system: String,
    /// Why.
    pub skipped: String,
}

/// An entry of a file of figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    Skipped(Skipped),
    Figure(Box<Figure>),
}

/// What our own figures hold about the disk.
pub const ON_DISK: &str = "every commit of the path is on the disk before it is answered";
pub const IN_SYSTEM: &str =
    "every commit is with the operating system: it survives the process, not a power cut";

impl Figure {
    /// Ours, of these samples. Lower is better and each commit is on the disk, unless said otherwise.
    pub fn of(scenario: &str, mode: String, unit: &str, samples: Vec<f64>) -> Figure {
        let count = samples.len();
        let (median, min, max) = spread(samples);
        Figure {
            scenario: scenario.to_owned(),
            system: "neena".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode,
            unit: unit.to_owned(),
            median,
            min,
            max,
            samples: count,
            durable: ON_DISK.to_owned(),
            ..Figure::default()
        }
    }

    pub fn floor(mut self, floor: f64, of: impl Into<String>) -> Figure {
        self.floor = Some(floor);
        self.floor_of = Some(of.into());
        self
    }

    pub fn goal(mut self, goal: f64, of: impl Into<String>) -> Figure {
        self.goal = Some(goal);
        self.goal_of = Some(of.into());
        self
    }

    pub fn higher_is_better(mut self) -> Figure {
        self.higher_is_better = true;
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Figure {
        self.note = Some(match self.note.take() {
            Some(before) => format!("{before}; {}", note.into()),
            None => note.into(),
        });
        self
    }

    /// Whether the goal is met; none without one.
    pub fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match self.higher_is_better {
            true => self.median >= goal,
            false => self.median <= goal,
        })
    }

    /// How many times the floor it is: above 1 is above what the machine itself needs, below 1 for rates.
    pub fn floor_ratio(&self) -> Option<f64> {
        let floor = self.floor.filter(|floor| *floor > 0.0)?;
        Some(self.median / floor)
    }
}

/// Median, minimum and maximum; zeros of nothing.
pub fn spread(mut samples: Vec<f64>) -> (f64, f64, f64) {
    samples.sort_unstable_by(f64::total_cmp);
    let at = |at: usize| samples.get(at).copied().unwrap_or_default();
    (
        at(samples.len() / 2),
        at(0),
        at(samples.len().saturating_sub(1)),
    )
}

/// The value below which so many of a hundred samples lie.
pub fn percentile(samples: &[f64], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The median alone.
pub fn median(samples: Vec<f64>) -> f64 {
    spread(samples).0
}

/// A value with as many digits as it deserves.
pub fn shown(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        "" => grouped,
        rest => format!("{grouped}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_meets_its_goal_in_the_direction_that_is_better() {
        let figure = Figure::of("chain40", "embedded".into(), "ms", vec![3.0, 1.0, 2.0]);
        assert_eq!((figure.median, figure.min, figure.max), (2.0, 1.0, 3.0));
        assert_eq!(figure.met(), None);
        assert_eq!(figure.clone().goal(2.0, "flat").met(), Some(true));
        assert_eq!(figure.clone().goal(1.9, "flat").met(), Some(false));
        assert_eq!(
            figure.goal(1.9, "flat").higher_is_better().met(),
            Some(true)
        );
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&samples, 99.0), 198.0);
        assert_eq!(percentile(&samples, 50.0), 100.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert_eq!(percentile(&[], 99.0), 0.0);
    }

    #[test]
    fn a_file_may_hold_figures_of_others_and_why_there_are_none() {
        let text = r#"[{"scenario": "chain40", "system": "dbos", "version": "2", "mode": "in-process", "unit": "ms",
            "median": 1, "min": 1, "max": 2, "samples": 7, "durable": "a row a step", "note": null},
            {"system": "restate", "skipped": "no binary"}]"#;
        let entries: Vec<Entry> = serde_json::from_str(text).expect("a file of figures");
        assert!(
            matches!(&entries[0], Entry::Figure(one) if one.system == "dbos" && one.floor.is_none())
        );
        assert!(matches!(&entries[1], Entry::Skipped(one) if one.skipped == "no binary"));
    }

    #[test]
    fn values_are_shown_with_the_digits_they_deserve() {
        for (value, text) in [
            (0.123, "0.12"),
            (12.34, "12.3"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(shown(value), text);
        }
    }
}
