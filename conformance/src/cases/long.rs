//! POST /auth/tokens/long.

use super::Base::{Assertion, Rotation, Secret};
use super::Change::*;
use super::*;
use crate::identities::Role::{Burst, Lockout, Narrow, NoOtp, Other, Suspended, Valid};
use crate::otp;
use crate::{draft, jose};
use serde_json::json;

const TOKEN: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, ClientSecret)];
const CODE: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, TotpSecret)];
const BURST: &[(Role, Credential)] = &[(Burst, ClientId), (Burst, ClientSecret)];
const SIGNED: &[(Role, Credential)] = &[(Valid, ClientId), (Valid, AssertionJwk)];

pub const CASES: &[Case] = &[
    // ---- 201: the four mechanisms
    ask("long.201.secret", "A client secret with X-Client-Id issues a long-term token.", Secret(Valid), &[], GRANTED)
        .control()
        .seed(),
    ask("long.201.assertion", "An assertion signed by the client's key issues a long-term token.", Assertion(Valid), &[], GRANTED)
        .control()
        .seed(),
    ask("long.201.rotation", "A short-term token with tokens:write issues a long-term token.", Rotation(Valid), &[], GRANTED)
        .control()
        .seed(),
    steps("long.201.otp", "A one-time code with X-Client-Id issues a long-term token.", Op::Long, 201, CODE, |t| {
        Box::pin(otp::accepted(t))
    })
    .seed(),
    // ---- 201: lifetimes
    ask(
        "long.201.ttl-min",
        "ttl_seconds may be 3600.",
        Secret(Valid),
        &[Set("ttl_seconds", "3600")],
        GRANTED,
    )
    .also(&[Also::ExpiresIn(3600)]),
    ask(
        "long.201.ttl-max",
        "ttl_seconds may be 7776000 for a client without a maximum of its own.",
        Secret(Valid),
        &[Set("ttl_seconds", "7776000")],
        GRANTED,
    )
    .also(&[Also::ExpiresIn(7_776_000)]),
    ask("long.201.ttl-default", "Without ttl_seconds the token lives 2592000 s.", Secret(Valid), &[Unset("ttl_seconds")], GRANTED)
        .also(&[Also::LongDefault]),
    ask(
        "long.201.ttl-clamped",
        "A ttl_seconds beyond the client's own maximum is clamped to it.",
        Secret(Narrow),
        &[Set("ttl_seconds", "7776000")],
        GRANTED,
    )
    .also(&[Also::LongCap(Narrow)]),
    ask(
        "long.201.ttl-default-clamped",
        "The default lifetime is clamped to the client's own maximum as well.",
        Secret(Narrow),
        &[Unset("ttl_seconds")],
        GRANTED,
    )
    .also(&[Also::LongCap(Narrow)]),
    ask(
        "long.201.ttl-under-cap",
        "A ttl_seconds below the client's own maximum is granted as asked.",
        Secret(Narrow),
        &[Set("ttl_seconds", "7200")],
        GRANTED,
    )
    .also(&[Also::ExpiresIn(7200)]),
    // ---- 201: scopes
    ask(
        "long.201.scopes-in-order",
        "The scopes granted are those asked for, in their order.",
        Secret(Valid),
        &[Set("scopes", r#"["templates:read","jobs:submit","jobs:cancel"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["templates:read", "jobs:submit", "jobs:cancel"])]),
    ask(
        "long.201.scopes-fold",
        "Duplicate scopes fold.",
        Secret(Valid),
        &[Set("scopes", r#"["jobs:submit","templates:read","jobs:submit"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:submit", "templates:read"])]),
    ask(
        "long.201.scope-wildcard",
        "jobs:* covers jobs:* itself.",
        Secret(Valid),
        &[Set("scopes", r#"["jobs:*"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:*"])]),
    ask(
        "long.201.scope-characters",
        "A scope's parts may hold lower-case letters, digits, - and _.",
        Secret(Valid),
        &[Set("scopes", r#"["jobs:re-run_2"]"#)],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:re-run_2"])]),
    ask("long.201.scopes-64", "64 scopes pass.", Secret(Valid), &[ManyScopes(64)], GRANTED).also(&[Also::ManyScopes(64)]),
    ask("long.201.scope-128", "A scope of 128 characters passes.", Secret(Valid), &[LongScope(128)], GRANTED),
    ask(
        "long.201.scopes-omitted",
        "Without scopes the token has some, and none beyond the client's own.",
        Secret(Valid),
        &[Unset("scopes")],
        GRANTED,
    )
    .also(&[Also::ScopesWithin(Valid)]),
    // ---- 201: the request's shape
    ask(
        "long.201.authorization-ignored",
        "An Authorization header sent along with a mechanism in the body is ignored.",
        Secret(Valid),
        &[Header("authorization", "Bearer not-a-token")],
        GRANTED,
    ),
    ask(
        "long.201.authorization-ignored-by-assertion",
        "An Authorization header sent along with an assertion is ignored.",
        Assertion(Valid),
        &[Header("authorization", "Bearer not-a-token")],
        GRANTED,
    ),
    ask(
        "long.201.content-type-parameters",
        "Content-Type may carry parameters.",
        Secret(Valid),
        &[Header("content-type", "application/json; charset=utf-8")],
        GRANTED,
    ),
    ask(
        "long.201.content-type-case",
        "Content-Type is application/json in any case.",
        Secret(Valid),
        &[Header("content-type", "Application/JSON")],
        GRANTED,
    ),
    ask("long.201.body-16384", "A body of 16384 bytes passes.", Secret(Valid), &[PadTo(16_384)], GRANTED),
    ask(
        "long.201.body-16384-chunked",
        "A body of 16384 bytes passes without a Content-Length.",
        Secret(Valid),
        &[PadTo(16_384), Chunked],
        GRANTED,
    ),
    ask(
        "long.201.x-client-id-repeated",
        "An X-Client-Id header that is there twice with the same value counts once.",
        Secret(Valid),
        &[Repeat("x-client-id")],
        GRANTED,
    ),
    ask(
        "long.201.json-escapes",
        "JSON is read as JSON: an escaped letter is that letter.",
        Secret(Valid),
        &[Raw(
            r#"{"grant\u005ftype":"client\u005fcredentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","scopes":["jobs\u003asubmit"],"ttl_seconds":3600}"#,
        )],
        GRANTED,
    )
    .also(&[Also::Scopes(&["jobs:submit"])]),
    ask("long.201.token-id", "The id of a long-term token starts with tok_lt_.", Secret(Valid), &[], GRANTED)
        .twin_of("long.201.secret")
        .also(&[Also::TokenIdStarts("tok_lt_")]),
    steps("long.201.unique", "Every token is another, with another id.", Op::Long, 201, TOKEN, |t| Box::pin(unique(t)))
        .twin_of("long.201.secret"),
    // ---- 201: assertions
    ask(
        "long.201.assertion-type-grant",
        "assertion_type may be urn:ietf:params:oauth:grant-type:jwt-bearer.",
        Assertion(Valid),
        &[Set("assertion_type", r#""urn:ietf:params:oauth:grant-type:jwt-bearer""#)],
        GRANTED,
    ),
    ask(
        "long.201.assertion-aud-array",
        "aud may be an array that holds the endpoint's URL.",
        Assertion(Valid),
        &[Claim("aud", r#"["https://elsewhere.example","${endpoint}"]"#)],
        GRANTED,
    ),
    ask(
        "long.201.assertion-aud-issuer",
        "aud may be the issuer.",
        Assertion(Valid),
        &[Claim("aud", r#""${issuer}""#)],
        GRANTED,
    )
    .effect(Effect::Mint),
    ask("long.201.assertion-without-iat", "iat may be absent.", Assertion(Valid), &[NoClaim("iat")], GRANTED),
    ask(
        "long.201.assertion-exp-540",
        "exp may be close to 10 minutes ahead.",
        Assertion(Valid),
        &[Claim("exp", "${now+540}")],
        GRANTED,
    ),
    ask(
        "long.201.assertion-iat-30",
        "iat may be half a minute ahead.",
        Assertion(Valid),
        &[Claim("iat", "${now+30}")],
        GRANTED,
    ),
    ask(
        "long.201.assertion-nbf-30",
        "nbf may be half a minute ahead.",
        Assertion(Valid),
        &[Claim("nbf", "${now+30}")],
        GRANTED,
    ),
    // ---- 201: rotation
    steps(
        "long.201.rotation-scopes-default",
        "Rotation's scopes default to those of the short-term token.",
        Op::Long,
        201,
        TOKEN,
        |t| Box::pin(rotation_default(t)),
    )
    .twin_of("long.201.rotation"),
    steps(
        "long.201.rotation-exact-scope",
        "tokens:write itself is enough to rotate.",
        Op::Long,
        201,
        TOKEN,
        |t| Box::pin(rotation_exact(t)),
    )
    .twin_of("long.201.rotation"),
    steps(
        "long.201.rotation-grace",
        "The retired long-term token keeps working for the grace period.",
        Op::Long,
        201,
        TOKEN,
        |t| Box::pin(rotation_grace(t)),
    )
    .twin_of("long.201.rotation"),
    steps(
        "long.201.rotation-usable",
        "The token that rotation issues can be exchanged.",
        Op::Long,
        201,
        TOKEN,
        |t| Box::pin(rotation_usable(t)),
    )
    .twin_of("long.201.rotation"),
    // ---- 400 invalid_grant
    ask("long.400.grant-type-missing", "A missing grant_type is 400 invalid_grant.", Secret(Valid), &[Unset("grant_type")], INVALID_GRANT).seed(),
    ask(
        "long.400.grant-type-unknown",
        "A grant_type that is not one of the two is 400 invalid_grant.",
        Secret(Valid),
        &[Set("grant_type", r#""password""#)],
        INVALID_GRANT,
    )
    .seed(),
    ask(
        "long.400.grant-type-case",
        "grant_type is compared exactly.",
        Secret(Valid),
        &[Set("grant_type", r#""Client_Credentials""#)],
        INVALID_GRANT,
    ),
    // ---- 400 invalid_request: not the JSON that was asked for
    ask("long.400.not-json", "A body that is not JSON is 400 invalid_request.", Secret(Valid), &[Raw("grant_type=client_credentials")], INVALID_REQUEST).seed(),
    ask("long.400.body-empty", "An empty body is 400 invalid_request.", Secret(Valid), &[Raw("")], INVALID_REQUEST),
    ask("long.400.root-array", "A root that is not an object is 400 invalid_request.", Secret(Valid), &[Raw("[]")], INVALID_REQUEST),
    ask("long.400.root-string", "A root that is a string is 400 invalid_request.", Secret(Valid), &[Raw(r#""grant_type""#)], INVALID_REQUEST),
    ask("long.400.root-null", "A root that is null is 400 invalid_request.", Secret(Valid), &[Raw("null")], INVALID_REQUEST),
    ask("long.400.trailing-data", "Anything after the document is 400 invalid_request.", Secret(Valid), &[Append("{}")], INVALID_REQUEST),
    ask("long.400.trailing-comma", "A trailing comma is not JSON.", Secret(Valid), &[Raw(
        r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":3600,}"#,
    )], INVALID_REQUEST),
    ask(
        "long.400.not-utf8",
        "Bytes that are not UTF-8 are 400 invalid_request.",
        Secret(Valid),
        &[RawBytes(b"{\"grant_type\":\"client_credentials\",\"client_id\":\"\xff\xfe\",\"client_secret\":\"x\"}")],
        INVALID_REQUEST,
    ),
    ask("long.400.repeated-key", "A repeated key is 400 invalid_request.", Secret(Valid), &[Raw(
        r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":3600,"ttl_seconds":3600}"#,
    )], INVALID_REQUEST),
    ask(
        "long.400.unknown-field",
        "An unknown field is 400 invalid_request, and is named.",
        Secret(Valid),
        &[Set("surprise", "1")],
        INVALID_REQUEST,
    )
    .also(&[Also::Names("surprise")]),
    ask("long.400.client-id-missing", "A missing client_id is 400 invalid_request.", Secret(Valid), &[Unset("client_id")], INVALID_REQUEST)
        .also(&[Also::Names("client_id")])
        .seed(),
    ask("long.400.client-id-null", "A null client_id is 400 invalid_request.", Secret(Valid), &[Set("client_id", "null")], INVALID_REQUEST),
    ask("long.400.client-id-number", "A number for client_id is 400 invalid_request.", Secret(Valid), &[Set("client_id", "7")], INVALID_REQUEST),
    ask(
        "long.400.client-secret-number",
        "A number for client_secret is 400 invalid_request.",
        Secret(Valid),
        &[Set("client_secret", "7")],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.otp-code-number",
        "A number for otp_code is 400 invalid_request.",
        Secret(Valid),
        &[Unset("client_secret"), Set("otp_code", "123456")],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.otp-code-null",
        "A null is 400 invalid_request, also beside another mechanism.",
        Secret(Valid),
        &[Set("otp_code", "null")],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.assertion-number",
        "A number for assertion is 400 invalid_request.",
        Assertion(Valid),
        &[Set("assertion", "7")],
        INVALID_REQUEST,
    ),
    // ---- 400 invalid_request: lifetimes
    ask("long.400.ttl-3599", "ttl_seconds below 3600 is 400.", Secret(Valid), &[Set("ttl_seconds", "3599")], INVALID_REQUEST)
        .also(&[Also::Names("ttl_seconds")]),
    ask("long.400.ttl-7776001", "ttl_seconds above 7776000 is 400.", Secret(Valid), &[Set("ttl_seconds", "7776001")], INVALID_REQUEST)
        .also(&[Also::Names("ttl_seconds")]),
    ask(
        "long.400.ttl-7776001-capped",
        "ttl_seconds above 7776000 is 400 also for a client with a maximum of its own: the range goes before the clamp.",
        Secret(Narrow),
        &[Set("ttl_seconds", "7776001")],
        INVALID_REQUEST,
    ),
    ask("long.400.ttl-zero", "A ttl_seconds of 0 is 400.", Secret(Valid), &[Set("ttl_seconds", "0")], INVALID_REQUEST),
    ask("long.400.ttl-negative", "A negative ttl_seconds is 400.", Secret(Valid), &[Set("ttl_seconds", "-3600")], INVALID_REQUEST),
    ask("long.400.ttl-huge", "A ttl_seconds beyond any integer type is 400.", Secret(Valid), &[Raw(
        r#"{"grant_type":"client_credentials","client_id":"${valid.client_id}","client_secret":"${valid.client_secret}","ttl_seconds":99999999999999999999999}"#,
    )], INVALID_REQUEST),
    ask("long.400.ttl-fraction", "A fraction for ttl_seconds is 400.", Secret(Valid), &[Set("ttl_seconds", "3600.5")], INVALID_REQUEST),
    ask("long.400.ttl-string", "A string for ttl_seconds is 400.", Secret(Valid), &[Set("ttl_seconds", r#""3600""#)], INVALID_REQUEST),
    ask("long.400.ttl-boolean", "A boolean for ttl_seconds is 400.", Secret(Valid), &[Set("ttl_seconds", "true")], INVALID_REQUEST),
    ask("long.400.ttl-null", "A null for ttl_seconds is 400.", Secret(Valid), &[Set("ttl_seconds", "null")], INVALID_REQUEST),
    // ---- 400 invalid_request: Content-Type and size
    ask("long.400.content-type-missing", "A body without Content-Type is 400.", Secret(Valid), &[NoHeader("content-type")], INVALID_REQUEST),
    ask(
        "long.400.content-type-text",
        "A Content-Type of text/plain is 400.",
        Secret(Valid),
        &[Header("content-type", "text/plain")],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.content-type-prefix",
        "A Content-Type that only starts like application/json is 400.",
        Secret(Valid),
        &[Header("content-type", "application/jsonp")],
        INVALID_REQUEST,
    ),
    ask("long.400.body-16385", "A body of 16385 bytes is 400.", Secret(Valid), &[PadTo(16_385)], INVALID_REQUEST)
        .twin_of("long.201.body-16384"),
    ask(
        "long.400.body-16385-chunked",
        "A body of 16385 bytes is 400 without a Content-Length too.",
        Secret(Valid),
        &[PadTo(16_385), Chunked],
        INVALID_REQUEST,
    )
    .twin_of("long.201.body-16384-chunked"),
    // ---- 400 invalid_request: mechanisms
    ask(
        "long.400.two-mechanisms",
        "Two mechanisms in one body are 400.",
        Secret(Valid),
        &[Set("otp_code", r#""000000""#)],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.secret-and-assertion",
        "A secret beside an assertion is 400.",
        Assertion(Valid),
        &[Set("client_secret", r#""${valid.client_secret}""#)],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.code-and-assertion",
        "A one-time code beside an assertion is 400.",
        Assertion(Valid),
        &[Set("otp_code", r#""000000""#)],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.assertion-under-client-credentials",
        "An assertion needs the grant_type assertion.",
        Assertion(Valid),
        &[Set("grant_type", r#""client_credentials""#)],
        INVALID_REQUEST,
    ),
    ask(
        "long.400.no-mechanism",
        "A body without a mechanism, and without a bearer to rotate, is refused.",
        Secret(Valid),
        &[Unset("client_secret")],
        // "No mechanism" and "bearer missing" are both in the contract.
        Want { or: &[(401, "invalid_token"), (401, "invalid_client")], ..INVALID_REQUEST },
    ),
    ask("long.400.assertion-missing", "grant_type assertion without an assertion is 400.", Assertion(Valid), &[Unset("assertion")], INVALID_REQUEST),
    ask("long.400.assertion-type-missing", "An assertion without assertion_type is 400.", Assertion(Valid), &[Unset("assertion_type")], INVALID_REQUEST),
    ask(
        "long.400.assertion-type-unknown",
        "Another assertion_type is 400.",
        Assertion(Valid),
        &[Set("assertion_type", r#""urn:ietf:params:oauth:client-assertion-type:saml2-bearer""#)],
        INVALID_REQUEST,
    ),
    // ---- 400: scopes
    ask("long.400.scopes-string", "A string for scopes is 400.", Secret(Valid), &[Set("scopes", r#""jobs:submit""#)], INVALID_REQUEST),
    ask("long.400.scopes-null", "A null for scopes is 400.", Secret(Valid), &[Set("scopes", "null")], INVALID_REQUEST),
    ask("long.400.scopes-number-inside", "A number among the scopes is 400.", Secret(Valid), &[Set("scopes", r#"["jobs:submit",7]"#)], INVALID_REQUEST),
    ask("long.400.scopes-empty", "An empty scopes is 400 invalid_scope.", Secret(Valid), &[Set("scopes", "[]")], INVALID_SCOPE),
    ask("long.400.scope-empty", "An empty scope is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"[""]"#)], INVALID_SCOPE),
    ask("long.400.scope-upper-case", "An upper-case letter in a scope is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs:Submit"]"#)], INVALID_SCOPE),
    ask("long.400.scope-no-colon", "A scope without an action is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs"]"#)], INVALID_SCOPE),
    ask("long.400.scope-two-colons", "A scope with two colons is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs:submit:now"]"#)], INVALID_SCOPE),
    ask("long.400.scope-no-action", "A scope with an empty action is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs:"]"#)], INVALID_SCOPE),
    ask("long.400.scope-space", "A space in a scope is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs:submit jobs:cancel"]"#)], INVALID_SCOPE),
    ask("long.400.scope-star-inside", "A star is an action by itself or none.", Secret(Valid), &[Set("scopes", r#"["jobs:sub*"]"#)], INVALID_SCOPE),
    ask("long.400.scope-star-resource", "A resource can't be a star.", Secret(Valid), &[Set("scopes", r#"["*:submit"]"#)], INVALID_SCOPE),
    ask("long.400.scope-not-ascii", "A letter beyond a to z in a scope is 400 invalid_scope.", Secret(Valid), &[Set("scopes", r#"["jobs:é"]"#)], INVALID_SCOPE),
    ask("long.400.scopes-65", "65 scopes are 400.", Secret(Valid), &[ManyScopes(65)], refused(400, &["invalid_scope", "invalid_request"]))
        .twin_of("long.201.scopes-64"),
    ask("long.400.scope-129", "A scope of 129 characters is 400.", Secret(Valid), &[LongScope(129)], refused(400, &["invalid_scope", "invalid_request"]))
        .twin_of("long.201.scope-128"),
    // ---- 401: who are you
    ask(
        "long.401.no-credentials",
        "Without any credential header the answer is 401.",
        Secret(Valid),
        &[NoHeader("x-client-id"), Unset("client_secret")],
        refused(401, &["invalid_client", "invalid_token"]),
    )
    .seed(),
    ask(
        "long.401.no-credentials-before-shape",
        "Without any credential header the answer is 401, whatever the body's shape.",
        Secret(Valid),
        &[NoHeader("x-client-id"), Raw("{")],
        refused(401, &["invalid_client", "invalid_token"]),
    ),
    ask(
        "long.401.secret-wrong",
        "A wrong secret is 401 invalid_client.",
        Secret(Valid),
        &[Set("client_secret", r#""wrong-${unique}""#)],
        INVALID_CLIENT,
    )
    .seed(),
    ask("long.401.secret-empty", "An empty secret is never right.", Secret(Valid), &[Set("client_secret", r#""""#)], Want {
        or: &[(400, "invalid_request")],
        ..INVALID_CLIENT
    }),
    ask(
        "long.401.secret-space-behind",
        "A secret is not trimmed.",
        Secret(Valid),
        &[Set("client_secret", r#""${valid.client_secret} ""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.secret-space-before",
        "A secret is not trimmed at its start either.",
        Secret(Valid),
        &[Set("client_secret", r#"" ${valid.client_secret}""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.secret-longer",
        "A secret that only starts right is wrong.",
        Secret(Valid),
        &[Set("client_secret", r#""${valid.client_secret}x""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.secret-recased",
        "A secret's case counts.",
        Secret(Valid),
        &[Set("client_secret", r#""${valid.client_secret_recased}""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.secret-of-another",
        "Another client's secret is 401 invalid_client.",
        Secret(Valid),
        &[Set("client_secret", r#""${other.client_secret}""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.client-unknown",
        "An unknown client is 401 invalid_client.",
        Secret(Valid),
        &[Set("client_id", r#""nobody-at-all""#), Header("x-client-id", "nobody-at-all")],
        INVALID_CLIENT,
    )
    .twin_of("long.201.secret"),
    steps(
        "long.401.client-unknown-alike",
        "An unknown client and a wrong secret are answered with the same body.",
        Op::Long,
        401,
        TOKEN,
        |t| Box::pin(unknown_alike(t)),
    )
    .twin_of("long.401.secret-wrong"),
    ask("long.401.x-client-id-missing", "A missing X-Client-Id is 401 invalid_client.", Secret(Valid), &[NoHeader("x-client-id")], INVALID_CLIENT),
    ask(
        "long.401.x-client-id-missing-with-bearer",
        "An ignored Authorization header does not stand in for X-Client-Id.",
        Secret(Valid),
        &[NoHeader("x-client-id"), Header("authorization", "Bearer not-a-token")],
        INVALID_CLIENT,
    )
    .twin_of("long.201.authorization-ignored"),
    ask(
        "long.401.x-client-id-of-another",
        "An X-Client-Id that is not the body's client_id is 401 invalid_client.",
        Secret(Valid),
        &[Header("x-client-id", "${other.client_id}")],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.x-client-id-differs",
        "Two X-Client-Id headers that differ are 401 invalid_client; the message says why.",
        Secret(Valid),
        &[Beside("x-client-id", "somebody-else")],
        INVALID_CLIENT,
    )
    .twin_of("long.201.x-client-id-repeated")
    .also(&[Also::SaysRepeated]),
    ask(
        "long.401.x-client-id-recased",
        "X-Client-Id is compared without case folding.",
        Secret(Valid),
        &[Header("x-client-id", "${valid.client_id_recased}")],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.client-id-recased",
        "client_id is compared without case folding.",
        Secret(Valid),
        &[Header("x-client-id", "${valid.client_id_recased}"), Set("client_id", r#""${valid.client_id_recased}""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.client-id-trimmed",
        "client_id is not trimmed.",
        Secret(Valid),
        &[Set("client_id", r#""${valid.client_id} ""#)],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.assertion-x-client-id-missing",
        "An assertion needs X-Client-Id too.",
        Assertion(Valid),
        &[NoHeader("x-client-id")],
        INVALID_CLIENT,
    ),
    ask(
        "long.401.suspended-wrong-secret",
        "A suspended client learns so only with right credentials.",
        Secret(Suspended),
        &[Set("client_secret", r#""wrong-${unique}""#)],
        INVALID_CLIENT,
    )
    .twin_of("long.403.suspended"),
    // ---- 401: one-time codes
    steps("long.401.otp-reused", "A one-time code is accepted once.", Op::Long, 401, CODE, |t| Box::pin(otp::reused(t)))
        .twin_of("long.201.otp")
        .seed(),
    steps(
        "long.401.otp-simultaneous",
        "Of simultaneous tries with one code exactly one is answered 201.",
        Op::Long,
        401,
        CODE,
        |t| Box::pin(otp::one_of_many(t)),
    )
    .twin_of("long.201.otp"),
    steps(
        "long.401.otp-older-step",
        "A code of a step before the last accepted one is refused.",
        Op::Long,
        401,
        CODE,
        |t| Box::pin(otp::older_step(t)),
    )
    .twin_of("long.201.otp"),
    steps(
        "long.401.otp-wrong",
        "A wrong code is 401 invalid_client.",
        Op::Long,
        401,
        &[(Lockout, ClientId), (Lockout, TotpSecret)],
        |t| Box::pin(otp::wrong(t)),
    )
    .twin_of("long.201.otp")
    .seed(),
    steps(
        "long.401.otp-locked",
        "Five wrong codes in five minutes lock the mechanism for that client, right codes included.",
        Op::Long,
        401,
        &[(Lockout, ClientId), (Lockout, TotpSecret)],
        |t| Box::pin(otp::locked(t)),
    )
    .twin_of("long.201.otp"),
    steps(
        "long.201.otp-lock-spares-secret",
        "Locked codes leave the client's other mechanisms alone.",
        Op::Long,
        201,
        &[(Lockout, ClientId), (Lockout, TotpSecret), (Lockout, ClientSecret)],
        |t| Box::pin(otp::only_this_mechanism(t)),
    )
    .twin_of("long.401.otp-locked"),
    // ---- 401: assertions
    ask("long.401.assertion-expired", "An expired assertion is 401 invalid_client.", Assertion(Valid), &[Claim("exp", "${now-180}"), Claim("iat", "${now-300}")], INVALID_CLIENT)
        .seed(),
    ask("long.401.assertion-exp-missing", "An assertion without exp is 401 invalid_client.", Assertion(Valid), &[NoClaim("exp")], INVALID_CLIENT),
    ask("long.401.assertion-exp-far", "An exp further ahead than 10 minutes is 401 invalid_client.", Assertion(Valid), &[Claim("exp", "${now+900}")], INVALID_CLIENT)
        .twin_of("long.201.assertion-exp-540"),
    ask("long.401.assertion-exp-string", "An exp that is no number is 401 invalid_client.", Assertion(Valid), &[Claim("exp", r#""${now+120}""#)], Want {
        or: &[(400, "invalid_request")],
        ..INVALID_CLIENT
    }),
    ask("long.401.assertion-iat-future", "An iat in the future is 401 invalid_client.", Assertion(Valid), &[Claim("iat", "${now+110}")], INVALID_CLIENT)
        .twin_of("long.201.assertion-iat-30"),
    ask("long.401.assertion-nbf-future", "An nbf in the future is 401 invalid_client.", Assertion(Valid), &[Claim("nbf", "${now+110}")], INVALID_CLIENT)
        .twin_of("long.201.assertion-nbf-30"),
    ask("long.401.assertion-aud-wrong", "An aud that names another service is 401 invalid_client.", Assertion(Valid), &[Claim("aud", r#""https://elsewhere.example/auth/tokens/long""#)], INVALID_CLIENT)
        .seed(),
    ask("long.401.assertion-aud-array-wrong", "An aud array without this service is 401 invalid_client.", Assertion(Valid), &[Claim("aud", r#"["https://elsewhere.example","${endpoint}/x"]"#)], INVALID_CLIENT)
        .twin_of("long.201.assertion-aud-array"),
    ask("long.401.assertion-aud-missing", "An assertion without aud is 401 invalid_client.", Assertion(Valid), &[NoClaim("aud")], INVALID_CLIENT),
    ask("long.401.assertion-iss-wrong", "An iss that is not client_id is 401 invalid_client.", Assertion(Valid), &[Claim("iss", r#""${other.client_id}""#)], INVALID_CLIENT),
    ask("long.401.assertion-sub-wrong", "A sub that is not client_id is 401 invalid_client.", Assertion(Valid), &[Claim("sub", r#""${other.client_id}""#)], INVALID_CLIENT),
    ask("long.401.assertion-iss-missing", "An assertion without iss is 401 invalid_client.", Assertion(Valid), &[NoClaim("iss")], INVALID_CLIENT),
    ask("long.401.assertion-sub-missing", "An assertion without sub is 401 invalid_client.", Assertion(Valid), &[NoClaim("sub")], INVALID_CLIENT),
    ask("long.401.assertion-jti-missing", "An assertion without jti is 401 invalid_client.", Assertion(Valid), &[NoClaim("jti")], INVALID_CLIENT),
    steps("long.401.assertion-replayed", "A jti is accepted once.", Op::Long, 401, SIGNED, |t| Box::pin(replayed(t)))
        .twin_of("long.201.assertion"),
    steps(
        "long.401.assertion-simultaneous",
        "Of simultaneous tries with one assertion exactly one is answered 201.",
        Op::Long,
        401,
        SIGNED,
        |t| Box::pin(one_assertion(t)),
    )
    .twin_of("long.201.assertion"),
    ask("long.401.assertion-alg-none", "An unsigned assertion is 401 invalid_client.", Assertion(Valid), &[AlgNone], INVALID_CLIENT).seed(),
    steps(
        "long.401.assertion-hs256-public-key",
        "An assertion under HS256 keyed with the client's public key is 401 invalid_client.",
        Op::Long,
        401,
        SIGNED,
        |t| Box::pin(hs256_public(t)),
    )
    .twin_of("long.201.assertion"),
    ask("long.401.assertion-alg-other", "The algorithm is bound to the key, never to the assertion's header.", Assertion(Valid), &[Jose("alg", r#""HS512""#)], INVALID_CLIENT),
    ask("long.401.assertion-kid-unknown", "A kid that is not registered is 401 invalid_client.", Assertion(Valid), &[Jose("kid", r#""no-such-key""#)], INVALID_CLIENT),
    ask("long.401.assertion-signature", "A signature that does not fit is 401 invalid_client.", Assertion(Valid), &[TamperedSignature], INVALID_CLIENT).seed(),
    ask("long.401.assertion-claims-changed", "A claim changed after signing is 401 invalid_client.", Assertion(Valid), &[TamperedClaims], INVALID_CLIENT),
    ask("long.401.assertion-other-key", "An assertion signed by another client's key is 401 invalid_client.", Assertion(Valid), &[SignedBy(Other)], INVALID_CLIENT),
    ask(
        "long.401.assertion-other-client",
        "An assertion for another client_id is 401 invalid_client.",
        Assertion(Valid),
        &[Set("client_id", r#""${other.client_id}""#), Header("x-client-id", "${other.client_id}")],
        INVALID_CLIENT,
    ),
    ask("long.401.assertion-garbage", "An assertion that is no JWT is refused.", Assertion(Valid), &[Set("assertion", r#""not.a.jwt""#)], Want {
        or: &[(400, "invalid_request")],
        ..INVALID_CLIENT
    }),
    ask("long.401.assertion-is-our-token", "A token of this service is no assertion.", Assertion(Valid), &[Set("assertion", r#""${valid.short}""#)], INVALID_CLIENT)
        .effect(Effect::Mint),
    // ---- 401: the bearer of a rotation
    ask("long.401.rotation-garbage", "A bearer that is no token is 401 invalid_token.", Rotation(Valid), &[Header("authorization", "Bearer not-a-token")], INVALID_TOKEN)
        .seed(),
    ask("long.401.rotation-long-token", "A long-term token can't rotate: 401 invalid_token.", Rotation(Valid), &[Header("authorization", "Bearer ${valid.long}")], INVALID_TOKEN),
    ask("long.401.rotation-signature", "A short-term token with another signature is 401 invalid_token.", Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_tampered}")], INVALID_TOKEN),
    ask("long.401.rotation-extended", "A short-term token with a later end under its old signature is 401 invalid_token.", Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_extended}")], INVALID_TOKEN),
    ask("long.401.rotation-alg-none", "An unsigned short-term token is 401 invalid_token.", Rotation(Valid), &[Header("authorization", "Bearer ${valid.short_unsigned}")], INVALID_TOKEN),
    ask("long.401.rotation-basic", "Another scheme than Bearer presents no token.", Rotation(Valid), &[Header("authorization", "Basic ${valid.short}")], Want {
        or: &[(400, "invalid_request"), (401, "invalid_client")],
        ..INVALID_TOKEN
    }),
    steps("long.401.rotation-revoked", "A revoked short-term token can't rotate.", Op::Long, 401, TOKEN, |t| Box::pin(rotation_revoked(t)))
        .twin_of("long.201.rotation")
        .effect(Effect::Revoke),
    // ---- 403
    ask(
        "long.403.scope-beyond",
        "A scope beyond what the client may have is 403 insufficient_scope.",
        Secret(Narrow),
        &[Set("scopes", r#"["jobs:cancel"]"#)],
        BEYOND_SCOPE,
    )
    .twin_of("long.201.ttl-under-cap"),
    ask(
        "long.403.scope-partly-beyond",
        "One scope beyond is enough: nothing is granted in part.",
        Secret(Narrow),
        &[Set("scopes", r#"["jobs:submit","jobs:cancel"]"#)],
        BEYOND_SCOPE,
    )
    .twin_of("long.201.ttl-under-cap"),
    ask(
        "long.403.scope-wildcard-beyond",
        "jobs:submit does not grant jobs:*.",
        Secret(Narrow),
        &[Set("scopes", r#"["jobs:*"]"#)],
        BEYOND_SCOPE,
    )
    .twin_of("long.201.ttl-under-cap"),
    ask(
        "long.403.scope-other-resource",
        "A wildcard covers its own resource only.",
        Secret(Valid),
        &[Set("scopes", r#"["billing:read"]"#)],
        BEYOND_SCOPE,
    ),
    ask(
        "long.403.scope-prefix",
        "jobs:* covers no resource that only starts with jobs.",
        Secret(Valid),
        &[Set("scopes", r#"["jobs-admin:submit"]"#)],
        BEYOND_SCOPE,
    ),
    ask(
        "long.403.scope-shorter",
        "jobs:* covers no resource that is only its beginning.",
        Secret(Valid),
        &[Set("scopes", r#"["job:submit"]"#)],
        BEYOND_SCOPE,
    ),
    ask(
        "long.403.assertion-scope-beyond",
        "An assertion grants no more than its client may have.",
        Assertion(Valid),
        &[Set("scopes", r#"["billing:read"]"#)],
        BEYOND_SCOPE,
    ),
    ask("long.403.suspended", "Right credentials of a suspended client are 403 unauthorized_client.", Secret(Suspended), &[], UNAUTHORIZED)
        .twin_of("long.201.secret"),
    steps(
        "long.403.otp-not-allowed",
        "A mechanism that the client may not use is 403 unauthorized_client.",
        Op::Long,
        403,
        &[(NoOtp, ClientId), (NoOtp, TotpSecret)],
        |t| Box::pin(otp::not_allowed(t)),
    )
    .twin_of("long.201.otp"),
    steps(
        "long.403.rotation-lacks-write",
        "A short-term token without tokens:write can't rotate: 403 insufficient_scope.",
        Op::Long,
        403,
        TOKEN,
        |t| Box::pin(rotation_lacks_write(t)),
    )
    .twin_of("long.201.rotation")
    .seed(),
    steps(
        "long.403.rotation-escalates",
        "Rotation's scopes may not exceed those of the short-term token, whatever the client may have.",
        Op::Long,
        403,
        TOKEN,
        |t| Box::pin(rotation_escalates(t)),
    )
    .twin_of("long.201.rotation"),
    ask(
        "long.403.rotation-foreign",
        "A bearer that belongs to another client is 403 unauthorized_client.",
        Rotation(Valid),
        &[Header("authorization", "Bearer ${other.short}")],
        UNAUTHORIZED,
    ),
    // ---- 429
    steps("long.429.burst", "Too many calls are 429 rate_limited.", Op::Long, 429, BURST, |t| Box::pin(burst::long(t)))
        .twin_of("long.201.secret")
        .effect(Effect::Burst)
        .seed(),
];

async fn unique(t: &Trial<'_>) -> Result<(), Stop> {
    let (one, two) = (t.mint_long(Valid, &["jobs:submit"]).await?, t.mint_long(Valid, &["jobs:submit"]).await?);
    if one.id == two.id || one.token == two.token {
        return Err(Stop::fail("two different tokens with two different ids", "one of them twice"));
    }
    Ok(())
}

async fn unknown_alike(t: &Trial<'_>) -> Result<(), Stop> {
    let wrong = draft::build(t, Secret(Valid), &[Set("client_secret", r#""wrong-${unique}""#)]).await?;
    let wrong = t.send(&wrong).await?;
    let name = format!("nobody-{}", t.unique());
    let mut unknown = draft::build(t, Secret(Valid), &[]).await?;
    let mut body: serde_json::Value = serde_json::from_slice(&unknown.body).unwrap_or_default();
    body["client_id"] = name.clone().into();
    unknown.body = body.to_string().into_bytes();
    unknown.set("x-client-id", name);
    let unknown = t.send(&unknown).await?;
    t.expect(INVALID_CLIENT, &unknown)?;
    if unknown.json() != wrong.json() {
        return Err(Stop::fail(
            format!("the same body as for a wrong secret: {}", t.summary(&wrong)),
            t.summary(&unknown),
        ));
    }
    Ok(())
}

async fn replayed(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Valid), &[]).await?;
    let first = t.send(&request).await?;
    t.expect(GRANTED, &first)?;
    let second = t.send(&request).await?;
    t.expect(INVALID_CLIENT, &second)
}

async fn one_assertion(t: &Trial<'_>) -> Result<(), Stop> {
    let request = draft::build(t, Assertion(Valid), &[]).await?;
    let answers = t.send_at_once(&request, 8).await?;
    let accepted = answers.iter().filter(|a| a.status == 201).count();
    if accepted != 1 {
        return Err(Stop::fail(
            "exactly one 201 of 8 simultaneous tries with one assertion",
            format!("{accepted} of them"),
        ));
    }
    answers.iter().filter(|a| a.status != 201).try_for_each(|a| t.expect(INVALID_CLIENT, a))
}

async fn hs256_public(t: &Trial<'_>) -> Result<(), Stop> {
    let key = t.key(Valid)?;
    let client_id = t.setting(Valid, ClientId)?;
    let now = t.run.clock.now();
    for (what, hmac_key) in key.public_forms() {
        let header = json!({"alg": "HS256", "kid": key.kid, "typ": "JWT"});
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": t.run.client.url(draft::LONG),
            "iat": now, "exp": now + 120, "jti": t.unique(),
        });
        let forged = t.secret("FORGED_ASSERTION", jose::hs256(&hmac_key, &jose::signing_input(&header, &claims)));
        let mut request = draft::build(t, Assertion(Valid), &[]).await?;
        let mut body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        body["assertion"] = forged.into();
        request.body = body.to_string().into_bytes();
        let answer = t.send(&request).await?;
        t.expect(INVALID_CLIENT, &answer).map_err(|stop| match stop {
            Stop::Fail { wanted, got } => Stop::fail(format!("{wanted} for HS256 keyed with {what}"), got),
            other => other,
        })?;
    }
    Ok(())
}

async fn rotation_default(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:*", "templates:read", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["templates:read", "tokens:*"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, None)?).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["templates:read", "tokens:*"]), &answer)
}

async fn rotation_exact(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
    t.expect(GRANTED, &answer)?;
    t.check(Also::Scopes(&["jobs:submit"]), &answer)
}

async fn rotated(t: &Trial<'_>) -> Result<(Token, Answer), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:*"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
    t.expect(GRANTED, &answer)?;
    Ok((long, answer))
}

async fn rotation_grace(t: &Trial<'_>) -> Result<(), Stop> {
    let (retired, _) = rotated(t).await?;
    let answer = t.send(&t.exchange_request(&retired.token)).await?;
    t.expect(GRANTED, &answer)
}

async fn rotation_usable(t: &Trial<'_>) -> Result<(), Stop> {
    let (_, answer) = rotated(t).await?;
    let token = answer.json().unwrap_or_default()["access_token"].as_str().unwrap_or_default().to_owned();
    let answer = t.send(&t.exchange_request(&token)).await?;
    t.expect(GRANTED, &answer)
}

async fn rotation_revoked(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:write"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.revoke_request(&short.token, &short.id)).await?;
    t.expect(ENDED, &answer)
        .map_err(|_| Stop::Blocked("the short-term token could not be revoked first".to_owned()))?;
    let request = t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?;
    t.until_refused(&request, INVALID_TOKEN).await
}

async fn rotation_lacks_write(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:submit", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:revoke"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:submit"]))?).await?;
    t.expect(BEYOND_SCOPE, &answer)
}

async fn rotation_escalates(t: &Trial<'_>) -> Result<(), Stop> {
    let long = t.mint_long(Valid, &["jobs:*", "tokens:*"]).await?;
    let short = t.mint_short(&long, &["jobs:submit", "tokens:write"]).await?;
    let answer = t.send(&t.rotate_request(Valid, &short.token, Some(&["jobs:cancel"]))?).await?;
    t.expect(BEYOND_SCOPE, &answer)
}
