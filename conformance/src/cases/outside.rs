//! Outside the matrix: other paths and other methods.

use crate::case::*;
use crate::trial::draft;
use crate::trial::published::origin_of;

pub const CASES: &[Case] = &[
    Case {
        id: "outside.404.unknown-path",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "An unknown path is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/no-such-operation")]),
        expect: NOT_FOUND,
        mutants: &[mutant("unknown-path-400", "answers 400 to unknown paths")],
        ..ROW
    },
    Case {
        id: "outside.404.trailing-slash",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: /long with a trailing slash is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/long/")]),
        expect: NOT_FOUND,
        mutants: &[mutant("slash-lenient", "ignores extra slashes")],
        ..ROW
    },
    Case {
        id: "outside.404.doubled-slash",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: a doubled slash is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth//tokens/long")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.404.path-case",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared case-sensitively: /long in another case is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/Long")]),
        expect: NOT_FOUND,
        mutants: &[mutant("path-folded", "ignores the case of a path")],
        ..ROW
    },
    Case {
        id: "outside.404.short-trailing-slash",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: /short with a trailing slash is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Path("/auth/tokens/short/")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.404.short-path-case",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared case-sensitively: /short in another case is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Path("/auth/Tokens/short")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.404.revoke-trailing-slash",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: /revoke with a trailing slash is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id}/revoke/")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.404.revoke-empty-id",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "/revoke with an empty token id is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens//revoke")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.404.revoke-path-case",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared case-sensitively: /revoke in another case is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/${valid.spare_id}/Revoke")]),
        expect: NOT_FOUND,
        ..ROW
    },
    Case {
        id: "outside.405.long-get",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "GET on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("GET"), Raw("")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[
            mutant("405-as-404", "answers 404 to other methods"),
            mutant("405-without-allow", "answers 405 without Allow"),
        ],
        ..ROW
    },
    Case {
        id: "outside.405.long-put",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PUT on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("PUT")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("any-method", "accepts any method like POST")],
        ..ROW
    },
    Case {
        id: "outside.405.long-delete",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "DELETE on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("DELETE"), Raw("")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.long-head",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "HEAD on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("HEAD"), Raw("")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.long-options",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "OPTIONS on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("OPTIONS"), Raw("")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.short-get",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "GET on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("GET")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.short-options",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "OPTIONS on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("OPTIONS")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-get",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "GET on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("GET")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-delete",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "DELETE on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("DELETE")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.404.path-suffix",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: /long.json is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/long.json")]),
        expect: NOT_FOUND,
        mutants: &[mutant("path-suffix-ok", "ignores a suffix such as .json")],
        ..ROW
    },
    Case {
        id: "outside.404.path-longer",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: a path that starts with /long and goes on is answered with 404 \
                      not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/longer")]),
        expect: NOT_FOUND,
        mutants: &[mutant("path-by-prefix", "accepts any path that starts with that of an operation")],
        ..ROW
    },
    Case {
        id: "outside.404.path-parameter",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "Paths are compared exactly: /long;x=1 is answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens/long;x=1")]),
        expect: NOT_FOUND,
        mutants: &[mutant("path-parameters-ignored", "ignores what follows a semicolon in a path")],
        ..ROW
    },
    Case {
        id: "outside.404.revoke-two-segments",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "A token id is one segment of the path: /revoke below two segments is answered with 404 \
                      not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Path("/auth/tokens/x/${valid.spare_id}/revoke")]),
        expect: NOT_FOUND,
        mutants: &[mutant(
            "revoke-any-depth",
            "takes the last segment before /revoke for the token id, however many come before it",
        )],
        ..ROW
    },
    Case {
        id: "outside.404.without-base",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "The base path is part of every path: without it, /long is answered with 404 not_found.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: steps!(without_base),
        expect: NOT_FOUND,
        mutants: &[mutant("base-optional", "serves its operations without the base path too")],
        ..ROW
    },
    Case {
        id: "outside.404.other-version",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "The base path is compared exactly: under another version, /long is answered with 404 not_found.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: steps!(other_version),
        expect: NOT_FOUND,
        mutants: &[mutant("base-any-version", "serves its operations under every version")],
        ..ROW
    },
    Case {
        id: "outside.404.base-case",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "The base path is compared case-sensitively: in another case, /long is answered with 404 \
                      not_found.",
        section: "openapi.yaml, info",
        needs: &[(Valid, ClientId), (Valid, ClientSecret)],
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: steps!(base_in_capitals),
        expect: NOT_FOUND,
        mutants: &[mutant("base-folded", "ignores the case of the base path")],
        ..ROW
    },
    Case {
        id: "outside.405.long-patch",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PATCH on /long is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Method("PATCH")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("patch-as-404", "answers 404 to PATCH")],
        ..ROW
    },
    Case {
        id: "outside.405.short-head",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "HEAD on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("HEAD")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("head-as-post", "treats HEAD like POST")],
        ..ROW
    },
    Case {
        id: "outside.405.short-put",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PUT on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("PUT")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.short-patch",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PATCH on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("PATCH")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.short-delete",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "DELETE on /short is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("DELETE")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-head",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "HEAD on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("HEAD")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-options",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "OPTIONS on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("OPTIONS")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("405-allows-options", "names OPTIONS in Allow, too")],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-put",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PUT on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("PUT")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.revoke-patch",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "PATCH on /revoke is answered with 405 and Allow: POST.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("PATCH")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        ..ROW
    },
    Case {
        id: "outside.405.method-override",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "The method is that of the request line: GET on /revoke with X-HTTP-Method-Override: POST is \
                      answered with 405.",
        section: "openapi.yaml, MethodNotAllowed; RFC 9110 section 15.5.6",
        effect: Effect::Mint,
        control: Some("revoke.204.sibling"),
        request: Ask(Revoke(Valid), &[Method("GET"), Header("x-http-method-override", "POST")]),
        expect: plain(405),
        also: &[Also::AllowsPost],
        mutants: &[mutant("method-override", "takes the method from X-HTTP-Method-Override")],
        ..ROW
    },
    Case {
        id: "outside.404.base-alone",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "The base path alone is an unknown path: 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Read,
        control: Some("outside.404.unknown-path"),
        request: steps!(base_alone),
        expect: NOT_FOUND,
        mutants: &[mutant("base-alone-200", "answers the base path with 200")],
        ..ROW
    },
    Case {
        id: "outside.404.slash-encoded",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "A slash that is percent-encoded does not separate parts of a path: 404 not_found.",
        section: "openapi.yaml, info; RFC 3986 section 2.2",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(Secret(Valid), &[Path("/auth/tokens%2Flong")]),
        expect: NOT_FOUND,
        mutants: &[mutant("slash-decoded", "decodes %2F before it chooses the operation")],
        ..ROW
    },
    Case {
        id: "outside.404.original-url",
        cell: Cell::Outside(404),
        level: Level::Contract,
        requirement: "A header cannot choose the path: an unknown path with X-Original-URL or X-Rewrite-URL is \
                      answered with 404 not_found.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("long.201.secret"),
        request: Ask(
            Secret(Valid),
            &[
                Path("/auth/tokens/none"),
                Header("x-original-url", "/v1/auth/tokens/long"),
                Header("x-rewrite-url", "/v1/auth/tokens/long"),
            ],
        ),
        expect: NOT_FOUND,
        mutants: &[mutant("original-url-obeyed", "takes the path from X-Original-URL")],
        ..ROW
    },
    Case {
        id: "outside.405.method-in-query",
        cell: Cell::Outside(405),
        level: Level::Contract,
        requirement: "The query cannot choose the method: GET with _method=POST is answered with 405.",
        section: "openapi.yaml, info",
        effect: Effect::Mint,
        control: Some("short.201.exchange"),
        request: Ask(Exchange(Valid), &[Method("GET"), Path("/auth/tokens/short?_method=POST")]),
        expect: plain(405),
        mutants: &[mutant("method-by-query", "takes the method from the query")],
        ..ROW
    },
];

/// The valid request for /long, sent to a path at the origin in place of the base path.
async fn at(t: &Trial<'_>, base: &str) -> Result<(), Stop> {
    let mut request = draft::build(t, Secret(Valid), &[]).await?;
    let up = "/..".repeat(base_path(t).split('/').count() - 1);
    request.path = format!("{up}{base}{}", request.path);
    let answer = t.send(&request).await?;
    t.expect(t.due, &answer)
}

/// Such as `/v1`; empty if the operations are at the root.
fn base_path(t: &Trial<'_>) -> String {
    let base = t.run.client.url("");
    base[origin_of(&base).len()..].to_owned()
}

fn without_one() -> Stop {
    Stop::Absent("the deployment has no base path to change".to_owned())
}

async fn without_base(t: &Trial<'_>) -> Result<(), Stop> {
    if base_path(t).is_empty() {
        return Err(without_one());
    }
    at(t, "").await
}

async fn other_version(t: &Trial<'_>) -> Result<(), Stop> {
    let base = base_path(t);
    let digit = base.rfind(|c: char| c.is_ascii_digit()).ok_or_else(without_one)?;
    at(t, &format!("{}9{}", &base[..digit], &base[digit + 1..])).await
}

async fn base_in_capitals(t: &Trial<'_>) -> Result<(), Stop> {
    let base = base_path(t);
    if !base.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(without_one());
    }
    at(t, &base.to_ascii_uppercase()).await
}

async fn base_alone(t: &Trial<'_>) -> Result<(), Stop> {
    if base_path(t).is_empty() {
        return Err(without_one());
    }
    t.expect(t.due, &t.send(&crate::endpoint::bare("GET", "", None)).await?)
}
