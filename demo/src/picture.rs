//! Draws a run as an SVG: a lane for each API, time from left to right.

use std::fmt::{Result, Write};
use std::time::Duration;

use crate::watch::Call;
use crate::{NAMES, PAUSE, Run};

/// An opaque background, so that one set of colours works on light and dark pages.
const STYLE: &str = "
  svg { font: 12px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', sans-serif; font-variant-numeric: tabular-nums }
  text { fill: #1f2328 } .quiet { fill: #59636e } .small { font-size: 11px } .head { font-size: 17px; font-weight: 600 }
  .section { font-size: 13px; font-weight: 600 } .middle { text-anchor: middle } .delay { fill: #a40e26; font-weight: 600 }
  .page { fill: #ffffff; stroke: #d1d9e0 } .accepted { fill: #2da44e } .refused { fill: #cf222e }
  .rule { stroke: #d1d9e0 } .end { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3 }
";

const WIDTH: f64 = 800.0;
const MARGIN: f64 = 20.0;
/// The range of the time axis. On its right there is room for the delay of a late refusal.
const AXIS: (f64, f64) = (150.0, 730.0);
const TOP: f64 = 146.0;
const LANE: f64 = 74.0;

pub fn of(run: &Run) -> String {
    let mut body = String::new();
    // Writing to a String never fails.
    let height = draw(&mut body, run).unwrap_or_default();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>How soon two APIs refuse a client after a revocation and a suspension</title>\n\
         <style>{STYLE}</style>\n\
         <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n{body}</svg>\n",
        WIDTH - 1.0,
        height - 1.0
    )
}

fn draw(svg: &mut String, run: &Run) -> std::result::Result<f64, std::fmt::Error> {
    let calls = || run.acts.iter().flat_map(|act| &act.calls).chain(&run.others).flatten();
    let length = calls().map(|call| call.answered.as_secs_f64()).fold(1.0, f64::max);
    let x = |time: Duration| AXIS.0 + time.as_secs_f64() / length * (AXIS.1 - AXIS.0);

    text(svg, MARGIN, 30.0, "head", "A revocation and a suspension, as two APIs see them")?;
    let how = [
        format!(
            "A client calls each API {} ms after its last response; once its revoked token is refused, it gets a new one. \
             Another client is untouched.",
            PAUSE.as_millis()
        ),
        format!(
            "The APIs check tokens offline and fetch the revocation feed every {} s. Promised: a refusal within {} s.",
            run.poll_interval.as_secs(),
            run.limit().as_secs()
        ),
    ];
    text(svg, MARGIN, 50.0, "quiet small", &how[0])?;
    text(svg, MARGIN, 66.0, "quiet small", &how[1])?;
    for (left, class, height, what) in
        [(MARGIN, "accepted", 10.0, "accepted: 200"), (130.0, "refused", 6.0, "refused: 401")]
    {
        bar(svg, class, (left, 89.0 - height, 10.0, height))?;
        text(svg, left + 15.0, 89.0, "", what)?;
    }

    let floor = TOP + LANE * NAMES.len() as f64;
    for (api, name) in NAMES.into_iter().enumerate() {
        let y = TOP + LANE * api as f64;
        text(svg, MARGIN, y + 14.0, "section", name)?;
        text(svg, MARGIN, y + 28.0, "quiet", "the client")?;
        text(svg, MARGIN, y + 48.0, "quiet", "another client")?;
        for act in &run.acts {
            stretches(svg, &act.calls[api], x, (y + 4.0, 24.0))?;
            if let (Some(refused), Some(delay)) = (act.refused[api], act.delays()[api]) {
                text(svg, x(refused), y, "delay small", &format!("{delay:+} ms"))?;
            }
        }
        stretches(svg, &run.others[api], x, (y + 38.0, 10.0))?;
    }
    for (act, what) in run.acts.iter().zip(["token revoked: 204", "admin client suspend"]) {
        line(svg, "end", ((x(act.ended), TOP - 22.0), (x(act.ended), floor)))?;
        text(svg, x(act.ended), TOP - 27.0, "section middle", what)?;
    }
    line(svg, "rule", ((AXIS.0, floor), (AXIS.1, floor)))?;
    for second in 0..=length as u64 {
        let at = x(Duration::from_secs(second));
        line(svg, "rule", ((at, floor), (at, floor + 4.0)))?;
        text(
            svg,
            at,
            floor + 17.0,
            "quiet small middle",
            &if second == 0 { "0 s".to_owned() } else { second.to_string() },
        )?;
    }
    Ok(floor + 34.0)
}

/// A bar for each run of calls with the same status; refusals are lower.
fn stretches(svg: &mut String, calls: &[Call], x: impl Fn(Duration) -> f64, (y, height): (f64, f64)) -> Result {
    for alike in calls.chunk_by(|one, next| one.status == next.status) {
        let (Some(first), Some(last)) = (alike.first(), alike.last()) else { continue };
        let (class, height) = if first.status == Some(200) { ("accepted", height) } else { ("refused", height * 0.6) };
        let low = y + if class == "refused" { height / 0.6 * 0.4 } else { 0.0 };
        bar(svg, class, (x(first.answered), low, (x(last.answered) - x(first.answered)).max(2.0), height))?;
    }
    Ok(())
}

fn bar(svg: &mut String, class: &str, (x, y, width, height): (f64, f64, f64, f64)) -> Result {
    writeln!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>")
}

fn line(svg: &mut String, class: &str, ((x1, y1), (x2, y2)): ((f64, f64), (f64, f64))) -> Result {
    writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, what: &str) -> Result {
    writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{what}</text>")
}
