//! POST /clients.

use super::OPERATOR;
use crate::case::*;
use crate::endpoint::CLIENTS;
use crate::trial::operators::newcomer;
use serde_json::{Value, json};

/// A client that is created.
const MADE: Case = Case {
    cell: Cell::Service(201),
    level: Level::Service,
    section: "openapi.yaml, createClient",
    needs: OPERATOR,
    effect: Effect::Provision,
    control: Some("operators.201.create"),
    expect: plain(201),
    ..ROW
};

/// A client that is rejected because of one member.
const BAD: Case =
    Case { cell: Cell::Service(400), section: "openapi.yaml, NewClient", needs: &[], expect: INVALID_REQUEST, ..MADE };

/// 128 characters, each above U+FFFF.
const LONG_NAME: &str = "𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞\
                         𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞";

pub const CASES: &[Case] = &[
    Case {
        id: "operators.201.create",
        requirement: "A new client has every member as requested, and is active.",
        control: Some("long.201.secret"),
        request: steps!(as_asked),
        mutants: &[
            mutant("create-200", "answers 200 to the creation of a client"),
            mutant("created-suspended", "creates clients suspended"),
            mutant("drops-client_name", "forgets client_name"),
            mutant("drops-scopes", "forgets scopes"),
            mutant("max-ttl-min-exclusive", "rejects the smallest max_ttl_seconds"),
            mutant("drops-consistency", "forgets consistency"),
            mutant("drops-max_ttl_seconds", "forgets max_ttl_seconds"),
            mutant("region-forgotten", "forgets region"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.defaults",
        requirement: "By default a new client has a generated client_id, a max_ttl_seconds of 7776000, and no \
                      client_name or region.",
        request: steps!(defaults),
        mutants: &[
            mutant("made-up-id-odd", "generates malformed client ids"),
            mutant("default-ttl-30-days", "has another default for max_ttl_seconds"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.secret",
        requirement: "A new client with the mechanism secret is returned with client_secret, which works at once.",
        request: steps!(secret),
        mutants: &[mutant("created-secret-other", "returns another secret than it stores")],
        ..MADE
    },
    Case {
        id: "operators.201.otp",
        requirement: "A new client with the mechanism otp is returned with totp_secret, whose codes work at once.",
        phase: Phase::Early,
        request: steps!(otp),
        mutants: &[
            mutant("created-without-seed", "makes no seed for a client with the mechanism otp"),
            mutant("created-seed-other", "returns another seed than it stores"),
            mutant("has-totp-false", "shows has_totp as false for a client with a seed"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.otpauth-uri",
        requirement: "otpauth_uri contains the same seed as totp_secret, and SHA1, 6 digits and 30 seconds if it \
                      gives these parameters.",
        section: "openapi.yaml, OtpauthUri; RFC 6238 section 4",
        request: steps!(otpauth_uri),
        mutants: &[
            mutant("otpauth-other-seed", "returns another seed in otpauth_uri"),
            mutant("otpauth-period-60", "returns a period of 60 seconds in otpauth_uri"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.assertion",
        requirement: "A new client with the mechanism assertion and jwks can use an assertion signed with the \
                      private key at once.",
        request: steps!(assertion),
        mutants: &[
            mutant("drops-jwks", "forgets jwks"),
            mutant("jwks-replaced-in-show-only", "shows jwks but verifies with other keys"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.no-secret",
        requirement: "A new client without the mechanism secret gets no secret.",
        request: steps!(no_secret),
        mutants: &[mutant("secret-made-for-all", "makes a secret for every client")],
        ..MADE
    },
    Case {
        id: "operators.201.mechanism-alone",
        requirement: "A client may use only the mechanisms that it was given.",
        section: "openapi.yaml, Mechanisms; openapi.yaml, issueLongTermToken",
        request: steps!(mechanism_alone),
        mutants: &[
            mutant("drops-mechanisms", "forgets mechanisms"),
            mutant("assertion-for-all", "accepts assertions from clients that may not use them"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.scopes-fold",
        requirement: "Duplicate scopes of a new client are kept once, in their order.",
        section: "openapi.yaml, ClientScopes",
        request: steps!(
            keeps,
            || json!({"scopes": ["templates:read", "jobs:*", "templates:read", "jobs:submit"]}),
            || json!({"scopes": ["templates:read", "jobs:*", "jobs:submit"]})
        ),
        mutants: &[
            mutant("clients-scopes-sorted", "sorts a client's scopes"),
            mutant("clients-duplicates-kept", "keeps duplicate scopes"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.mechanisms-fold",
        requirement: "Duplicate mechanisms of a new client are kept once.",
        section: "openapi.yaml, Mechanisms",
        request: steps!(
            keeps,
            || json!({"mechanisms": ["secret", "rotation", "secret"]}),
            || json!({"mechanisms": ["secret", "rotation"]})
        ),
        mutants: &[mutant("mechanisms-repeat", "keeps duplicate mechanisms")],
        ..MADE
    },
    Case {
        id: "operators.201.name-128",
        requirement: "A client_name may have 128 Unicode code points.",
        section: "openapi.yaml, ClientName",
        request: steps!(keeps, || json!({"client_name": LONG_NAME}), || json!({"client_name": LONG_NAME})),
        mutants: &[
            mutant("name-in-bytes", "measures client_name in bytes"),
            mutant("name-in-utf-16", "measures client_name in UTF-16 units"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.ttl-longest",
        requirement: "max_ttl_seconds may be 7776000.",
        section: "openapi.yaml, NewClient",
        request: steps!(keeps, || json!({"max_ttl_seconds": 7_776_000}), || json!({"max_ttl_seconds": 7_776_000})),
        mutants: &[mutant("max-ttl-exclusive", "rejects the largest max_ttl_seconds")],
        ..MADE
    },
    Case {
        id: "operators.201.ttl-binds",
        requirement: "max_ttl_seconds may be 3600, and no long-term token of the client is valid for longer.",
        section: "openapi.yaml, NewClient; openapi.yaml, LongTokenRequest",
        request: steps!(ttl_binds),
        mutants: &[mutant("max-ttl-unbinding", "does not limit a new client's tokens by max_ttl_seconds")],
        ..MADE
    },
    Case {
        id: "operators.201.eventual",
        requirement: "consistency may be eventual, and the tokens of such a client work.",
        section: "openapi.yaml, Consistency",
        request: steps!(eventual),
        mutants: &[mutant("eventual-fails", "rejects exchanges of new eventual clients")],
        ..MADE
    },
    Case {
        id: "operators.201.regions",
        requirement: "region may be any of the location hints wnam, enam, sam, weur, eeur, apac, oc, afr and me.",
        section: "openapi.yaml, Region",
        request: steps!(regions),
        mutants: &[mutant("region-afr-refused", "rejects the region afr")],
        ..MADE
    },
    Case {
        id: "operators.201.id-128",
        requirement: "A client_id may have 128 characters: letters, digits, -, _, . and ~.",
        section: "openapi.yaml, ClientId",
        request: steps!(longest_id),
        mutants: &[
            mutant("client-id-64", "rejects a client_id of more than 64 characters"),
            mutant("client-id-no-tilde", "rejects ~ in a client_id"),
        ],
        ..MADE
    },
    Case {
        id: "operators.201.content-type",
        requirement: "Content-Type is compared without regard to case, and may have parameters.",
        section: "RFC 9110 section 8.3.1",
        needs: &[],
        request: Ask(CreateClient, &[Header("content-type", "Application/JSON; charset=utf-8")]),
        mutants: &[mutant("clients-content-type-exact", "compares Content-Type as an exact string")],
        ..MADE
    },
    Case {
        id: "operators.201.size",
        requirement: "A body of 16,384 bytes is accepted.",
        needs: &[],
        request: Ask(CreateClient, &[PadTo(16_384)]),
        mutants: &[mutant("clients-body-8k", "rejects an operator's body over 8 KiB")],
        ..MADE
    },
    // ---- what is rejected
    Case {
        id: "operators.400.size",
        requirement: "A body of 16,385 bytes is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[PadTo(16_385)]),
        mutants: &[mutant("clients-body-unlimited", "accepts an operator's body of any size")],
        ..BAD
    },
    Case {
        id: "operators.400.content-type",
        requirement: "A media type other than application/json is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Header("content-type", "text/plain")]),
        mutants: &[mutant("clients-content-type-unchecked", "accepts any Content-Type")],
        ..BAD
    },
    Case {
        id: "operators.400.repeated-key",
        requirement: "A repeated member in the JSON is rejected with 400 invalid_request.",
        section: "openapi.yaml, createClient; RFC 8259 section 4",
        request: Ask(
            CreateClient,
            &[Raw(
                r#"{"client_id":"conformance-${unique}","scopes":["jobs:submit"],"mechanisms":["secret"],"scopes":["jobs:submit"]}"#,
            )],
        ),
        mutants: &[mutant("clients-repeated-key-ok", "uses the last value of a repeated member")],
        ..BAD
    },
    Case {
        id: "operators.400.trailing",
        requirement: "Data after the JSON document is rejected with 400 invalid_request.",
        section: "openapi.yaml, createClient; RFC 8259 section 2",
        request: Ask(CreateClient, &[Append("{}")]),
        mutants: &[mutant("clients-trailing-ok", "ignores data after the JSON document")],
        ..BAD
    },
    Case {
        id: "operators.400.not-utf-8",
        requirement: "A body that is not valid UTF-8 is rejected with 400 invalid_request.",
        section: "openapi.yaml, createClient; RFC 8259 section 8.1",
        request: Ask(
            CreateClient,
            &[RawBytes(b"{\"scopes\":[\"jobs:submit\"],\"mechanisms\":[\"secret\"],\"client_name\":\"\xff\"}")],
        ),
        mutants: &[mutant("clients-utf8-lossy", "replaces invalid UTF-8")],
        ..BAD
    },
    Case {
        id: "operators.400.not-an-object",
        requirement: "A body that is not a JSON object is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Raw(r#"[{"scopes":["jobs:submit"],"mechanisms":["secret"]}]"#)]),
        mutants: &[mutant("clients-array-ok", "accepts an array with the object in it")],
        ..BAD
    },
    Case {
        id: "operators.400.unknown-member",
        requirement: "An unknown member of a new client is rejected with 400 invalid_request, and the error names \
                      the member.",
        request: Ask(CreateClient, &[Set("colour", r#""red""#)]),
        also: &[Also::Names("colour")],
        mutants: &[
            mutant("create-unknown-ignored", "ignores unknown members of a new client"),
            mutant("unknown-member-unnamed", "does not name the unknown member"),
        ],
        ..BAD
    },
    Case {
        id: "operators.400.status",
        requirement: "A new client with status is rejected with 400 invalid_request: every new client is active.",
        request: Ask(CreateClient, &[Set("status", r#""active""#)]),
        also: &[Also::Names("status")],
        mutants: &[mutant("create-takes-status", "accepts status for a new client")],
        ..BAD
    },
    Case {
        id: "operators.400.scopes-missing",
        requirement: "A new client without scopes is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Unset("scopes")]),
        also: &[Also::Names("scopes")],
        mutants: &[mutant("scopes-optional", "has default scopes for a client")],
        ..BAD
    },
    Case {
        id: "operators.400.scopes-empty",
        requirement: "A new client with an empty scopes array is rejected with 400 invalid_scope.",
        section: "openapi.yaml, ClientScopes",
        request: Ask(CreateClient, &[Set("scopes", "[]")]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("clients-scopes-empty-ok", "creates clients without scopes")],
        ..BAD
    },
    Case {
        id: "operators.400.scopes-grammar",
        requirement: "A new client with a malformed scope is rejected with 400 invalid_scope.",
        section: "openapi.yaml, Scope",
        request: Ask(CreateClient, &[Set("scopes", r#"["jobs:submit","Jobs:submit"]"#)]),
        expect: INVALID_SCOPE,
        mutants: &[mutant("clients-scope-grammar-unchecked", "accepts any string as a client's scope")],
        ..BAD
    },
    Case {
        id: "operators.400.mechanisms-missing",
        requirement: "A new client without mechanisms is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Unset("mechanisms")]),
        also: &[Also::Names("mechanisms")],
        mutants: &[mutant("mechanisms-optional", "has default mechanisms for a client")],
        ..BAD
    },
    Case {
        id: "operators.400.mechanisms-empty",
        requirement: "A new client with an empty mechanisms array is rejected with 400 invalid_request.",
        section: "openapi.yaml, Mechanisms",
        request: Ask(CreateClient, &[Set("mechanisms", "[]")]),
        also: &[Also::Names("mechanisms")],
        mutants: &[mutant("mechanisms-empty-ok", "creates clients without a mechanism")],
        ..BAD
    },
    Case {
        id: "operators.400.mechanisms-unknown",
        requirement: "A new client with an unknown mechanism is rejected with 400 invalid_request.",
        section: "openapi.yaml, Mechanism",
        request: Ask(CreateClient, &[Set("mechanisms", r#"["secret","password"]"#)]),
        also: &[Also::Names("mechanisms")],
        mutants: &[mutant("mechanism-unknown-ignored", "ignores unknown mechanisms")],
        ..BAD
    },
    Case {
        id: "operators.400.mechanisms-text",
        requirement: "A string in place of the mechanisms array is rejected with 400 invalid_request, even if it \
                      names a mechanism.",
        section: "openapi.yaml, Mechanisms",
        request: Ask(CreateClient, &[Set("mechanisms", r#""secret""#)]),
        also: &[Also::Names("mechanisms")],
        mutants: &[mutant("mechanisms-text-ok", "accepts a mechanism's name in place of an array")],
        ..BAD
    },
    Case {
        id: "operators.400.rotation-alone",
        requirement: "A new client whose only mechanism is rotation is rejected with 400 invalid_request: it could \
                      never get a first token.",
        section: "openapi.yaml, Mechanisms",
        request: Ask(CreateClient, &[Set("mechanisms", r#"["rotation"]"#)]),
        mutants: &[mutant("rotation-alone-ok", "creates clients that can only rotate")],
        ..BAD
    },
    Case {
        id: "operators.400.assertion-without-jwks",
        requirement: "A new client with the mechanism assertion and without jwks is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, Mechanisms",
        request: Ask(CreateClient, &[Set("mechanisms", r#"["secret","assertion"]"#)]),
        also: &[Also::Names("jwks")],
        mutants: &[mutant("assertion-without-jwks", "creates clients with the mechanism assertion and no keys")],
        ..BAD
    },
    Case {
        id: "operators.400.name-empty",
        requirement: "An empty client_name is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientName",
        request: Ask(CreateClient, &[Set("client_name", r#""""#)]),
        also: &[Also::Names("client_name")],
        mutants: &[mutant("name-empty-ok", "accepts an empty client_name")],
        ..BAD
    },
    Case {
        id: "operators.400.name-129",
        requirement: "A client_name of 129 Unicode code points is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientName",
        request: steps!(long_name),
        needs: OPERATOR,
        mutants: &[mutant("name-any-length", "accepts a client_name of any length")],
        ..BAD
    },
    Case {
        id: "operators.400.name-control",
        requirement: "A client_name with an ASCII control character is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientName",
        request: Ask(CreateClient, &[Set("client_name", r#""con\u0007formance""#)]),
        also: &[Also::Names("client_name")],
        mutants: &[mutant("name-controls-ok", "accepts control characters in client_name")],
        ..BAD
    },
    Case {
        id: "operators.400.name-control-c1",
        requirement: "A client_name with a control character from U+0080 to U+009F is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, ClientName",
        request: Ask(CreateClient, &[Set("client_name", r#""con\u0085formance""#)]),
        also: &[Also::Names("client_name")],
        mutants: &[mutant("name-c1-ok", "rejects only ASCII control characters")],
        ..BAD
    },
    Case {
        id: "operators.400.ttl-short",
        requirement: "A max_ttl_seconds below 3600 is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Set("max_ttl_seconds", "3599")]),
        also: &[Also::Names("max_ttl_seconds")],
        mutants: &[mutant("max-ttl-any-small", "accepts a max_ttl_seconds below 3600")],
        ..BAD
    },
    Case {
        id: "operators.400.ttl-long",
        requirement: "A max_ttl_seconds above 7776000 is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Set("max_ttl_seconds", "7776001")]),
        also: &[Also::Names("max_ttl_seconds")],
        mutants: &[mutant("max-ttl-any-large", "accepts a max_ttl_seconds above 7776000")],
        ..BAD
    },
    Case {
        id: "operators.400.ttl-fraction",
        requirement: "A fractional max_ttl_seconds is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Set("max_ttl_seconds", "3600.5")]),
        also: &[Also::Names("max_ttl_seconds")],
        mutants: &[mutant("max-ttl-fraction-ok", "rounds max_ttl_seconds")],
        ..BAD
    },
    Case {
        id: "operators.400.ttl-text",
        requirement: "A max_ttl_seconds that is a string is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Set("max_ttl_seconds", r#""3600""#)]),
        also: &[Also::Names("max_ttl_seconds")],
        mutants: &[mutant("max-ttl-text-ok", "accepts a string as max_ttl_seconds")],
        ..BAD
    },
    Case {
        id: "operators.400.consistency",
        requirement: "A consistency other than eventual and immediate is rejected with 400 invalid_request.",
        section: "openapi.yaml, Consistency",
        request: Ask(CreateClient, &[Set("consistency", r#""strong""#)]),
        also: &[Also::Names("consistency")],
        mutants: &[mutant("consistency-unchecked", "ignores an unknown consistency")],
        ..BAD
    },
    Case {
        id: "operators.400.region",
        requirement: "An unknown region is rejected with 400 invalid_request.",
        section: "openapi.yaml, Region",
        request: Ask(CreateClient, &[Set("region", r#""eu""#)]),
        also: &[Also::Names("region")],
        mutants: &[mutant("region-unchecked", "accepts any region")],
        ..BAD
    },
    Case {
        id: "operators.400.id-dots",
        requirement: "A client_id of . or .. is rejected with 400 invalid_request, because no path can reach it.",
        section: "openapi.yaml, ClientId",
        needs: OPERATOR,
        request: steps!(bad_ids, &[".", ".."]),
        mutants: &[mutant("client-id-dots-ok", "creates clients that no path can reach")],
        ..BAD
    },
    Case {
        id: "operators.400.id-letters",
        requirement: "A client_id with a character other than letters, digits, -, _, . and ~ is rejected with 400 \
                      invalid_request.",
        section: "openapi.yaml, ClientId",
        needs: OPERATOR,
        request: steps!(
            bad_ids,
            &["conformance/a", "conformance a", "conformance:a", "conformance%61", "conformanc\u{e9}"]
        ),
        mutants: &[mutant("client-id-any-letter", "accepts any character in a client_id")],
        ..BAD
    },
    Case {
        id: "operators.400.id-empty",
        requirement: "An empty client_id is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientId",
        needs: OPERATOR,
        request: steps!(bad_ids, &[""]),
        mutants: &[mutant("client-id-empty-ok", "accepts an empty client_id")],
        ..BAD
    },
    Case {
        id: "operators.400.id-129",
        requirement: "A client_id of 129 characters is rejected with 400 invalid_request.",
        section: "openapi.yaml, ClientId",
        needs: OPERATOR,
        request: steps!(long_id),
        mutants: &[mutant("client-id-any-length", "accepts a client_id of any length")],
        ..BAD
    },
    Case {
        id: "operators.400.null",
        requirement: "A null member of a new client is rejected with 400 invalid_request, whichever member it is.",
        needs: OPERATOR,
        request: steps!(nulls),
        mutants: &[
            mutant("create-null-client_name-ok", "treats a null client_name as absent"),
            mutant("create-null-jwks-ok", "treats a null jwks as absent"),
            mutant("create-null-max_ttl_seconds-ok", "treats a null max_ttl_seconds as absent"),
        ],
        ..BAD
    },
    // ---- ids that are or were in use
    Case {
        id: "operators.409.id-taken",
        cell: Cell::Service(409),
        requirement: "A new client with an id that is in use is rejected with 409 conflict, and the existing client \
                      does not change.",
        request: steps!(taken),
        expect: CONFLICT,
        mutants: &[mutant("create-overwrites", "replaces an existing client")],
        ..MADE
    },
    Case {
        id: "operators.409.id-deleted",
        cell: Cell::Service(409),
        requirement: "A new client with the id of a deleted client is rejected with 409 conflict.",
        request: steps!(deleted),
        expect: CONFLICT,
        mutants: &[mutant("id-made-anew", "lets the id of a deleted client be used again")],
        ..MADE
    },
    Case {
        id: "operators.400.before-409",
        requirement: "The body is checked before the id: a malformed body is rejected with 400 even if the id is in \
                      use.",
        section: "openapi.yaml, createClient",
        request: Ask(CreateClient, &[Set("client_id", r#""${bystander}""#), Set("colour", r#""red""#)]),
        mutants: &[mutant(
            "create-409-before-400",
            "answers that an id is in use before it checks the rest of the body",
        )],
        ..BAD
    },
    // ---- clients: scopes
    Case {
        id: "operators.201.clients-scope",
        requirement: "The client of the secret OPERATOR may give a client clients: scopes. That client's tokens then \
                      work for operators' calls.",
        section: "openapi.yaml, MayNotGive",
        request: steps!(clients_scope),
        mutants: &[mutant("nobody-gives-clients", "lets no operator give clients: scopes")],
        ..MADE
    },
    Case {
        id: "operators.201.beyond-own",
        requirement: "An operator other than the client of the secret OPERATOR may give a client scopes that the \
                      operator itself does not have, except clients: scopes.",
        section: "openapi.yaml, createClient",
        control: Some("operators.201.clients-scope"),
        request: steps!(beyond_own),
        mutants: &[mutant("gives-only-what-it-has", "lets operators give only scopes that they have themselves")],
        ..MADE
    },
    Case {
        id: "operators.403.clients-scope",
        cell: Cell::Service(403),
        requirement: "An operator other than the client of the secret OPERATOR that creates a client with a clients: \
                      scope is rejected with 403 insufficient_scope.",
        section: "openapi.yaml, MayNotGive",
        control: Some("operators.201.clients-scope"),
        request: steps!(may_not_give),
        expect: BEYOND_SCOPE,
        mutants: &[mutant("any-operator-gives-on-create", "lets every operator create operators")],
        ..MADE
    },
    Case {
        id: "operators.409.simultaneous",
        cell: Cell::Service(409),
        requirement: "Of several simultaneous requests to create a client with the same id, exactly one succeeds. The \
                      others are rejected with 409 conflict.",
        request: steps!(simultaneous),
        expect: CONFLICT,
        mutants: &[mutant("create-races", "creates a client again if it was created a moment ago")],
        ..MADE
    },
    Case {
        id: "operators.201.ids-by-case",
        requirement: "Client ids are compared case-sensitively: two clients may have ids that differ in case only.",
        request: steps!(ids_by_case),
        mutants: &[mutant("client-ids-folded", "treats ids that differ in case only as the same")],
        ..MADE
    },
    Case {
        id: "operators.201.name-spaces",
        requirement: "A client_name is stored and shown exactly as sent, with its leading and trailing spaces.",
        request: steps!(name_spaces),
        mutants: &[mutant("client-name-trimmed", "trims client_name")],
        ..MADE
    },
    Case {
        id: "operators.201.valid-from",
        requirement: "The tokens_valid_from of a new client is the time of its creation.",
        request: steps!(valid_from),
        mutants: &[mutant("valid-from-epoch", "gives new clients a tokens_valid_from of 1970")],
        ..MADE
    },
    Case {
        id: "operators.400.id-line-end",
        requirement: "A client_id that ends with a line feed is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[Set("client_id", r#""conformance-${unique}\n""#)]),
        mutants: &[mutant("client-id-line-end-ok", "accepts a line feed at the end of a client_id")],
        ..BAD
    },
    Case {
        id: "operators.201.ttl-binds-rotation",
        requirement: "max_ttl_seconds limits a token that is issued by a rotation.",
        section: "openapi.yaml, NewClient; openapi.yaml, LongTokenRequest",
        request: steps!(ttl_binds_rotation),
        mutants: &[mutant("rotation-ttl-uncapped", "ignores max_ttl_seconds for rotations")],
        ..MADE
    },
    Case {
        id: "operators.400.trailing-comma",
        requirement: "A comma behind the last member is rejected with 400 invalid_request.",
        request: Ask(
            CreateClient,
            &[Raw(r#"{"client_id":"conformance-${unique}","scopes":["jobs:submit"],"mechanisms":["secret"],}"#)],
        ),
        mutants: &[mutant("clients-trailing-comma-ok", "ignores a comma behind the last member")],
        ..BAD
    },
    Case {
        id: "operators.400.comment",
        requirement: "A comment in the JSON is rejected with 400 invalid_request.",
        request: Ask(
            CreateClient,
            &[Raw(
                r#"{"client_id":"conformance-${unique}",/* a comment */"scopes":["jobs:submit"],"mechanisms":["secret"]}"#,
            )],
        ),
        mutants: &[mutant("clients-comments-ok", "ignores comments in JSON")],
        ..BAD
    },
    Case {
        id: "operators.400.size-chunked",
        requirement: "A body of 16,385 bytes without a Content-Length is rejected with 400 invalid_request.",
        request: Ask(CreateClient, &[PadTo(16_385), Chunked]),
        mutants: &[mutant("clients-size-by-content-length", "measures an operator's body by its Content-Length alone")],
        ..BAD
    },
];

/// The client, as the 201 returned it.
async fn made(t: &Trial<'_>, members: Value) -> Result<crate::trial::operators::Client, Stop> {
    let mut body = newcomer(t);
    for (name, value) in members.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let answer = t.call("POST", CLIENTS, Some(body)).await?;
    t.expect(t.due, &answer)?;
    t.client_in(&answer)
}

/// Creates a client with some members, and expects it to be shown with others.
async fn keeps(t: &Trial<'_>, asked: fn() -> Value, wanted: fn() -> Value) -> Result<(), Stop> {
    let client = made(t, asked()).await?;
    let (later, _) = t.show(&client).await?;
    for (name, wanted) in wanted().as_object().into_iter().flatten() {
        t.equal(name, wanted, &client.shown[name])?;
        t.equal(&format!("{name}, as read again,"), wanted, &later[name])?;
    }
    Ok(())
}

async fn as_asked(t: &Trial<'_>) -> Result<(), Stop> {
    let mut body = newcomer(t);
    body["scopes"] = json!(["jobs:submit", "templates:*"]);
    body["region"] = "weur".into();
    let answer = t.call("POST", CLIENTS, Some(body.clone())).await?;
    t.expect(t.due, &answer)?;
    let shown = t.client_in(&answer)?.shown;
    body["status"] = "active".into();
    for (name, wanted) in body.as_object().into_iter().flatten() {
        t.equal(name, wanted, &shown[name])?;
    }
    Ok(())
}

async fn defaults(t: &Trial<'_>) -> Result<(), Stop> {
    let body = json!({"scopes": ["jobs:submit"], "mechanisms": ["secret"]});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = t.call("POST", CLIENTS, Some(body.clone())).await?;
        t.expect(t.due, &answer)?;
        let client = t.client_in(&answer)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if !(1..=128).contains(&client.id.len()) || !client.id.bytes().all(fits) {
            return Err(Stop::fail(
                "a client_id of letters, digits, -, _, . and ~",
                format!("client_id {}", client.id),
            ));
        }
        t.equal("max_ttl_seconds", &json!(7_776_000), &client.shown["max_ttl_seconds"])?;
        for absent in ["client_name", "jwks", "region", "totp_secret", "otpauth_uri"] {
            if let Some(value) = client.shown.get(absent) {
                return Err(Stop::fail(
                    format!("no member {absent}, which was never set"),
                    format!("{absent} {value}"),
                ));
            }
        }
        ids.push(client.id);
    }
    match ids[0] == ids[1] {
        true => Err(Stop::fail("different ids for different clients", format!("{} for both", ids[0]))),
        false => Ok(()),
    }
}

async fn secret(t: &Trial<'_>) -> Result<(), Stop> {
    let client = made(t, json!({})).await?;
    let secret = client.secret().map_err(|_| Stop::fail("client_secret", "a client without it"))?;
    t.log_in_by_secret(&client, secret, GRANTED).await
}

async fn otp(t: &Trial<'_>) -> Result<(), Stop> {
    let client = made(t, json!({"mechanisms": ["otp"]})).await?;
    let seed = client.text("totp_secret").map_err(|_| Stop::fail("totp_secret", "a client without it"))?;
    t.equal("has_totp", &json!(true), &client.shown["has_totp"])?;
    t.log_in_by_code(&client, seed, t.calm_step().await?, GRANTED).await
}

async fn otpauth_uri(t: &Trial<'_>) -> Result<(), Stop> {
    let client = made(t, json!({"mechanisms": ["otp"]})).await?;
    let (seed, uri) = (client.text("totp_secret")?, client.text("otpauth_uri")?);
    let query = uri.strip_prefix("otpauth://totp/").and_then(|rest| rest.split_once('?')).map(|(_, query)| query);
    let query = query.ok_or_else(|| Stop::fail("an otpauth_uri that begins with otpauth://totp/", "another URI"))?;
    let value = |name: &str| query.split('&').find_map(|part| part.strip_prefix(&format!("{name}=")));
    if value("secret") != Some(seed) {
        return Err(Stop::fail("totp_secret in otpauth_uri", "an otpauth_uri with another seed, or none"));
    }
    for (name, wanted) in [("algorithm", "SHA1"), ("digits", "6"), ("period", "30")] {
        let got = value(name).unwrap_or(wanted);
        if got != wanted {
            return Err(Stop::fail(format!("{name}={wanted} in otpauth_uri"), format!("{name}={got}")));
        }
    }
    Ok(())
}

async fn assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let signer = t.signer("first")?;
    let client = made(t, json!({"mechanisms": ["assertion"], "jwks": {"keys": [signer.jwk]}})).await?;
    t.equal("jwks", &json!({"keys": [signer.jwk]}), &client.shown["jwks"])?;
    t.log_in_by_assertion(&client, &signer, GRANTED).await
}

async fn no_secret(t: &Trial<'_>) -> Result<(), Stop> {
    let signer = t.signer("first")?;
    let client = made(t, json!({"mechanisms": ["assertion"], "jwks": {"keys": [signer.jwk]}})).await?;
    t.equal("secrets", &json!([]), &client.shown["secrets"])?;
    match client.shown.get("client_secret") {
        Some(_) => Err(Stop::fail("no client_secret", "one although the mechanism secret was not requested")),
        None => Ok(()),
    }
}

async fn mechanism_alone(t: &Trial<'_>) -> Result<(), Stop> {
    let signer = t.signer("first")?;
    let client = made(t, json!({"mechanisms": ["secret"], "jwks": {"keys": [signer.jwk]}})).await?;
    t.equal("mechanisms", &json!(["secret"]), &client.shown["mechanisms"])?;
    t.log_in_by_assertion(&client, &signer, UNAUTHORIZED).await?;
    let client = made(t, json!({"mechanisms": ["assertion"], "jwks": {"keys": [signer.jwk]}})).await?;
    t.log_in_by_assertion(&client, &signer, GRANTED).await
}

async fn ttl_binds(t: &Trial<'_>) -> Result<(), Stop> {
    let client = made(t, json!({"max_ttl_seconds": 3600})).await?;
    let answer = t.log_in(&client, json!({"client_secret": client.secret()?, "ttl_seconds": 7200})).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::ExpiresIn(3600), &answer)
}

async fn eventual(t: &Trial<'_>) -> Result<(), Stop> {
    let client = made(t, json!({"consistency": "eventual"})).await?;
    t.equal("consistency", &json!("eventual"), &client.shown["consistency"])?;
    let answer = t.log_in(&client, json!({"client_secret": client.secret()?})).await?;
    t.expect(GRANTED, &answer)?;
    let long = crate::trial::mint::token_in(&answer).ok_or_else(|| Stop::fail("a token", t.summary(&answer)))?;
    t.exchanges(&long).await
}

async fn regions(t: &Trial<'_>) -> Result<(), Stop> {
    for region in ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"] {
        let client = made(t, json!({"region": region})).await?;
        t.equal("region", &json!(region), &client.shown["region"])?;
    }
    Ok(())
}

async fn longest_id(t: &Trial<'_>) -> Result<(), Stop> {
    let mut id = format!("conformance-{}_A.~", t.unique());
    id += &"x".repeat(128 - id.len());
    t.run.vault.open(&id);
    let client = made(t, json!({"client_id": id})).await?;
    let (shown, _) = t.show(&client).await?;
    t.equal("client_id", &json!(id), &shown["client_id"])
}

async fn refused(t: &Trial<'_>, member: &str, value: Value) -> Result<(), Stop> {
    let mut body = newcomer(t);
    body[member] = value;
    let answer = t.call("POST", CLIENTS, Some(body)).await?;
    t.expect(t.due, &answer)?;
    t.check(Also::Names(member_of(member)), &answer)
}

fn member_of(member: &str) -> &'static str {
    let all = ["client_id", "client_name", "scopes", "mechanisms", "max_ttl_seconds", "consistency", "jwks", "region"];
    all.into_iter().find(|known| *known == member).unwrap_or_default()
}

async fn long_name(t: &Trial<'_>) -> Result<(), Stop> {
    refused(t, "client_name", json!(format!("{LONG_NAME}x"))).await
}

async fn bad_ids(t: &Trial<'_>, ids: &[&str]) -> Result<(), Stop> {
    for id in ids {
        refused(t, "client_id", json!(id)).await?;
    }
    Ok(())
}

async fn long_id(t: &Trial<'_>) -> Result<(), Stop> {
    let id = format!("conformance-{}", t.unique());
    refused(t, "client_id", json!(format!("{id}{}", "x".repeat(129 - id.len())))).await
}

async fn nulls(t: &Trial<'_>) -> Result<(), Stop> {
    for member in
        ["client_name", "jwks", "max_ttl_seconds", "consistency", "region", "client_id", "scopes", "mechanisms"]
    {
        refused(t, member, Value::Null).await?;
    }
    Ok(())
}

async fn taken(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let mut body = newcomer(t);
    body["client_id"] = client.id.clone().into();
    body["client_name"] = "another".into();
    t.expect(t.due, &t.call("POST", CLIENTS, Some(body)).await?)?;
    let (shown, _) = t.show(&client).await?;
    t.equal("client_name", &json!("conformance"), &shown["client_name"])
}

async fn deleted(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    t.operate("DELETE", &client.path, None, 204).await?;
    let mut body = newcomer(t);
    body["client_id"] = client.id.into();
    t.expect(t.due, &t.call("POST", CLIENTS, Some(body)).await?)
}

async fn clients_scope(t: &Trial<'_>) -> Result<(), Stop> {
    t.operator_of_secret()?;
    let client = made(t, json!({"scopes": ["clients:read"]})).await?;
    let (_, short) = t.tokens_of(&client, &["clients:read"]).await?;
    t.expect(plain(200), &t.call_by(&short.token, "GET", &client.path, None).await?)
}

async fn beyond_own(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, token) = t.other_operator().await?;
    t.expect(t.due, &t.call_by(&token.token, "POST", CLIENTS, Some(newcomer(t))).await?)
}

async fn may_not_give(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, token) = t.other_operator().await?;
    let mut body = newcomer(t);
    body["scopes"] = json!(["jobs:submit", "clients:read"]);
    t.expect(t.due, &t.call_by(&token.token, "POST", CLIENTS, Some(body)).await?)
}

async fn simultaneous(t: &Trial<'_>) -> Result<(), Stop> {
    let operator = t.shared(Operator, "short").await?;
    let body = newcomer(t);
    let request = crate::trial::operators::call(&operator.token, "POST", CLIENTS, Some(body));
    let mut created = 0;
    for answer in t.send_at_once(&request, 4).await? {
        match answer.status {
            201 => created += 1,
            _ => t.expect(t.due, &answer)?,
        }
    }
    match created {
        1 => Ok(()),
        _ => Err(Stop::fail(
            "exactly one 201 for simultaneous requests with the same client_id",
            format!("{created} of 4 requests were answered with 201"),
        )),
    }
}

async fn ids_by_case(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let recased = client.id.replacen("conformance", "Conformance", 1);
    t.run.vault.open(&recased);
    let mut body = newcomer(t);
    body["client_id"] = recased.into();
    t.expect(t.due, &t.call("POST", CLIENTS, Some(body)).await?)
}

async fn name_spaces(t: &Trial<'_>) -> Result<(), Stop> {
    let mut body = newcomer(t);
    body["client_name"] = " conformance ".into();
    let answer = t.call("POST", CLIENTS, Some(body)).await?;
    t.expect(t.due, &answer)?;
    t.equal("client_name", &json!(" conformance "), &answer.json().unwrap_or_default()["client_name"])
}

async fn valid_from(t: &Trial<'_>) -> Result<(), Stop> {
    let client = t.client_with(json!({})).await?;
    let (created, from) = (client.time("created_at")?, client.time("tokens_valid_from")?);
    match created.abs_diff(from) <= 1 {
        true => Ok(()),
        false => Err(Stop::fail(
            format!("tokens_valid_from {}, as created_at", client.shown["created_at"]),
            format!("tokens_valid_from {}", client.shown["tokens_valid_from"]),
        )),
    }
}

async fn ttl_binds_rotation(t: &Trial<'_>) -> Result<(), Stop> {
    let members = json!({"scopes": ["jobs:submit", "tokens:write"], "mechanisms": ["secret", "rotation"]});
    let client = made(t, members).await?;
    let (_, short) = t.tokens_of(&client, &["tokens:write"]).await?;
    let body = json!({"grant_type": "client_credentials", "client_id": client.id, "ttl_seconds": 86_400});
    let mut request = crate::endpoint::post(crate::endpoint::LONG, Some(&short.token), Some(body));
    request.set("x-client-id", client.id.as_str());
    let answer = t.send(&request).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::ExpiresIn(3600), &answer)
}
