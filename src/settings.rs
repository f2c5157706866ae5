//! Settings, read once per isolate. If one is missing or malformed, every request is answered 500: keys, issuer and
//! audience have no default.

use crate::client::{Client, Consistency, Operator, StoredSecret};
use crate::error::Error;
use crate::keys::KeySet;
use crate::otp;
use crate::scope::Scopes;
use crate::secret::Secret;

/// The path of `issueLongTermToken`, below the base path.
pub const LONG_PATH: &str = "/auth/tokens/long";

/// The longest `ISSUER` and `AUDIENCE`, bytes. Both are in every short-term token, and verifiers bound a token's
/// length.
const MAX_NAME: usize = 512;

/// The deployment's settings. `edge` reads them from the Worker's variables and secrets.
#[derive(Debug)]
pub struct Settings {
    /// `AUTH_KEYS`, a secret.
    pub keys: KeySet,
    /// `ISSUER`: the `iss` of every token, an `https` URL (RFC 8414, section 2).
    pub issuer: String,
    /// `AUDIENCE`: the `aud` of short-term tokens (RFC 9068, section 2.2).
    pub audience: String,
    /// `BASE_PATH`: what the API's paths begin with; may be empty, `/v1` when not set.
    pub base_path: String,
    /// `ROTATION_GRACE_SECONDS`: how long a long-term token stays valid after its rotation; 86400 when not set.
    pub rotation_grace: u64,
    /// `RATE_LIMIT_PERIOD_SECONDS`: the period of the rate limits in wrangler.toml (10 or 60), sent as `Retry-After`;
    /// 60 when not set.
    pub rate_limit_period: u64,
    /// `OPERATOR`, a secret: the first operator. When not set, only clients in storage can be operators.
    pub operator: Option<Operator>,
    /// `DEFAULT_CONSISTENCY`: the `consistency` of a client created without one; `eventual` when not set.
    pub default_consistency: Consistency,
    /// `OTP_WRONG_PER_DAY`: after how many wrong one-time codes in 24 hours the mechanism locks; 10 when not set.
    pub otp_wrong_per_day: usize,
    /// `REVOCATION_FEED`: who may read the revocation feed; `public` when not set.
    pub feed: FeedMode,
    /// A dummy record and a dummy sealed seed, so that an unknown client costs the same work as a known one.
    pub dummy_client: String,
    pub dummy_seed: String,
}

/// Who may read the revocation feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedMode {
    Public,
    /// Callers whose token holds `tokens:introspect`.
    Private,
    /// There is no feed, and nothing is reported to it.
    Off,
}

impl Settings {
    pub fn has_feed(&self) -> bool {
        self.feed != FeedMode::Off
    }

    /// Parses the settings. `lookup` returns the value of a variable or secret.
    pub fn read(lookup: impl Fn(&'static str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let required = |setting: &'static str| lookup(setting)?.ok_or_else(|| wrong(setting, "is missing"));
        let keys = KeySet::parse(&required("AUTH_KEYS")?).map_err(|error| wrong("AUTH_KEYS", &error.to_string()))?;
        let issuer = required("ISSUER")?;
        if !is_origin_url(&issuer) {
            return Err(wrong(
                "ISSUER",
                "must be an https URL without query, fragment or trailing slash (http for a loopback host), and not contain REPLACE",
            ));
        }
        let audience = required("AUDIENCE")?;
        for (setting, value) in [("ISSUER", &issuer), ("AUDIENCE", &audience)] {
            if value.len() > MAX_NAME {
                return Err(wrong(setting, "must not be longer than 512 bytes"));
            }
        }
        if audience.is_empty() || is_placeholder(&audience) {
            return Err(wrong(
                "AUDIENCE",
                "must name the API that receives short-term tokens, and not contain REPLACE",
            ));
        }
        let base_path = lookup("BASE_PATH")?.unwrap_or_else(|| "/v1".to_owned());
        if !base_path.is_empty() && !is_path(&base_path) {
            return Err(wrong("BASE_PATH", "must be empty, or start with a slash and not end with one, such as /v1"));
        }
        let number = |setting: &'static str, default: u64, range: core::ops::RangeInclusive<u64>| match lookup(setting)?
        {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
                wrong(setting, &format!("must be a whole number from {} to {}", range.start(), range.end()))
            }),
        };
        let operator = lookup("OPERATOR")?.map(|json| Operator::parse(&json));
        let operator = operator.transpose().map_err(|problem| wrong("OPERATOR", &problem))?;
        let default_consistency = match lookup("DEFAULT_CONSISTENCY")? {
            None => Consistency::Eventual,
            Some(name) => Consistency::parse(&name)
                .ok_or_else(|| wrong("DEFAULT_CONSISTENCY", "must be eventual or immediate"))?,
        };
        let feed = match lookup("REVOCATION_FEED")?.as_deref() {
            None | Some("public") => FeedMode::Public,
            Some("private") => FeedMode::Private,
            Some("off") => FeedMode::Off,
            Some(_) => return Err(wrong("REVOCATION_FEED", "must be public, private or off")),
        };
        let otp_wrong_per_day = match lookup("OTP_WRONG_PER_DAY")? {
            None => 10,
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (5..=1000).contains(number))
                .ok_or_else(|| wrong("OTP_WRONG_PER_DAY", "must be a whole number from 5 to 1000"))?,
        };
        let dummy_seed = keys
            .seal("", &Secret::new([0; otp::SEED_LENGTH]), [0; 24])
            .ok_or_else(|| wrong("AUTH_KEYS", "has a totp-seal key that can't encrypt"))?;
        Ok(Self {
            dummy_client: dummy_client(&dummy_seed),
            dummy_seed,
            operator,
            default_consistency,
            otp_wrong_per_day,
            feed,
            keys,
            issuer,
            audience,
            base_path,
            rotation_grace: number("ROTATION_GRACE_SECONDS", 86_400, 0..=7_776_000)?,
            rate_limit_period: number("RATE_LIMIT_PERIOD_SECONDS", 60, 1..=3_600)?,
        })
    }

    /// Whether this is the client of the secret `OPERATOR`.
    pub fn is_first_operator(&self, client_id: &str) -> bool {
        self.operator.as_ref().is_some_and(|operator| operator.client_id == client_id)
    }

    /// Host and port of the issuer.
    pub fn host_name(&self) -> &str {
        self.origin().rsplit('/').next().unwrap_or_default()
    }

    /// Scheme, host and port of the issuer.
    pub fn origin(&self) -> &str {
        origin_of(&self.issuer)
    }

    /// Refuses a request to a non-loopback host if the issuer is a loopback URL: that is a deployment running with the
    /// settings of a developer's machine.
    pub fn check_origin(&self, origin: &str) -> Result<(), Error> {
        if is_loopback(self.origin()) && !is_loopback(origin) {
            return Err(wrong(
                "ISSUER",
                "is a loopback URL, but the request is for another host; set it to the deployment's https URL",
            ));
        }
        Ok(())
    }

    /// Whether this is the path of the metadata: the issuer's own path comes last (RFC 8414, section 3.1).
    pub fn is_metadata_path(&self, path: &str) -> bool {
        path.strip_prefix("/.well-known/oauth-authorization-server") == Some(&self.issuer[self.origin().len()..])
    }

    /// Whether an assertion with this `aud` is for this service: it names the issuer, or the endpoint's URL (RFC 7523,
    /// section 3). The request's `origin` counts only if it and the issuer are loopback, where the port varies.
    pub fn is_assertion_audience(&self, audience: &str, origin: &str) -> bool {
        let is_endpoint = |origin: &str| {
            audience.strip_prefix(origin).and_then(|rest| rest.strip_prefix(self.base_path.as_str())) == Some(LONG_PATH)
        };
        let own_origin = self.origin();
        audience == self.issuer
            || is_endpoint(own_origin)
            || (is_loopback(own_origin) && is_loopback(origin) && is_endpoint(origin))
    }
}

fn wrong(setting: &'static str, problem: &str) -> Error {
    Error::Misconfigured { setting: setting.into(), problem: problem.to_owned() }
}

/// A record of typical size.
fn dummy_client(seed: &str) -> String {
    let mut client = Client::new("c2m_dummy", Scopes::parse_claim("jobs:* templates:read").unwrap_or_default(), 0);
    client.secrets = vec![StoredSecret::new("sec_dummy", &Secret::new(""), [0; 16], 0)];
    client.totp = Some(seed.to_owned());
    serde_json::to_string(&client).unwrap_or_default()
}

fn is_origin_url(url: &str) -> bool {
    let origin = origin_of(url);
    let scheme_fits = url.starts_with("https://") || is_loopback(origin);
    let host = origin.rsplit('/').next().unwrap_or_default();
    let plain = url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte));
    scheme_fits && plain && !host.is_empty() && !url.ends_with('/') && !is_placeholder(url)
}

/// Whether a value from wrangler.toml still has its placeholder. (This and `origin_of` avoid substring search, which is
/// 4 KB of WASM that every fresh isolate would compile.)
fn is_placeholder(text: &str) -> bool {
    text.as_bytes().windows(7).any(|part| part == b"REPLACE")
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.split('/').skip(1).all(|segment| {
            !["", ".", ".."].contains(&segment)
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        })
}

/// Scheme, host and port of a URL.
pub fn origin_of(url: &str) -> &str {
    let host = url.find(':').filter(|at| url[*at..].starts_with("://")).map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const KEYS: &str = r#"{"keys":[
        {"kty":"oct","use":"lt+jwt","kid":"l","alg":"HS256","k":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"},
        {"kty":"OKP","crv":"Ed25519","use":"at+jwt","kid":"s","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
        {"kty":"oct","use":"token-id","kid":"i","alg":"HS256","k":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"},
        {"kty":"oct","use":"totp-seal","kid":"t","alg":"XC20P","k":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}]}"#;

    fn read(changes: &[(&str, Option<&str>)]) -> Result<Settings, Error> {
        Settings::read(|name| {
            if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
                return Ok(value.map(str::to_owned));
            }
            Ok(match name {
                "AUTH_KEYS" => Some(KEYS.to_owned()),
                "ISSUER" => Some("https://auth.example.com".to_owned()),
                "AUDIENCE" => Some("https://api.example.com".to_owned()),
                _ => None,
            })
        })
    }

    pub(crate) fn settings() -> Settings {
        read(&[]).unwrap()
    }

    #[test]
    fn defaults() {
        let settings = read(&[]).unwrap();
        assert_eq!(
            (settings.base_path.as_str(), settings.rotation_grace, settings.rate_limit_period),
            ("/v1", 86_400, 60)
        );
    }

    #[test]
    fn a_fault_names_its_setting() {
        for (setting, value) in [
            ("AUTH_KEYS", None),
            ("AUTH_KEYS", Some("")),
            ("AUTH_KEYS", Some("{}")),
            ("ISSUER", None),
            ("ISSUER", Some("")),
            ("ISSUER", Some("auth.example.com")),
            ("ISSUER", Some("http://auth.example.com")),
            ("ISSUER", Some("http://127.0.0.1.example.com")),
            ("ISSUER", Some("http://localhost:80@example.com")),
            ("ISSUER", Some("https://")),
            ("ISSUER", Some("https://auth.example.com/")),
            ("ISSUER", Some("https://auth.example.com?x")),
            ("ISSUER", Some("https://auth.example.com/<script>")),
            ("ISSUER", Some("https://REPLACE-ME.example")),
            ("AUDIENCE", None),
            ("AUDIENCE", Some("")),
            ("AUDIENCE", Some("https://api.REPLACE.example")),
            ("BASE_PATH", Some("v1")),
            ("BASE_PATH", Some("/")),
            ("BASE_PATH", Some("/v1/")),
            ("BASE_PATH", Some("//v1")),
            ("BASE_PATH", Some("/..")),
            ("ROTATION_GRACE_SECONDS", Some("")),
            ("ROTATION_GRACE_SECONDS", Some("-1")),
            ("ROTATION_GRACE_SECONDS", Some("1e3")),
            ("RATE_LIMIT_PERIOD_SECONDS", Some("minute")),
            ("RATE_LIMIT_PERIOD_SECONDS", Some("0")),
        ] {
            let Err(Error::Misconfigured { setting: named, .. }) = read(&[(setting, value)]) else {
                panic!("{setting} {value:?}")
            };
            assert_eq!(named, setting, "{value:?}");
        }
    }

    #[test]
    fn base_paths() {
        for path in ["", "/v1", "/v2", "/api/v1"] {
            assert_eq!(read(&[("BASE_PATH", Some(path))]).unwrap().base_path, path);
        }
    }

    #[test]
    fn the_audience_of_an_assertion() {
        let settings = read(&[("ISSUER", Some("https://auth.example.com/tenant"))]).unwrap();
        let fits = |audience: &str| settings.is_assertion_audience(audience, "http://localhost:8787");
        assert!(fits("https://auth.example.com/tenant"));
        assert!(fits("https://auth.example.com/v1/auth/tokens/long"));
        for other in [
            "",
            "https://auth.example.com",
            "https://auth.example.com/v1/auth/tokens/short",
            "http://localhost:8787/v1/auth/tokens/long",
            "https://auth.example.com/v1/auth/tokens/long/",
        ] {
            assert!(!fits(other), "{other}");
        }
    }

    #[test]
    fn a_loopback_issuer_accepts_any_loopback_origin() {
        let settings = read(&[("ISSUER", Some("http://127.0.0.1:8787"))]).unwrap();
        for origin in ["http://127.0.0.1:8787", "http://localhost:9000", "http://[::1]:80", "http://localhost"] {
            assert_eq!(settings.check_origin(origin), Ok(()), "{origin}");
        }
        for origin in ["https://auth.example.com", "http://10.0.0.1:8787", "http://localhost.example.com", ""] {
            assert!(settings.check_origin(origin).is_err(), "{origin}");
        }
        assert_eq!(read(&[]).unwrap().check_origin("http://10.0.0.1"), Ok(()));
        assert!(settings.is_assertion_audience("http://localhost:9000/v1/auth/tokens/long", "http://localhost:9000"));
        assert!(settings.is_assertion_audience("http://[::1]:9000/v1/auth/tokens/long", "http://[::1]:9000"));
        for evil in [
            "http://evil.example",
            "https://localhost:9000",
            "http://localhost.evil.example",
            "http://127.0.0.1:evil.example",
        ] {
            assert!(!settings.is_assertion_audience(&format!("{evil}/v1/auth/tokens/long"), evil), "{evil}");
        }
    }
}
