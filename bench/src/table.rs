//! Figures as a table for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::figure::{Figure, shown};

/// A row per figure: the figure, its floor, its goal.
pub fn table(figures: &[&Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "scenario",
        "mode",
        "median",
        "min–max",
        "n",
        "floor",
        "× floor",
        "goal",
        "",
    ]);
    for figure in figures {
        table.add_row(row(figure));
    }
    for column in 2..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn row(figure: &Figure) -> [String; 9] {
    let whole = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), shown);
    let mode = match figure.system.as_str() {
        "neena" => figure.mode.clone(),
        other => format!("{other}: {}", figure.mode),
    };
    [
        figure.scenario.clone(),
        mode,
        format!("{} {}", shown(figure.median), figure.unit),
        format!("{}–{}", shown(figure.min), shown(figure.max)),
        figure.samples.to_string(),
        whole(figure.floor),
        whole(figure.floor_ratio()),
        whole(figure.goal),
        verdict(figure).to_owned(),
    ]
}

/// What became of the goal.
pub fn verdict(figure: &Figure) -> &'static str {
    match figure.met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}
