//! The table: every promise of the contract that can be tested over HTTP, one row each.
//!
//! A row is a valid request, the one change to it, and the expected answer. To add a case, copy a row; its id never
//! changes afterwards. If one request is not enough, the row names a step function instead.

mod auth_time;
mod documents;
mod feed;
mod immediate;
mod introspection;
mod keys;
mod later;
mod limited;
mod limits;
mod locks;
mod long;
mod metadata;
mod narrowing;
mod operators;
mod outside;
mod retired;
mod revoke;
mod sanity;
mod short;
mod standing;

use crate::case::Case;
use crate::matrix::Cell;
use std::sync::{LazyLock, OnceLock};

/// One table per operation and topic, in a file of that name.
const TABLES: &[&[Case]] = &[
    sanity::CASES,
    long::secret::CASES,
    long::assertion::CASES,
    long::claims::CASES,
    long::margins::CASES,
    long::forged::CASES,
    long::headers::CASES,
    long::alike::CASES,
    long::rotation::CASES,
    long::rules::CASES,
    long::lock::CASES,
    long::otp::CASES,
    long::token::CASES,
    long::scopes::CASES,
    long::body::CASES,
    short::token::CASES,
    short::inside::CASES,
    short::bearer::CASES,
    short::forged::CASES,
    short::scopes::CASES,
    short::body::CASES,
    revoke::ends::CASES,
    revoke::bearer::CASES,
    revoke::rights::CASES,
    revoke::ids::CASES,
    revoke::forged::CASES,
    later::CASES,
    retired::CASES,
    limits::CASES,
    limited::CASES,
    outside::CASES,
    standing::CASES,
    auth_time::CASES,
    narrowing::CASES,
    locks::CASES,
    introspection::answers::CASES,
    introspection::callers::CASES,
    introspection::form::CASES,
    keys::CASES,
    metadata::CASES,
    documents::CASES,
    feed::served::CASES,
    feed::tokens::CASES,
    feed::clients::CASES,
    feed::news::CASES,
    feed::deltas::CASES,
    feed::standing::CASES,
    feed::private::CASES,
    operators::create::CASES,
    operators::shown::CASES,
    operators::callers::CASES,
    operators::keys::CASES,
    operators::algorithms::CASES,
    operators::change::CASES,
    operators::conditions::CASES,
    operators::secrets::CASES,
    operators::codes::CASES,
    operators::ends::CASES,
    operators::list::CASES,
    immediate::CASES,
    operators::own::CASES,
];

/// Rows that the user added.
static OWN: OnceLock<&'static [Case]> = OnceLock::new();

/// Must be called before [`all`].
pub fn add(own: Vec<Case>) {
    let _ = OWN.set(own.leak());
}

pub fn built_in() -> impl Iterator<Item = &'static Case> {
    TABLES.iter().copied().flatten()
}

/// Every row, in the order of the matrix.
pub fn all() -> impl Iterator<Item = &'static Case> {
    static ALL: LazyLock<Vec<&'static Case>> = LazyLock::new(|| {
        let mut all: Vec<_> = built_in().chain(OWN.get().copied().into_iter().flatten()).collect();
        // A stable sort: within a cell, and outside all cells, the order of the tables is kept.
        all.sort_by_key(|case| match case.cell {
            _ if case.id == "sanity.first" => (0, 0),
            Cell::Long(status) => (1, status),
            Cell::Short(status) => (2, status),
            Cell::Revoke(status) => (3, status),
            Cell::Service(_) => (5, 0),
            _ if case.id == "sanity.last" => (6, 0),
            Cell::Outside(_) | Cell::Throughout => (4, 0),
        });
        all
    });
    ALL.iter().copied()
}

pub fn find(id: &str) -> Option<&'static Case> {
    all().find(|case| case.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Level, MATRIX, Op};
    use std::collections::BTreeSet;

    /// Known failures, profiles and links name cases by id. An id may be added but never changed.
    #[test]
    fn the_ids_are_the_published_ones() {
        let published: Vec<_> = include_str!("ids.txt").lines().collect();
        let mut ids: Vec<_> = all().map(|case| case.id).collect();
        ids.sort_unstable();
        let all: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(all.len(), ids.len(), "an id is used twice");
        let missing: Vec<_> = ids.iter().filter(|id| !published.contains(id)).collect();
        assert!(missing.is_empty(), "add to ids.txt: {missing:?}");
        let gone: Vec<_> = published.iter().filter(|id| !all.contains(*id)).collect();
        assert!(gone.is_empty(), "in ids.txt, but in no table: {gone:?}");
        assert_eq!(
            ids, published,
            "ids.txt is not sorted, or has an id twice: run LC_ALL=C sort -u -o ids.txt ids.txt"
        );
    }

    #[test]
    fn every_cell_of_the_matrix_has_a_case() {
        for cell in MATRIX {
            assert!(all().any(|case| case.cell == cell && !case.is_standing()), "no case for {cell}");
        }
    }

    #[test]
    fn every_case_is_in_a_cell_or_outside_or_of_the_service() {
        for case in all() {
            let (op, status) = (case.cell.op(), case.cell.status());
            assert!(
                MATRIX.contains(&case.cell) || matches!(op, Op::Outside | Op::Service),
                "{} is in no cell",
                case.id
            );
            assert_eq!(op == Op::Service, case.level == Level::Service, "{}", case.id);
            let expected = status.is_none_or(|status| case.expect.status == status);
            assert!(expected || case.is_standing(), "{}: expects {}", case.id, case.expect);
        }
    }

    /// Without a control, a server that rejects everything would pass.
    #[test]
    fn every_refusal_has_a_positive_control() {
        for case in all().filter(|case| !case.is_standing() && !case.id.starts_with("sanity.")) {
            let mut at = case;
            let mut steps = 0;
            while let Some(id) = at.control {
                at = find(id).unwrap_or_else(|| panic!("{}: no case {id}", case.id));
                assert!(!at.is_standing(), "{}: its control {id} is a standing row, which is judged last", case.id);
                steps += 1;
                assert!(steps < 10, "{}: its controls form a cycle", case.id);
            }
            assert!(
                matches!(at.cell.status(), Some(201 | 204)),
                "{}: its controls end at {}, which is not a success",
                case.id,
                at.id
            );
        }
    }

    #[test]
    fn every_section_exists() {
        let read = |name: &str| {
            std::fs::read_to_string(format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))).expect("a document")
        };
        let (openapi, api, harness) = (read("openapi.yaml"), read("docs/api.md"), read("conformance/README.md"));
        let has = |text: &str, heading: &str| {
            text.lines().any(|line| line.starts_with('#') && line.trim_start_matches('#').trim() == heading)
        };
        for case in all() {
            assert!(!case.section.is_empty(), "{} does not say where its requirement is documented", case.id);
            for place in case.section.split("; ") {
                let found = match place.split_once(", ") {
                    Some(("openapi.yaml", name)) => openapi
                        .lines()
                        .map(str::trim_start)
                        .any(|line| line == format!("{name}:") || line == format!("operationId: {name}")),
                    Some(("docs/api.md", heading)) => has(&api, heading),
                    Some(("conformance/README.md", heading)) => has(&harness, heading),
                    _ => place.starts_with("RFC ") && place.contains(" section "),
                };
                assert!(found, "{}: no {place}", case.id);
            }
        }
    }
}
