//! The reports of a run. JSON is the canonical one; the others are rendered from the same [`Report`] and contain nothing
//! else. The same report always gives the same bytes.

mod badge;
pub mod delays;
pub mod diff;
mod har;
mod html;
pub mod json;
mod junit;
mod markdown;
#[cfg(test)]
pub mod sample;
mod script;
mod words;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::groups::is_failure;
use crate::result::Report;

pub use diff::diff;
pub use json::read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Json,
    Junit,
    Markdown,
    Html,
    Har,
    /// An SVG with the verdict.
    Badge,
    /// An SVG: how long revocations took to hold.
    Lag,
    /// A directory with a script for each failure.
    Scripts,
}

impl Kind {
    const ALL: [Self; 8] =
        [Self::Json, Self::Junit, Self::Markdown, Self::Html, Self::Har, Self::Badge, Self::Lag, Self::Scripts];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Har => "har",
            Self::Badge => "badge",
            Self::Lag => "lag",
            Self::Scripts => "scripts",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("unknown kind of report {name:?}: give one of {all}")
        })
    }
}

/// The value of one `--report`: `html=build/report.html`, or `json=-` for standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub path: PathBuf,
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((kind, path)) if !path.is_empty() => Ok(Self { kind: kind.parse()?, path: path.into() }),
            _ => Err(format!("{text:?} has no path: write KIND=PATH, such as html=report.html; - is standard output")),
        }
    }
}

/// Checks before a run that its reports can be written afterwards, each to a path of its own.
pub fn check_paths(reports: &[Request]) -> Result<(), String> {
    for (nth, Request { kind, path }) in reports.iter().enumerate() {
        let other = reports[..nth].iter().find(|other| other.path == *path);
        if path.as_os_str() == "-" {
            match other {
                None => continue,
                Some(_) => {
                    return Err(
                        "only one report can go to standard output: give a file for the others, KIND=PATH".to_owned()
                    );
                }
            }
        }
        if let Some(other) = other {
            return Err(format!(
                "the {} report and the {kind} report would both be written to {}: give each a path of its own",
                other.kind,
                path.display()
            ));
        }
        // A directory that is missing is made when the report is written.
        let Some(there) = path.ancestors().find(|part| part.exists()) else { continue };
        let problem = if there == path && there.is_dir() && *kind != Kind::Scripts {
            "it is a directory"
        } else if there == path && !there.is_dir() && *kind == Kind::Scripts {
            "it is not a directory"
        } else if there != path && !there.is_dir() {
            "a part of it is not a directory"
        } else if fs::metadata(there).is_ok_and(|there| there.permissions().readonly()) {
            "it is read-only"
        } else {
            continue;
        };
        return Err(format!(
            "cannot write the {kind} report to {}: {problem}; give a path where you may write",
            path.display()
        ));
    }
    Ok(())
}

/// Writes the report as `kind` to `path`; `-` is standard output. Creates missing directories, so that no run is lost
/// because of one.
pub fn write(kind: Kind, path: &Path, report: &Report) -> Result<(), String> {
    if kind == Kind::Scripts {
        return write_scripts(path, report);
    }
    let text = render(kind, report)?;
    if path.as_os_str() == "-" {
        let mut out = io::stdout().lock();
        return match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // The reader, such as `head`, has closed the pipe: not an error of the run.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(format!(
                "cannot write the {kind} report to standard output: {error}; give a file instead, {kind}=PATH"
            )),
            Ok(()) => Ok(()),
        };
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| {
            format!(
                "cannot create the directory {} for the {kind} report: {error}; give a path where you may write",
                directory.display()
            )
        })?;
    }
    fs::write(path, text).map_err(|error| {
        format!("cannot write the {kind} report to {}: {error}; give a path where you may write", path.display())
    })
}

/// Writes one script for each failure, named by the case's id. Only the owner may read, write and run it.
fn write_scripts(directory: &Path, report: &Report) -> Result<(), String> {
    let failed = |why: io::Error| {
        format!("cannot write the scripts to {}: {why}; give a directory where you may write", directory.display())
    };
    fs::create_dir_all(directory).map_err(failed)?;
    for case in report.cases.iter().filter(|case| is_failure(case.outcome) && !case.exchanges.is_empty()) {
        let file = directory.join(script::name(case));
        fs::write(&file, script::render(report, case)).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
    }
    Ok(())
}

fn render(kind: Kind, report: &Report) -> Result<String, String> {
    match kind {
        Kind::Json => json::render(report),
        Kind::Junit => Ok(junit::render(report)),
        Kind::Markdown => Ok(markdown::render(report)),
        Kind::Html => Ok(html::render(report)),
        Kind::Har => har::render(report),
        Kind::Badge => Ok(badge::render(report)),
        Kind::Lag => Ok(delays::svg(report).unwrap_or_else(|| delays::NOTHING.to_owned())),
        Kind::Scripts => Err("scripts are written to a directory: scripts=DIR".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_kind_and_a_path() {
        let request: Request = "html=out/a=b.html".parse().unwrap();
        assert_eq!(request, Request { kind: Kind::Html, path: "out/a=b.html".into() });
        for wrong in ["html", "html=", "", "pdf=x"] {
            let error = wrong.parse::<Request>().unwrap_err();
            assert!(error.contains("html"), "{error}");
        }
    }

    #[test]
    fn the_same_report_gives_the_same_text_in_every_kind() {
        let report = sample::report();
        let again = json::parse(&render(Kind::Json, &report).unwrap()).unwrap();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Scripts) {
            assert_eq!(render(kind, &report), render(kind, &again), "{kind}");
        }
    }

    #[test]
    fn a_report_is_written_where_it_was_asked_for() {
        let directory = std::env::temp_dir().join(format!("conformance-report-{}", std::process::id()));
        let path = directory.join("deep/er/report.xml");
        write(Kind::Junit, &path, &sample::report()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("<?xml"));

        let error = write(Kind::Junit, &path.join("below-a-file"), &sample::report()).unwrap_err();
        assert!(error.contains("give a path where you may write"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn every_kind_names_a_partial_run() {
        // These two do not show which cases were chosen.
        for kind in Kind::ALL.into_iter().filter(|kind| ![Kind::Lag, Kind::Scripts].contains(kind)) {
            let text = render(kind, &sample::part()).unwrap();
            let told = match kind {
                Kind::Json => "\"of\": 84",
                Kind::Badge => "in part",
                _ => "38 of 84 cases",
            };
            assert!(text.contains(told), "{kind}");
            assert!(!render(kind, &sample::conformant()).unwrap().contains("38 of"), "{kind}");
        }
    }

    #[test]
    #[ignore = "writes the samples to look at: REPORT_SAMPLES=DIR cargo test -p conformance -- --ignored samples"]
    fn samples() {
        let directory = PathBuf::from(std::env::var_os("REPORT_SAMPLES").unwrap());
        for (name, report) in
            [("mixed", sample::report()), ("conformant", sample::conformant()), ("unreachable", sample::unreachable())]
        {
            for kind in Kind::ALL {
                write(kind, &directory.join(format!("{name}.{kind}")), &report).unwrap();
            }
        }
    }
}
