//! Tables and times for people.

use chrono::{DateTime, Local, Utc};
use comfy_table::{ContentArrangement, Table, presets};

/// A table without lines, as wide as it needs to be and no wider than the terminal.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(|title| title.to_uppercase()));
    table
}

/// A time of the API in this machine's zone, to the second.
pub fn local(time: Option<&str>) -> String {
    match time.and_then(parsed) {
        Some(time) => time
            .with_timezone(&Local)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string(),
        None => "–".to_owned(),
    }
}

/// How long it took from one time of the API to another: `41 ms`, `2.5 s`, `3 min 20 s`.
pub fn took(start: Option<&str>, end: Option<&str>) -> String {
    match (start.and_then(parsed), end.and_then(parsed)) {
        (Some(start), Some(end)) => duration((end - start).num_milliseconds()),
        _ => "–".to_owned(),
    }
}

/// A time of the API.
pub fn parsed(time: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(time)
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

fn duration(millis: i64) -> String {
    match millis.max(0) {
        0 => "< 1 ms".to_owned(),
        millis @ ..1_000 => format!("{millis} ms"),
        millis @ ..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        millis @ ..3_600_000 => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
        millis => format!(
            "{} h {} min",
            millis / 3_600_000,
            millis % 3_600_000 / 60_000
        ),
    }
}

/// Whether a character steers a terminal, or turns the text after it around.
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// A text in one line of at most `width` characters, safe for a terminal.
pub fn short(text: &str, width: usize) -> String {
    let line: String = text
        .chars()
        .map(|c| if steers(c) { ' ' } else { c })
        .collect();
    if line.chars().count() <= width {
        line
    } else {
        format!(
            "{}…",
            line.chars()
                .take(width.saturating_sub(1))
                .collect::<String>()
        )
    }
}

/// A text of many lines as a terminal may be given it: control characters made visible.
pub fn harmless(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
