//! The report as a table for the terminal.

use std::fmt::Write;

use crate::measure::{Bound, Report, Row, Spread};

pub fn of(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = write_all(&mut text, report);
    text
}

fn write_all(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(text, "{}; {}", report.machine, report.workerd)?;
    writeln!(
        text,
        "Each contender {}; medians of {} rounds, with minimum and maximum.",
        if report.pinned { "alone on one core" } else { "not pinned to a core" },
        report.rounds
    )?;
    if !report.runtime.is_empty() {
        writeln!(
            text,
            "\n{:27} {:11} {:>22} {:>22} {:>7} {:>7} {:>9}  {:>5} {:>6} {:>6}",
            "", "", "requests/s", "CPU µs/request", "p50 ms", "p99 ms", "p99 load", "reads", "writes", "object"
        )?;
        let mut last = "";
        for row in &report.runtime {
            let title = if row.scenario == last { "" } else { row.title };
            last = row.scenario;
            writeln!(
                text,
                "{title:27} {:11} {:>22} {:>22} {:>7.2} {:>7.2} {:>9.1}  {:>5.1} {:>6} {:>6}",
                row.contender,
                shown(Some(row.requests_per_second), 0) + if row.is_disturbed() { "*" } else { "" },
                shown(row.cpu_us_per_request, 0),
                row.p50_ms.median,
                row.p99_ms.median,
                row.loaded_p99_ms.median,
                row.kv_reads.median,
                row.kv_writes,
                row.object_calls
            )?;
        }
        writeln!(
            text,
            "\nrequests/s, CPU and p99 load: {} concurrent requests; p50 and p99: one at a time. reads, writes: of KV, per\n\
             request, the reads as measured; object: calls to the Durable Object, per request.",
            report.connections
        )?;
        if report.runtime.iter().any(Row::is_disturbed) {
            writeln!(text, "* The contender did not use all of its core: something else limited the rate.")?;
        }
    }
    if !report.start.is_empty() {
        writeln!(
            text,
            "\n{:11} {:>24} {:>22} {:>20} {:>12} {:>12} {:>12}",
            "",
            "start to first 201, ms",
            "load to first 201, ms",
            "first request, ms",
            "script, gz",
            "WASM, gz",
            "memory, MiB"
        )?;
        for start in &report.start {
            writeln!(
                text,
                "{:11} {:>24} {:>22} {:>20} {:>12} {:>12} {:>12}",
                start.contender,
                shown(Some(start.start_to_first_201_ms), 0),
                shown(Some(start.load_to_first_201_ms), 1),
                shown(Some(start.first_request_ms), 1),
                kilobytes(start.script_gzip_bytes),
                kilobytes(start.wasm_gzip_bytes),
                start.peak_memory_mib.map_or("–".to_owned(), |mib| format!("{mib:.0}")),
            )?;
        }
    }
    if !report.growth.is_empty() {
        writeln!(
            text,
            "\n{:18} {:>12} {:>15} {:>22} {:>22}",
            "", "early ends", "further clients", "CPU µs/request", "requests/s"
        )?;
        for growth in &report.growth {
            writeln!(
                text,
                "{:18} {:>12} {:>15} {:>22} {:>22}",
                growth.scenario,
                growth.ends,
                growth.further_clients,
                shown(growth.cpu_us_per_request, 0),
                shown(Some(growth.requests_per_second), 0)
            )?;
        }
    }
    writeln!(text, "\n{}", report.at_once)?;
    for aim in &report.aims {
        let bound = match aim.bound {
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::AtLeast(least) => format!("at least {least}"),
        };
        let verdict = if aim.is_met() { "met" } else { "MISSED" };
        writeln!(text, "{:68} {:>7.2}  {bound:14} {verdict}", aim.what, aim.found)?;
    }
    Ok(())
}

fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("–".to_owned(), |Spread { median, min, max }| {
        format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
    })
}

fn kilobytes(bytes: u64) -> String {
    if bytes == 0 { "–".to_owned() } else { format!("{:.1} KB", bytes as f64 / 1000.0) }
}
