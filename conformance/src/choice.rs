//! Chooses the rows of a run: those that the profile judges and the flags ask for, with their controls.

use crate::case::Case;
use crate::cases;
use crate::glob;
use crate::profile::Profile;
use crate::result::Part;
use crate::watch::Promise;
use std::collections::BTreeSet;

pub struct Choice {
    pub profile: Profile,
    /// The globs of --case and --skip.
    only: Vec<String>,
    skip: Vec<String>,
    pub rows: Vec<&'static Case>,
}

impl Choice {
    pub fn new(profile: Profile, only: Vec<String>, skip: Vec<String>) -> Result<Self, String> {
        let is_unmatched = |glob: &str| !cases::all().any(|case| glob::matches(glob, case.id));
        if let Some(absent) = profile.absent.iter().find(|absent| is_unmatched(&absent.case)) {
            return Err(format!(
                "--profile {}: [[absent]] case = \"{}\" matches no case; `conformance list --profile service` shows all cases",
                profile.file, absent.case
            ));
        }
        if let Some(glob) = only.iter().chain(&skip).find(|glob| is_unmatched(glob)) {
            return Err(format!("no case matches \"{glob}\"; `conformance list --profile service` shows all cases"));
        }
        let is_skipped = |id: &str| skip.iter().any(|glob| glob::matches(glob, id));
        let is_wanted = |id: &str| only.is_empty() || only.iter().any(|glob| glob::matches(glob, id));
        let mut ids: BTreeSet<&str> = cases::all()
            .filter(|case| profile.judges(case.level) && is_wanted(case.id) && !is_skipped(case.id))
            .map(|case| case.id)
            .collect();
        if ids.is_empty() {
            return Err(
                "no case is left after --case, --skip and --profile; `conformance list` shows all cases".to_owned()
            );
        }
        loop {
            let controls: Vec<_> = cases::all()
                .filter(|case| ids.contains(case.id))
                .filter_map(|case| case.control)
                .filter(|id| !ids.contains(id) && !is_skipped(id))
                .collect();
            if controls.is_empty() {
                break;
            }
            ids.extend(controls);
        }
        ids.extend(["sanity.first", "sanity.last"]);
        let rows = cases::all().filter(|case| ids.contains(case.id)).collect();
        Ok(Self { profile, only, skip, rows })
    }

    /// The same choice without the cases that match.
    pub fn without(&self, glob: &str) -> Result<Self, String> {
        let skip = self.skip.iter().cloned().chain([glob.to_owned()]).collect();
        Self::new(self.profile.clone(), self.only.clone(), skip)
    }

    pub fn has(&self, id: &str) -> bool {
        self.rows.iter().any(|case| case.id == id)
    }

    /// For the report: what was chosen, if that is not the whole profile.
    pub fn part(&self) -> Option<Part> {
        let of = cases::all().filter(|case| self.profile.judges(case.level)).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (self.rows.len() < of).then(|| Part {
            cases: self.only.clone(),
            skip: self.skip.clone(),
            chosen: count(self.rows.len()),
            of: count(of),
        })
    }

    /// The promises by which every answer is judged, including those whose row was not chosen.
    pub fn promises(&self) -> Vec<Promise> {
        let judged = cases::all().filter(|case| self.profile.judges(case.level));
        judged
            .filter_map(|case| {
                let has_row = self.has(case.id) || self.profile.absent(case.id).is_some();
                Some(Promise { id: case.id, rule: case.rule()?, has_row })
            })
            .collect()
    }
}
