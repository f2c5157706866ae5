//! GET /clients, which is paged and may lag.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::CLIENTS;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const LIST: Case = Case {
    cell: Cell::Service(200),
    level: Level::Service,
    section: "openapi.yaml, listClients",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.200.list"),
    expect: plain(200),
    ..ROW
};

const BAD: Case = Case { cell: Cell::Service(400), needs: &[], expect: INVALID_REQUEST, ..LIST };

/// More pages of 1000 clients than any deployment that this harness tests.
const PAGES: usize = 100;

pub const CASES: &[Case] = &[
    Case {
        id: "operators.200.list",
        requirement: "The list has an array clients, whose entries have exactly client_id and status, and optionally a \
                      string cursor.",
        section: "openapi.yaml, ClientList; openapi.yaml, ListedClient",
        control: Some("long.201.secret"),
        request: steps!(shape),
        mutants: &[
            mutant("list-shows-more", "shows other members of a client in the list"),
            mutant("last-cursor-null", "sends a null cursor with the last page"),
        ],
        ..LIST
    },
    Case {
        id: "operators.200.list-holds",
        requirement: "Within the consistency window, the list shows a new client as active, and a suspended one as \
                      suspended.",
        request: steps!(holds),
        mutants: &[
            mutant("lists-no-guests", "does not list new clients"),
            mutant("lists-all-active", "lists every client as active"),
        ],
        ..LIST
    },
    Case {
        id: "operators.200.list-drops",
        requirement: "Within the consistency window, the list drops a deleted client.",
        control: Some("operators.200.list-holds"),
        request: steps!(drops),
        mutants: &[mutant("lists-deleted", "lists deleted clients")],
        ..LIST
    },
    Case {
        id: "operators.200.list-own",
        requirement: "The client of the secret OPERATOR is not listed.",
        request: steps!(own),
        mutants: &[mutant("lists-from-secret", "lists the client of the secret OPERATOR")],
        ..LIST
    },
    Case {
        id: "operators.200.list-pages",
        requirement: "A page has at most limit clients, its cursor leads to the next page, and no client is on two \
                      pages.",
        control: Some("operators.200.list-holds"),
        request: steps!(pages),
        mutants: &[
            mutant("limit-ignored", "ignores limit"),
            mutant("cursor-ignored", "starts from the beginning with every page"),
            mutant("list-without-cursor", "ends the list after the first page"),
        ],
        ..LIST
    },
    Case {
        id: "operators.400.limit-0",
        requirement: "A limit of 0 is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=0")]),
        also: &[Also::Names("limit")],
        mutants: &[mutant("limit-raised", "treats a limit of 0 as 1")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-1001",
        requirement: "A limit of 1001 is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=1001")]),
        also: &[Also::Names("limit")],
        mutants: &[mutant("limit-clamped", "treats a larger limit as 1000")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-text",
        requirement: "A limit that is not a number is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=all")]),
        also: &[Also::Names("limit")],
        mutants: &[mutant("limit-text-ignored", "uses the default for a limit that is not a number")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-fraction",
        requirement: "A limit that is not an integer is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=10.5")]),
        also: &[Also::Names("limit")],
        mutants: &[mutant("limit-lenient", "rounds limit to a whole number")],
        ..BAD
    },
    Case {
        id: "operators.400.cursor",
        requirement: "A cursor that did not come from a page is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?cursor=conformance")]),
        also: &[Also::Names("cursor")],
        mutants: &[mutant("cursor-unchecked", "starts from the beginning with an unknown cursor")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-empty",
        requirement: "An empty limit is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=")]),
        mutants: &[mutant("limit-empty-ok", "treats an empty limit as absent")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-repeated",
        requirement: "A limit that is there twice is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=1&limit=1")]),
        mutants: &[mutant("limit-twice-ok", "takes the first of several limits")],
        ..BAD
    },
    Case {
        id: "operators.400.limit-underscore",
        requirement: "A limit with an underscore between its digits is rejected with 400 invalid_request.",
        request: Ask(ListClients, &[Path("/clients?limit=1_0")]),
        mutants: &[mutant("limit-underscore-ok", "ignores underscores in a number")],
        ..BAD
    },
    Case {
        id: "operators.200.list-complete",
        cell: Cell::Service(200),
        requirement: "Pages of two clients show every client that the whole list shows.",
        section: "openapi.yaml, listClients",
        control: Some("operators.200.list-pages"),
        request: steps!(complete),
        expect: plain(200),
        mutants: &[mutant("list-skips", "leaves out the client after each page")],
        ..LIST
    },
];

/// Requests a page and checks its shape.
async fn page(t: &Trial<'_>, query: &str) -> Result<(BTreeMap<String, String>, Option<String>), Stop> {
    let reader = t.shared(Operator, "read").await?;
    let answer = t.call_by(&reader.token, "GET", &format!("{CLIENTS}?{query}"), None).await?;
    t.expect(t.due, &answer)?;
    let body = answer.json().unwrap_or_default();
    if let Some(extra) =
        body.as_object().into_iter().flatten().find(|(name, _)| !["clients", "cursor"].contains(&name.as_str()))
    {
        return Err(Stop::fail("clients and cursor only", format!("a member {}", extra.0)));
    }
    let clients = body["clients"].as_array().ok_or_else(|| Stop::fail("the array clients", t.summary(&answer)))?;
    let mut all = BTreeMap::new();
    for client in clients {
        let members: Vec<_> = client.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let status = client["status"].as_str().unwrap_or_default();
        let (true, Some(id)) = (members == ["client_id", "status"], client["client_id"].as_str()) else {
            return Err(Stop::fail("only client_id and status of each client", format!("the members {members:?}")));
        };
        if !["active", "suspended"].contains(&status) {
            return Err(Stop::fail("the status active or suspended", format!("status {status}")));
        }
        all.insert(id.to_owned(), status.to_owned());
    }
    match body.get("cursor") {
        None => Ok((all, None)),
        Some(Value::String(cursor)) => Ok((all, Some(crate::mask::url_encoded(cursor)))),
        Some(other) => Err(Stop::fail("a cursor that is a string, or none", format!("cursor {other}"))),
    }
}

/// The whole list.
async fn whole(t: &Trial<'_>) -> Result<BTreeMap<String, String>, Stop> {
    let mut all = BTreeMap::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let query = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let (clients, next) = page(t, &format!("limit=1000{query}")).await?;
        t.thin_out();
        all.extend(clients);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
    Err(Stop::Blocked(format!("the list does not end within {PAGES} pages")))
}

/// Waits until the list shows the client with this status, or not at all. The list may lag as revocations may.
async fn listed(t: &Trial<'_>, id: &str, wanted: Option<&str>) -> Result<(), Stop> {
    let started = Instant::now();
    loop {
        let all = whole(t).await?;
        let got = all.get(id).map(String::as_str);
        if got == wanted {
            return Ok(());
        }
        if started.elapsed() >= t.run.window {
            let told = |status: Option<&str>| {
                status.map_or_else(|| "not in the list".to_owned(), |s| format!("listed as {s}"))
            };
            return Err(Stop::fail(format!("{id} {} within the --consistency-window", told(wanted)), told(got)));
        }
        t.run.idle(tokio::time::sleep(t.run.poll)).await;
    }
}

async fn shape(t: &Trial<'_>) -> Result<(), Stop> {
    whole(t).await.map(drop)
}

async fn holds(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    listed(t, &client.id, Some("active")).await?;
    t.operate("PATCH", &client.path, Some(json!({"status": "suspended"})), 200).await?;
    listed(t, &client.id, Some("suspended")).await
}

async fn drops(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    listed(t, &client.id, Some("active")).await?;
    t.operate("DELETE", &client.path, None, 204).await?;
    listed(t, &client.id, None).await
}

async fn own(t: &Trial<'_>) -> Result<(), Stop> {
    let id = t.operator_of_secret()?;
    match whole(t).await?.contains_key(&id) {
        true => Err(Stop::fail("a list without the client of OPERATOR", format!("a list with {id}"))),
        false => Ok(()),
    }
}

/// A page may be short or empty: only a missing cursor ends the list.
async fn pages(t: &Trial<'_>) -> Result<(), Stop> {
    let clients = [t.client_with(json!({})).await?, t.client_with(json!({})).await?, t.client_with(json!({})).await?];
    for client in &clients {
        listed(t, &client.id, Some("active")).await?;
    }
    let mut seen = BTreeMap::new();
    let mut query = "limit=2".to_owned();
    for _ in 0..PAGES {
        let (clients, next) = page(t, &query).await?;
        t.thin_out();
        if clients.len() > 2 {
            return Err(Stop::fail("at most 2 clients with limit=2", clients.len().to_string()));
        }
        if let Some(again) = clients.keys().find(|id| seen.contains_key(*id)) {
            return Err(Stop::fail("each client on one page", format!("{again} on two pages")));
        }
        seen.extend(clients);
        if seen.len() >= 3 {
            return Ok(());
        }
        match next {
            Some(next) => query = format!("limit=2&cursor={next}"),
            None => return Err(Stop::fail("3 clients on pages of 2", format!("the list ends after {}", seen.len()))),
        }
    }
    Err(Stop::Blocked(format!("fewer than 3 clients within {PAGES} pages")))
}

/// Only clients that were there before the run: the list may lag for others.
async fn complete(t: &Trial<'_>) -> Result<(), Stop> {
    let known: Vec<String> = Role::ALL.iter().filter_map(|role| t.setting(*role, ClientId).ok()).collect();
    let all = whole(t).await?;
    let due: Vec<_> = known.iter().filter(|id| all.contains_key(*id)).collect();
    // Pages may be short, and a large deployment has many.
    for limit in [2, 20, 200, 1000] {
        let Some(seen) = on_pages(t, limit).await? else { continue };
        return match due.iter().find(|id| !seen.contains(**id)) {
            None => Ok(()),
            Some(id) => Err(Stop::fail(format!("{id} on one of the pages"), "pages without it")),
        };
    }
    Err(Stop::Blocked(format!("the list does not end within {PAGES} pages")))
}

/// The clients on all pages; `None` if there are too many pages.
async fn on_pages(t: &Trial<'_>, limit: usize) -> Result<Option<BTreeSet<String>>, Stop> {
    let mut seen = BTreeSet::new();
    let mut query = format!("limit={limit}");
    for _ in 0..PAGES {
        let (clients, next) = page(t, &query).await?;
        t.thin_out();
        seen.extend(clients.into_keys());
        match next {
            Some(next) => query = format!("limit={limit}&cursor={next}"),
            None => return Ok(Some(seen)),
        }
    }
    Ok(None)
}
