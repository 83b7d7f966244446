//! Files of figures put together: ours of both stacks and those of others, with the goals that take both.

use std::path::PathBuf;

use anyhow::Context;

use crate::figure::{Entry, Figure, Skipped, shown};
use crate::table::{table, verdict};

/// All entries of these files, and the goals that compare us with others.
pub fn merged(files: &[PathBuf]) -> anyhow::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let some: Vec<Entry> = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no figures", file.display()))?;
        entries.extend(some);
    }
    compare(&mut entries);
    Ok(entries)
}

/// The figures of entries.
pub fn figures(entries: &[Entry]) -> Vec<&Figure> {
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Figure(figure) => Some(&**figure),
            Entry::Skipped(_) => None,
        })
        .collect()
}

/// Who could not be measured.
pub fn skipped(entries: &[Entry]) -> Vec<&Skipped> {
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Skipped(skipped) => Some(skipped),
            Entry::Figure(_) => None,
        })
        .collect()
}

/// A table of everything, who was left out, and how many goals are met.
pub fn text(entries: &[Entry]) -> String {
    let figures = figures(entries);
    let mut text = table(&figures);
    for one in skipped(entries) {
        let scenario = one.scenario.as_deref().map(|name| format!(", {name}"));
        let scenario = scenario.unwrap_or_default();
        text.push_str(&format!(
            "\nnot measured: {}{scenario}: {}",
            one.system, one.skipped
        ));
    }
    let count = |word| figures.iter().filter(|one| verdict(one) == word).count();
    text.push_str(&format!(
        "\n{} goals met, {} missed",
        count("met"),
        count("missed")
    ));
    text
}

/// Throughput is to be a multiple of the best of those who make anything durable, in the same run.
fn compare(entries: &mut [Entry]) {
    let best = figures(entries)
        .into_iter()
        .filter(|one| one.scenario == "throughput" && one.system != "neena")
        .filter(|one| one.commits_per_step != Some(0.0))
        .max_by(|a, b| a.median.total_cmp(&b.median))
        .map(|one| {
            (
                one.median,
                format!("{}, {}: {} runs/s", one.system, one.mode, shown(one.median)),
            )
        });
    let Some((rate, of)) = best else {
        return;
    };
    for entry in entries {
        if let Entry::Figure(one) = entry
            && one.scenario == "throughput"
            && one.system == "neena"
        {
            let times = if one.mode.contains("in bulk") {
                20.0
            } else {
                5.0
            };
            one.goal = Some(times * rate);
            one.goal_of = Some(format!("{times} × the best durable peer of the run ({of})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throughput(system: &str, mode: &str, rate: f64, commits: Option<f64>) -> Entry {
        Entry::Figure(Box::new(Figure {
            system: system.to_owned(),
            commits_per_step: commits,
            ..Figure::of("throughput", mode.to_owned(), "runs/s", vec![rate]).higher_is_better()
        }))
    }

    #[test]
    fn throughput_is_compared_with_the_best_peer_that_makes_something_durable() {
        let mut entries = [
            throughput("neena", "embedded, in bulk", 3_000.0, None),
            throughput("neena", "embedded, a call to make it", 800.0, None),
            throughput("volatile", "memory", 9_000.0, Some(0.0)),
            throughput("slow", "queue", 20.0, Some(2.0)),
            throughput("quick", "in-process", 150.0, None),
        ];
        compare(&mut entries);
        let goals: Vec<_> = figures(&entries).iter().map(|one| one.goal).collect();
        assert_eq!(goals, [Some(3_000.0), Some(750.0), None, None, None]);
        assert_eq!(figures(&entries)[1].met(), Some(true));
        let of = figures(&entries)[0].goal_of.clone().unwrap_or_default();
        assert!(of.contains("quick, in-process: 150 runs/s"), "{of}");
    }

    #[test]
    fn without_peers_there_is_no_such_goal() {
        let mut entries = [throughput("neena", "embedded", 800.0, None)];
        compare(&mut entries);
        assert_eq!(figures(&entries)[0].goal, None);
    }

    #[test]
    fn who_was_left_out_is_said() {
        let entries = [Entry::Skipped(Skipped {
            scenario: None,
            system: "restate".into(),
            skipped: "no binary".into(),
        })];
        assert!(text(&entries).contains("not measured: restate: no binary"));
    }
}
