//! Writes what was measured into `docs/performance.md` and its charts. Prose around the tables stays as it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::figure::{Entry, Figure, shown};
use crate::report::{figures, merged, skipped};
use crate::svg::{Bar, Chart};
use crate::table::verdict;

/// A table of the document, and the scenarios in it.
const TABLES: [(&str, &[&str]); 9] = [
    ("chain40", &["chain40", "single"]),
    ("heavy10", &["heavy10"]),
    ("fan", &["fan100", "fan1000", "tasks10000"]),
    ("throughput", &["throughput"]),
    ("latency", &["latency"]),
    ("footprint", &["start", "idle", "binary"]),
    ("growth", &["growth", "page"]),
    ("shapes", &["shapes"]),
    ("workers", &["workers", "waiting", "soak"]),
];

/// A chart: its file, its title, its scenario.
const CHARTS: [(&str, &str, &str); 7] = [
    (
        "chain40",
        "Forty small steps, one after the other",
        "chain40",
    ),
    ("heavy10", "Ten heavy steps, one after the other", "heavy10"),
    (
        "fan100",
        "A hundred steps side by side, and one that joins them",
        "fan100",
    ),
    (
        "throughput",
        "Runs of one task, made and approved over HTTP",
        "throughput",
    ),
    (
        "latency",
        "From approval to the start of the first task",
        "latency",
    ),
    ("growth", "The same beside stored runs", "growth"),
    ("workers", "Tasks that wait, on more workers", "workers"),
];

/// Reads figures, writes `docs/performance.md` and `docs/performance/*.svg` below `root`.
pub fn draw(files: &[PathBuf], root: &Path) -> anyhow::Result<()> {
    let entries = merged(files)?;
    let document = root.join("docs/performance.md");
    let mut text = std::fs::read_to_string(&document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    text = replaced(&text, "machine", &machine())?;
    for (name, scenarios) in TABLES {
        text = replaced(&text, name, &table(&entries, scenarios))?;
    }
    let folder = root.join("docs/performance");
    std::fs::create_dir_all(&folder)?;
    for (name, title, scenario) in CHARTS {
        if let Some(chart) = chart(&figures(&entries), title, scenario) {
            std::fs::write(folder.join(format!("{name}.svg")), chart.svg())?;
        }
    }
    std::fs::write(&document, text)?;
    Ok(())
}

/// `text` with what stands between the markers of `name` replaced.
fn replaced(text: &str, name: &str, with: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- figures: {name} -->\n"), "<!-- end -->");
    let Some((before, rest)) = text.split_once(&begin) else {
        bail!(
            "docs/performance.md has no place for `{name}`: {}",
            begin.trim()
        );
    };
    let (_, after) = rest
        .split_once(end)
        .with_context(|| format!("the place for `{name}` has no end"))?;
    ensure!(!after.contains(&begin), "there are two places for `{name}`");
    Ok(format!("{before}{begin}{}\n{end}{after}", with.trim_end()))
}

/// A table of these scenarios: ours first, then those of others, then who could not be measured.
fn table(entries: &[Entry], scenarios: &[&str]) -> String {
    let all = figures(entries);
    let mut rows: Vec<&Figure> = Vec::new();
    for scenario in scenarios {
        let of = all.iter().filter(|one| one.scenario == *scenario);
        let (ours, others): (Vec<&Figure>, Vec<&Figure>) =
            of.copied().partition(|one| one.system == "neena");
        rows.extend(ours.into_iter().chain(others));
    }
    if rows.is_empty() {
        return "Not measured in this run.".to_owned();
    }
    let mut text = String::from(
        "| | median | min–max (n) | floor | × floor | goal | | durable commits |\n|---|---:|---:|---:|---:|---:|---|---:|\n",
    );
    for figure in &rows {
        text.push_str(&row(figure));
    }
    let notes: Vec<String> = rows
        .iter()
        .filter_map(|one| Some(format!("- {}: {}", label(one), one.note.as_deref()?)))
        .collect();
    let left_out = skipped(entries).into_iter().filter(|one| {
        scenarios.iter().any(|scenario| match &one.scenario {
            Some(own) => own == scenario,
            None => *scenario == "chain40",
        })
    });
    let left_out =
        left_out.map(|one| format!("- {} was not measured: {}", one.system, one.skipped));
    let below: Vec<String> = notes.into_iter().chain(left_out).collect();
    if !below.is_empty() {
        text.push('\n');
        text.push_str(&below.join("\n"));
    }
    text
}

fn row(figure: &Figure) -> String {
    let with = |value: Option<f64>, of: &Option<String>| match (value, of) {
        (Some(value), Some(of)) => format!("{} ({of})", shown(value)),
        (Some(value), None) => shown(value),
        (None, _) => "–".to_owned(),
    };
    let commits = match (figure.commits, figure.commits_per_step) {
        (Some(commits), _) => commits.to_string(),
        (None, Some(per_step)) => format!("{} a step", shown(per_step)),
        (None, None) => "–".to_owned(),
    };
    format!(
        "| {} | {} {} | {}–{} ({}) | {} | {} | {} | {} | {} |\n",
        label(figure),
        shown(figure.median),
        figure.unit,
        shown(figure.min),
        shown(figure.max),
        figure.samples,
        with(figure.floor, &figure.floor_of),
        figure.floor_ratio().map_or_else(|| "–".to_owned(), shown),
        with(figure.goal, &figure.goal_of),
        verdict(figure),
        commits,
    )
}

fn label(figure: &Figure) -> String {
    match figure.system.as_str() {
        "neena" => {
            let scenario = match figure.scenario.as_str() {
                several @ ("single" | "fan100" | "fan1000" | "tasks10000" | "start" | "idle"
                | "binary" | "page" | "soak" | "waiting") => format!("{several}: "),
                _ => String::new(),
            };
            format!("{scenario}{}", figure.mode)
        }
        other => format!("{other} {}, {}", figure.version, figure.mode),
    }
}

/// Bars of a scenario; none where it was not measured. Of latencies the medians within what has a goal: others
/// are as long as the load lasted.
fn chart(all: &[&Figure], title: &'static str, scenario: &str) -> Option<Chart> {
    let drawn: Vec<&Figure> = all
        .iter()
        .copied()
        .filter(|one| one.scenario == scenario)
        .filter(|one| scenario != "latency" || (one.goal.is_some() && one.mode.ends_with("p50")))
        .collect();
    let better = match drawn.first()?.higher_is_better {
        true => "more is better",
        false => "less is better",
    };
    // Rates stand far below their floor, which would shorten every bar to nothing.
    let with_floor = scenario != "throughput";
    let bars = drawn.iter().map(|one| Bar {
        label: match one.system.as_str() {
            "neena" => format!("Neena, {}", one.mode),
            other => format!("{other}, {}", one.mode),
        },
        unit: one.unit.clone(),
        value: one.median,
        min: one.min,
        max: one.max,
        floor: one.floor.filter(|_| with_floor),
        ours: one.system == "neena",
    });
    let floor = match with_floor {
        true => ", the mark: the machine's own floor",
        false => "",
    };
    Some(Chart {
        title,
        hint: format!("medians, {better}; the line: minimum to maximum{floor}"),
        bars: bars.collect(),
    })
}

/// The machine this runs on, in a sentence.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(
            || "unknown".to_owned(),
            |(_, value)| value.trim().to_owned(),
        )
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let kilobytes: f64 = field(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!(
        "Measured with Neena {} on {cores} cores ({processor}), {:.0} GB, Linux {}.",
        env!("CARGO_PKG_VERSION"),
        kilobytes / 1e6,
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "before\n<!-- figures: fan -->\nold\n<!-- end -->\nafter\n";

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() -> anyhow::Result<()> {
        let new = replaced(DOCUMENT, "fan", "new\n")?;
        assert_eq!(
            new,
            "before\n<!-- figures: fan -->\nnew\n<!-- end -->\nafter\n"
        );
        assert_eq!(replaced(&new, "fan", "new")?, new);
        assert!(replaced(DOCUMENT, "throughput", "new").is_err());
        Ok(())
    }

    #[test]
    fn the_document_has_a_place_for_every_table_and_shows_every_chart() -> anyhow::Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join("docs/performance.md"))?;
        for (name, _) in TABLES {
            replaced(&text, name, "")?;
        }
        for (name, ..) in CHARTS {
            let shown = format!("(performance/{name}.svg)");
            ensure!(text.contains(&shown), "{shown} is not shown");
        }
        Ok(())
    }

    #[test]
    fn a_row_says_what_its_floor_and_goal_are_made_of() {
        let figure = Figure::of("chain40", "embedded, Python".into(), "ms", vec![30.0])
            .floor(25.0, "41 c + 40 call")
            .goal(38.75, "1.15 × (41 c + 40 call) + 10 ms");
        let row = row(&figure);
        assert!(row.contains("25.0 (41 c + 40 call)"), "{row}");
        assert!(
            row.contains("| 1.20 | 38.8 (1.15 × (41 c + 40 call) + 10 ms) | met |"),
            "{row}"
        );
    }

    #[test]
    fn who_was_not_measured_stands_below_the_table() {
        let entries = [
            Entry::Figure(Box::new(Figure::of(
                "chain40",
                "embedded".into(),
                "ms",
                vec![1.0],
            ))),
            Entry::Skipped(crate::figure::Skipped {
                scenario: None,
                system: "restate".into(),
                skipped: "no binary".into(),
            }),
        ];
        let text = table(&entries, &["chain40"]);
        assert!(
            text.contains("- restate was not measured: no binary"),
            "{text}"
        );
        assert_eq!(table(&entries, &["growth"]), "Not measured in this run.");
    }
}
