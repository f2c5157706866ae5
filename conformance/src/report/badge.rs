//! A badge for a README: the verdict and the number of cases.

use super::words::verdict_name;
use crate::result::{Report, Verdict};
use crate::text::escape;

const LABEL: &str = "token API";

pub fn render(report: &Report) -> String {
    let colour = match report.verdict {
        Verdict::Conformant => "#1a7f37",
        Verdict::NotConformant => "#b42318",
        Verdict::Incomplete | Verdict::Unreachable | Verdict::InternalError => "#9a6700",
    };
    let judged = report.counts.pass + report.counts.fail + report.counts.expected_fail + report.counts.unexpected_pass;
    let part = if report.part.is_some() { ", in part" } else { "" };
    let told = match report.verdict {
        Verdict::Conformant | Verdict::NotConformant => {
            format!("{}{part} ({}/{judged}, {})", verdict_name(report.verdict), report.counts.pass, report.profile)
        }
        _ => verdict_name(report.verdict).to_owned(),
    }
    .to_lowercase();
    let (left, right) = (width(LABEL), width(&told));
    let whole = left + right;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{LABEL}: {told}">
<title>{LABEL}: {told}</title>
<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#3d444d"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{}" y="14">{LABEL}</text>
<text x="{}" y="14">{told}</text>
</g>
</svg>
"##,
        left / 2,
        left + right / 2,
        told = escape(&told),
    )
}

/// A letter of Verdana at 11 pixels is about 7 pixels wide.
fn width(text: &str) -> usize {
    text.chars().count() * 7 + 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_badge_is_well_formed_and_shows_the_verdict() {
        for (report, told) in [
            (sample::conformant(), "conformant (84/84, contract)"),
            (sample::part(), "conformant, in part (38/38, contract)"),
            (sample::report(), "not conformant ("),
            (sample::unreachable(), "unreachable"),
        ] {
            let svg = render(&report);
            let parsed = roxmltree::Document::parse(&svg).unwrap();
            let title = parsed.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
            let title = title.and_then(|node| node.text()).unwrap();
            assert!(title.contains(told), "{title}");
        }
    }
}
