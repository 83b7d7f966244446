//! Bars as SVG, readable on light and on dark pages.

use std::fmt::Write;

use crate::figure::shown;

/// A chart of bars that begin at zero.
#[derive(Debug)]
pub struct Chart {
    pub title: &'static str,
    /// What is better, and what else a reader must know.
    pub hint: String,
    pub bars: Vec<Bar>,
}

/// A bar, from zero to its value, with its extremes and its floor.
#[derive(Clone, Debug)]
pub struct Bar {
    pub label: String,
    pub unit: String,
    pub value: f64,
    pub min: f64,
    pub max: f64,
    pub floor: Option<f64>,
    /// Whether it is ours.
    pub ours: bool,
}

const WIDTH: f64 = 880.0;
/// Where bars begin, and how long the longest is; its value stands behind it.
const LEFT: f64 = 450.0;
const LONGEST: f64 = 310.0;
const ROW: f64 = 28.0;
const TOP: f64 = 62.0;
/// Characters of a label that fit before the bars.
const LABEL: usize = 64;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.quiet{fill:#59636e}\
.ours{fill:#0969da}.other{fill:#afb8c1}.range{stroke:#59636e;stroke-width:1}.floor{stroke:#bc4c00;stroke-width:2.5}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.quiet{fill:#9198a1}\
.ours{fill:#4493f8}.other{fill:#656c76}.range{stroke:#9198a1}.floor{stroke:#f0883e}}";

impl Chart {
    pub fn svg(&self) -> String {
        let height = TOP + ROW * self.bars.len() as f64 + 12.0;
        let most = self
            .bars
            .iter()
            .map(|bar| bar.value.max(bar.floor.unwrap_or(0.0)));
        let scale = LONGEST / most.fold(f64::MIN_POSITIVE, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>{STYLE}</style>\n\
             <text class=\"title\" x=\"8\" y=\"24\">{title}</text>\n\
             <text class=\"quiet\" x=\"8\" y=\"45\">{hint}</text>\n",
            title = escaped(self.title),
            hint = escaped(&self.hint),
        );
        for (at, bar) in self.bars.iter().enumerate() {
            bar.draw(&mut svg, TOP + ROW * at as f64, scale);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Bar {
    fn draw(&self, svg: &mut String, top: f64, scale: f64) {
        let at = |value: f64| LEFT + (value * scale).min(LONGEST + 10.0);
        let middle = top + ROW / 2.0;
        let class = if self.ours { "ours" } else { "other" };
        let long = (self.value * scale).max(1.5);
        // Writing to a string never fails.
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{label}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y0:.1}\" width=\"{long:.1}\" height=\"{h}\" rx=\"2\"/>\n\
             <line class=\"range\" x1=\"{min:.1}\" x2=\"{max:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>",
            x = LEFT - 10.0,
            y = middle + 4.5,
            label = escaped(&shortened(&self.label)),
            y0 = top + 5.0,
            h = ROW - 10.0,
            min = at(self.min),
            max = at(self.max),
        );
        let mut end = at(self.value).max(at(self.max));
        if let Some(floor) = self.floor {
            let x = at(floor);
            end = end.max(x);
            let _ = writeln!(
                svg,
                "<line class=\"floor\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                top + 2.0,
                top + ROW - 2.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{} {}</text>",
            end + 7.0,
            middle + 4.5,
            shown(self.value),
            escaped(&self.unit)
        );
    }
}

fn shortened(label: &str) -> String {
    match label.chars().count() > LABEL {
        true => label.chars().take(LABEL - 1).chain(['…']).collect(),
        false => label.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_say_nothing_that_is_markup() {
        let bar = |label: &str, value, floor| Bar {
            label: label.to_owned(),
            unit: "ms".to_owned(),
            value,
            min: value,
            max: value,
            floor,
            ours: true,
        };
        let chart = Chart {
            title: "Forty steps",
            hint: "less < more & \"so on\"".to_owned(),
            bars: vec![bar("half", 50.0, None), bar("all", 100.0, Some(80.0))],
        };
        let svg = chart.svg();
        assert!(
            svg.contains(&format!("width=\"{:.1}\"", LONGEST / 2.0)),
            "{svg}"
        );
        assert!(svg.contains(&format!("width=\"{LONGEST:.1}\"")), "{svg}");
        assert!(
            svg.contains("less &lt; more &amp; &quot;so on&quot;"),
            "{svg}"
        );
        assert_eq!(svg.matches("class=\"floor\"").count(), 1, "{svg}");
    }
}
