//! Draws the report as an SVG, 800 pixels wide. It has its own background, light or dark by the viewer's setting, so
//! that it does not depend on the page around it.

use std::fmt::{Result, Write};

use crate::measure::{Growth, Report, Row, Spread, Start};
use crate::scenario::{COLD_EXCHANGE, Contender};

/// Colours are written out instead of using custom properties, which some SVG viewers don't support.
const STYLE: &str = "
  svg { font: 12px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', sans-serif; font-variant-numeric: tabular-nums }
  .ground { fill: #ffffff; stroke: #d1d9e0 } text { fill: #1f2328 } .quiet { fill: #59636e } .rule { stroke: #d1d9e0 }
  .floor { fill: #87919b } .ours { fill: #d9480f } .peer { fill: #6c84d9 } .trend { stroke: #d9480f; stroke-width: 2; fill: none }
  .whisker { stroke: #1f2328; stroke-width: 1.2; opacity: .75; fill: none }
  .small { font-size: 11px } .head { font-size: 17px; font-weight: 600 } .section { font-size: 13px; font-weight: 600 }
  .own { font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d } text { fill: #e6edf3 } .quiet { fill: #9198a1 } .rule { stroke: #3d444d }
    .floor { fill: #7d8590 } .ours { fill: #f76f2f } .peer { fill: #7088e0 } .trend { stroke: #f76f2f }
    .whisker { stroke: #e6edf3 }
  }
";

const MARGIN: f64 = 20.0;
const WIDTH: f64 = 800.0;
/// Where the bars start, and the length of the longest.
const BARS: (f64, f64) = (268.0, 238.0);
const ROW: f64 = 20.0;

pub fn of(report: &Report) -> String {
    let mut body = String::new();
    // Writing to a String never fails.
    let height = draw(&mut body, report).unwrap_or_default();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>auth-edge measured beside a floor and a peer</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" fill=\"#ffffff\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n{body}</svg>\n",
        WIDTH - 1.0,
        height - 1.0
    )
}

fn draw(svg: &mut String, report: &Report) -> std::result::Result<f64, std::fmt::Error> {
    text(svg, MARGIN, 30.0, "head", "What one core does")?;
    let how = format!(
        "{}; workerd alone. Medians of {} rounds; the thin line spans minimum and maximum.",
        report.machine, report.rounds
    );
    text(svg, MARGIN, 50.0, "quiet", &how)?;
    let mut x = MARGIN;
    for contender in Contender::ALL {
        let what = match contender {
            Contender::Floor => "floor: the same reads and signature in bare JavaScript",
            Contender::Ours => "auth-edge",
            Contender::Peer => "peer: Hono with jose on KV",
        };
        writeln!(
            svg,
            "<rect class=\"{}\" x=\"{x}\" y=\"63\" width=\"10\" height=\"10\" rx=\"2\"/>",
            class(contender.name())
        )?;
        text(svg, x + 15.0, 72.0, "", what)?;
        x += 40.0 + 6.1 * what.len() as f64;
    }
    let mut y = runtime(svg, &report.runtime, 104.0)?;
    if !report.start.is_empty() {
        y = starts(svg, &report.start, y + 22.0)?;
    }
    if !report.growth.is_empty() {
        y = growth(svg, &report.growth, y + 24.0)?;
    }
    Ok(y + 8.0)
}

/// A bar for each contender of each scenario, with its figures.
fn runtime(svg: &mut String, rows: &[Row], top: f64) -> std::result::Result<f64, std::fmt::Error> {
    let most = rows.iter().map(|row| row.requests_per_second.max).fold(1.0, f64::max);
    let columns = [(604.0, "KV r/w"), (636.0, "DO"), (686.0, "CPU µs"), (734.0, "p50 ms"), (WIDTH - MARGIN, "p99 ms")];
    text(svg, MARGIN, top, "section", "Requests per second")?;
    for (x, name) in columns {
        text(svg, x, top, "quiet small end", name)?;
    }
    let mut y = top + 8.0;
    let mut last = "";
    for row in rows {
        if row.scenario != last {
            line(svg, "rule", (MARGIN, y), (WIDTH - MARGIN, y))?;
            y += 5.0;
            text(svg, MARGIN, y + 14.0, "", row.title)?;
        }
        last = row.scenario;
        let own = if class(row.contender) == "ours" { "own" } else { "" };
        text(svg, BARS.0 - 8.0, y + 14.0, "quiet small end", short(row.contender))?;
        bar(svg, class(row.contender), (BARS.0, y + 3.0, 13.0), row.requests_per_second, BARS.1 / most, |n| {
            thousands(n)
        })?;
        let cpu = row.cpu_us_per_request.map_or("–".to_owned(), |cpu| format!("{:.0}", cpu.median));
        let kv = format!("{:.1}/{}", row.kv_reads.median, row.kv_writes);
        let figures = [
            kv,
            row.object_calls.to_string(),
            cpu,
            format!("{:.2}", row.p50_ms.median),
            format!("{:.2}", row.p99_ms.median),
        ];
        for ((x, _), figure) in columns.iter().zip(figures) {
            text(svg, *x, y + 14.0, &format!("end {own}"), &figure)?;
        }
        y += ROW;
        let ends = rows.iter().skip_while(|other| !std::ptr::eq(*other, row)).nth(1);
        if ends.is_none_or(|next| next.scenario != row.scenario) {
            y += 4.0;
        }
    }
    line(svg, "rule", (MARGIN, y), (WIDTH - MARGIN, y))?;
    let notes = [
        "KV r/w, DO: reads and writes of KV and calls of Durable Objects, which run in the same process here. \
            p50, p99: one request at a time.",
        "auth-edge caches what it reads from KV for 250 ms, so a busy client's exchanges rarely read. The peer caches nothing.",
    ];
    for (nth, note) in notes.into_iter().enumerate() {
        text(svg, MARGIN, y + 16.0 + 15.0 * nth as f64, "quiet small", note)?;
    }
    Ok(y + 37.0)
}

/// A small panel: one value for each contender.
struct Panel {
    title: &'static str,
    values: Vec<Option<Spread>>,
    digits: usize,
}

/// Small panels: time to the first response, and size of the code.
fn starts(svg: &mut String, starts: &[Start], top: f64) -> std::result::Result<f64, std::fmt::Error> {
    let panel = |title, digits, value: fn(&Start) -> Option<Spread>| Panel {
        title,
        values: starts.iter().map(value).collect(),
        digits,
    };
    let panels = [
        panel("Start to 201, ms", 0, |start| Some(start.start_to_first_201_ms)),
        panel("Load to 201, ms", 1, |start| Some(start.load_to_first_201_ms)),
        panel("First request, ms", 1, |start| Some(start.first_request_ms)),
        panel("Code, gz, KB", 1, |start| {
            Spread::of([(start.script_gzip_bytes + start.wasm_gzip_bytes) as f64 / 1000.0])
        }),
        panel("Memory, MiB", 0, |start| start.peak_memory_mib.and_then(|mib| Spread::of([mib]))),
    ];
    let width = (WIDTH - 2.0 * MARGIN) / panels.len() as f64;
    for (nth, Panel { title, values, digits }) in panels.into_iter().enumerate() {
        let x = MARGIN + width * nth as f64;
        text(svg, x, top, "section", title)?;
        let most = values.iter().flatten().map(|spread| spread.max).fold(f64::MIN_POSITIVE, f64::max);
        for (row, (start, value)) in starts.iter().zip(values).enumerate() {
            let y = top + 10.0 + 18.0 * row as f64;
            if let Some(value) = value {
                let format = |number: f64| format!("{number:.digits$}");
                bar(svg, class(start.contender), (x, y, 12.0), value, (width - 64.0) / most, format)?;
            }
        }
    }
    Ok(top + 10.0 + 18.0 * starts.len() as f64)
}

/// Three panels: the cost of an exchange by the number of early ends and of clients.
fn growth(svg: &mut String, growth: &[Growth], top: f64) -> std::result::Result<f64, std::fmt::Error> {
    const HEIGHT: f64 = 96.0;
    const GAP: f64 = 30.0;
    type Belongs = fn(&&Growth) -> bool;
    type Size = fn(&Growth) -> usize;
    let panels: [(&str, Belongs, Size); 3] = [
        ("CPU µs, cold, by early ends", |one| is_cold(one) && one.further_clients == 1, |one| one.ends),
        ("CPU µs, cold, by further clients", |one| is_cold(one) && one.ends == 10, |one| one.further_clients),
        ("CPU µs, immediate, by ends", |one| !is_cold(one), |one| one.ends),
    ];
    let most = growth.iter().filter_map(|growth| growth.cpu_us_per_request).map(|cpu| cpu.max).fold(1.0, f64::max);
    let width = (WIDTH - 2.0 * MARGIN - 2.0 * GAP) / 3.0;
    let floor = top + 24.0 + HEIGHT;
    for (nth, (title, belongs, size)) in panels.into_iter().enumerate() {
        let left = MARGIN + (width + GAP) * nth as f64;
        text(svg, left, top, "section", title)?;
        line(svg, "rule", (left, floor), (left + width, floor))?;
        text(svg, left, floor - 4.0, "quiet small", "0")?;
        let mut trend = String::new();
        let mut marks = String::new();
        let points: Vec<_> = growth.iter().filter(belongs).collect();
        for (at, point) in points.iter().enumerate() {
            let Some(cpu) = point.cpu_us_per_request else { continue };
            let x = left + width * (at as f64 + 0.5) / points.len() as f64;
            let y = |value: f64| floor - value / most * HEIGHT;
            write!(trend, "{x:.1},{:.1} ", y(cpu.median))?;
            line(&mut marks, "whisker", (x, y(cpu.min)), (x, y(cpu.max)))?;
            writeln!(marks, "<circle class=\"ours\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\"/>", y(cpu.median))?;
            text(&mut marks, x + 9.0, y(cpu.median) + 16.0, "own", &format!("{:.0}", cpu.median))?;
            text(&mut marks, x, floor + 16.0, "quiet middle", &thousands(size(point) as f64))?;
        }
        writeln!(svg, "<polyline class=\"trend\" points=\"{}\"/>\n{marks}", trend.trim_end())?;
    }
    Ok(floor + 20.0)
}

fn is_cold(growth: &Growth) -> bool {
    growth.scenario == COLD_EXCHANGE.name
}

/// A bar with the length of the median, a thin line from the least to the most, and the median as text.
fn bar(
    svg: &mut String,
    class: &str,
    (x, y, height): (f64, f64, f64),
    spread: Spread,
    scale: f64,
    format: impl Fn(f64) -> String,
) -> Result {
    let Spread { median, min, max } = spread;
    let length = (median * scale).max(1.0);
    writeln!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{height}\" rx=\"2\"/>")?;
    if max > min {
        let middle = y + height / 2.0;
        line(svg, "whisker", (x + min * scale, middle), (x + max * scale, middle))?;
        for end in [min, max] {
            line(svg, "whisker", (x + end * scale, middle - 3.0), (x + end * scale, middle + 3.0))?;
        }
    }
    let own = if class == "ours" { "own" } else { "" };
    text(svg, x + (max * scale).max(length) + 6.0, y + height - 2.0, own, &format(median))
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) -> Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, what: &str) -> Result {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(svg, "<text class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\">{what}</text>", class.trim())
}

fn class(contender: &str) -> &'static str {
    match Contender::ALL.into_iter().find(|one| one.name() == contender) {
        Some(Contender::Ours) => "ours",
        Some(Contender::Peer) => "peer",
        _ => "floor",
    }
}

fn short(contender: &'static str) -> &'static str {
    if class(contender) == "peer" { "peer" } else { contender }
}

/// With a thin space between thousands.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{2009}');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{of, thousands};
    use crate::measure::Report;

    #[test]
    fn results_svg_is_drawn_from_results_json() {
        let read = |name| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let report: Report = serde_json::from_str(read("results.json").leak()).unwrap();
        assert!(of(&report) == read("results.svg"), "run: cargo run --package bench -- --redraw");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(1.0), "1");
        assert_eq!(thousands(1000.0), "1\u{2009}000");
        assert_eq!(thousands(1_234_567.0), "1\u{2009}234\u{2009}567");
    }
}
