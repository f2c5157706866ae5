//! Texts and tokens that are almost valid: one letter in the other case, no signature, a changed claim.

use crate::jose;
use crate::stop::Stop;

/// Changes the case of the first letter.
pub fn recased(text: &str) -> Result<String, Stop> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| {
        Stop::Absent("the value to change has no letter, so its upper and lower case do not differ".to_owned())
    })?;
    Ok(text
        .char_indices()
        .map(|(i, c)| match c {
            c if i != at => c,
            c if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            c => c.to_ascii_lowercase(),
        })
        .collect())
}

fn parts(token: &str) -> Result<jose::Jwt, Stop> {
    jose::Jwt::read(token)
        .ok_or_else(|| Stop::Blocked("the server's token is not a JWT, so no forged JWT can be made from it".into()))
}

pub fn unsigned(token: &str) -> Result<String, Stop> {
    let mut jwt = parts(token)?;
    jwt.header["alg"] = "none".into();
    Ok(format!("{}.", jose::signing_input(&jwt.header, &jwt.claims)))
}

/// A later `exp` under the old signature.
pub fn extended(token: &str) -> Result<String, Stop> {
    let mut jwt = parts(token)?;
    let end = jwt.claims["exp"].as_u64().unwrap_or(0);
    jwt.claims["exp"] = end.saturating_add(60).into();
    let signature = token.rsplit('.').next().unwrap_or_default();
    Ok(format!("{}.{signature}", jose::signing_input(&jwt.header, &jwt.claims)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A server may put anything into its own token.
    #[test]
    fn any_exp_is_extended() {
        let token =
            |exp: Value| format!("{}.AAAA", jose::signing_input(&json!({"alg": "EdDSA"}), &json!({ "exp": exp })));
        for (exp, extended_to) in [(json!(5), 65), (json!(u64::MAX), u64::MAX), (json!("x"), 60)] {
            let jwt = extended(&token(exp)).ok().and_then(|text| jose::Jwt::read(&text));
            assert_eq!(jwt.unwrap().claims["exp"], extended_to);
        }
    }
}
