//! How long revocations took to hold: a histogram for each operation, as SVG and as text.

use super::words::{duration, plural};
use crate::result::{Delays, Report};
use crate::text::escape;

/// The upper bounds of the histogram's bars, in milliseconds; one more bar holds slower ones.
const ENDS: [u64; 15] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 90_000];

/// The image if no revocation was measured.
pub const NOTHING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"24\"><text x=\"8\" y=\"16\" font-family=\"system-ui,sans-serif\" font-size=\"11\">No revocation was measured.</text></svg>\n";

const ROW: usize = 120;
const BARS: usize = 60;
const STEP: usize = 44;
const LEFT: usize = 16;

/// How many delays are at most each of [`ENDS`], and how many are above all.
fn histogram(delays: &Delays) -> [usize; 16] {
    let mut bars = [0; 16];
    for ms in &delays.delays_ms {
        bars[ENDS.iter().position(|end| ms <= end).unwrap_or(ENDS.len())] += 1;
    }
    bars
}

/// One sentence for each operation.
pub fn sentences(report: &Report) -> Vec<String> {
    let all = report.consistency.iter().flat_map(|consistency| &consistency.by_operation);
    all.map(|delays| {
        format!(
            "{}: {}, p50 {}, p99 {}, max {}",
            delays.operation,
            plural(delays.delays_ms.len(), "revocation"),
            duration(delays.p50_ms),
            duration(delays.p99_ms),
            duration(delays.max_ms)
        )
    })
    .collect()
}

/// The histogram of an operation as lines of text, without empty bars.
pub fn bars(delays: &Delays) -> Vec<String> {
    let bars = histogram(delays);
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let shown = bars.iter().enumerate().filter(|(_, many)| **many > 0);
    shown.map(|(at, many)| format!("{:>8}  {} {many}", label(at), "█".repeat((many * 30).div_ceil(most)))).collect()
}

fn label(at: usize) -> String {
    ENDS.get(at).map_or_else(|| format!("> {}", duration(ENDS[ENDS.len() - 1])), |end| format!("≤ {}", duration(*end)))
}

/// The SVG; `None` if no revocation was measured.
pub fn svg(report: &Report) -> Option<String> {
    let all = report.consistency.as_ref().map(|consistency| &consistency.by_operation).filter(|all| !all.is_empty())?;
    let (width, height) = (LEFT * 2 + STEP * (ENDS.len() + 1), ROW * all.len() + 34);
    let rows: String = all.iter().enumerate().map(|(nth, delays)| row(delays, ROW * nth + 26)).collect();
    Some(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="How long revocations took to hold" font-family="system-ui,sans-serif" font-size="11">
<style>text {{ fill: #24292f }} .bar {{ fill: #0969da }} .axis {{ stroke: #8c959f }} .name {{ font-weight: 600; font-size: 13px }} .small {{ font-size: 9px }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .bar {{ fill: #58a6ff }} }}</style>
<text x="{LEFT}" y="14">Time from the 204 of a revocation until the token was refused</text>
{rows}</svg>
"##
    ))
}

fn row(delays: &Delays, top: usize) -> String {
    let bars = histogram(delays);
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let (name, base) = (top + 14, top + 24 + BARS);
    let mut out = format!(
        "<text class=\"name\" x=\"{LEFT}\" y=\"{name}\">{}</text>\n<text x=\"{}\" y=\"{name}\">{} · p50 {} · p99 {} · max {}</text>\n",
        escape(&delays.operation),
        LEFT + 180,
        plural(delays.delays_ms.len(), "revocation"),
        duration(delays.p50_ms),
        duration(delays.p99_ms),
        duration(delays.max_ms),
    );
    for (at, many) in bars.iter().copied().enumerate() {
        let x = LEFT + STEP * at;
        let middle = x + STEP / 2;
        if many > 0 {
            let high = (many * BARS).div_ceil(most).max(2);
            out += &format!(
                "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{high}\" rx=\"2\"/>\n<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{many}</text>\n",
                x + 4,
                base - high,
                STEP - 8,
                base.saturating_sub(high + 3),
            );
        }
        let label = escape(&label(at));
        out += &format!(
            "<text class=\"small\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
            base + 11
        );
    }
    out + &format!(
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{base}\" x2=\"{}\" y2=\"{base}\"/>\n",
        LEFT + STEP * (ENDS.len() + 1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_delay_is_in_one_bar() {
        let delays = Delays::of("exchange", vec![0, 1, 2, 3, 60_000, 90_000, 90_001]);
        let bars = histogram(&delays);
        assert_eq!((bars[0], bars[1], bars[2], bars[14], bars[15]), (2, 1, 1, 2, 1));
        assert_eq!(bars.iter().sum::<usize>(), delays.delays_ms.len());
    }

    #[test]
    fn the_picture_is_well_formed_and_has_the_numbers() {
        let svg = svg(&sample::conformant()).unwrap();
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        let text: String = parsed.descendants().filter_map(|node| node.text()).collect();
        assert!(text.contains("issueShortTermToken") && text.contains("p99"), "{text}");
        assert!(super::svg(&sample::unreachable()).is_none());
    }
}
