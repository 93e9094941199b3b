//! From claims to a user.

use super::config::{Issuer, Mapping, Origin};
use super::expressions;
use crate::authentication::AUTHENTICATED;
use apiserver_registry::UserInfo;
use serde_json::{Map, Value};

type Claims = Map<String, Value>;

/// Whether the token is for us, in time, and has what it must.
pub(super) fn check(issuer: &Issuer, claims: &Claims, now: i64) -> Result<(), String> {
    let audiences = strings(claims.get("aud")).unwrap_or_default();
    if !audiences.iter().any(|a| issuer.audiences.contains(a)) {
        return Err(format!("oidc: expected audience {:?} got {audiences:?}", issuer.audiences));
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|t| t as i64);
    match time("exp") {
        Some(expiry) if expiry > now => {}
        expiry => return Err(format!("oidc: token is expired (Token Expiry: {})", expiry.unwrap_or_default())),
    }
    // Clocks differ by up to five minutes, as upstream's library has it.
    if let Some(start) = time("nbf")
        && start > now + 300
    {
        return Err(format!("oidc: current time {now} before the nbf (not before) time: {start}"));
    }
    for (claim, want) in &issuer.required_claims {
        match claims.get(claim).and_then(Value::as_str) {
            Some(value) if value == want => {}
            Some(value) => {
                return Err(format!("oidc: required claim {claim} value does not match. Got = {value}, want = {want}"));
            }
            None => return Err(format!("oidc: required claim {claim} not present in ID token")),
        }
    }
    Ok(())
}

/// The user of checked claims.
pub(super) fn user(issuer: &Issuer, claims: &Claims) -> Result<UserInfo, String> {
    // Only expressions need all claims as one value.
    let all = || Value::Object(claims.clone());
    let name = match &issuer.username {
        Origin::Claim(mapping) => user_name(mapping, claims)?,
        Origin::Expression(expression) => match expression.text("username", &all())? {
            empty if empty.is_empty() => return Err("empty username via CEL expression is not allowed".into()),
            name => name,
        },
    };
    let groups = match &issuer.groups {
        Some(Origin::Claim(mapping)) => group_names(mapping, claims)?,
        Some(Origin::Expression(expression)) => {
            let wrong = |why| format!("error evaluating group claim expression: {why}");
            expression.texts(&all()).map_err(wrong)?
        }
        None => Vec::new(),
    };
    let uid = match &issuer.uid {
        Some(Origin::Claim(claim)) => match claims.get(claim).and_then(Value::as_str) {
            Some(uid) => uid.to_owned(),
            None => return Err(format!("parse uid claim {claim:?}: claim not present")),
        },
        Some(Origin::Expression(expression)) => expression.text("uid", &all())?,
        None => String::new(),
    };
    let mut extra = std::collections::BTreeMap::new();
    if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("JTI={id}")]);
    }
    for (key, expression) in &issuer.extra {
        let wrong = |why| format!("error evaluating extra claim expression: {key}: {why}");
        let values = expression.texts(&all()).map_err(wrong)?;
        if !values.is_empty() {
            extra.insert(key.clone(), values);
        }
    }
    if !issuer.claim_rules.is_empty() {
        expressions::check_claims(&issuer.claim_rules, &all())?;
    }
    let mut user = UserInfo { name, uid, groups, extra };
    expressions::check_user(&issuer.user_rules, &user)?;
    // What is added to every user is no business of the rules.
    user.groups.push(AUTHENTICATED.into());
    Ok(user)
}

fn user_name(name: &Mapping, claims: &Claims) -> Result<String, String> {
    let value =
        claims.get(&name.claim).ok_or_else(|| format!("parse username claims {:?}: claim not present", name.claim))?;
    let value = value.as_str().ok_or_else(|| format!("parse username claims {:?}: not a string", name.claim))?;
    // An address that nobody has checked proves nothing.
    if name.claim == "email"
        && let Some(verified) = claims.get("email_verified")
        && verified != &Value::Bool(true)
    {
        return Err("email not verified".into());
    }
    if value.is_empty() {
        return Err("username claim value is empty".into());
    }
    Ok(format!("{}{value}", name.prefix))
}

fn group_names(mapping: &Mapping, claims: &Claims) -> Result<Vec<String>, String> {
    let Some(value) = claims.get(&mapping.claim) else { return Ok(Vec::new()) };
    let names = strings(Some(value)).ok_or_else(|| {
        format!("parse groups claim {:?}: json: cannot unmarshal into a list of strings", mapping.claim)
    })?;
    Ok(names.iter().map(|name| format!("{}{name}", mapping.prefix)).collect())
}

/// A string or a list of them.
fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(list) => list.iter().map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::oidc::{Condition, Expression};
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    fn issuer() -> Issuer {
        let mapping = |claim: &str, prefix: &str| Mapping { claim: claim.into(), prefix: prefix.into() };
        Issuer {
            url: "https://issuer".into(),
            discovery_url: "https://issuer/.well-known/openid-configuration".into(),
            authorities: None,
            audiences: vec!["kubernetes".into()],
            algorithms: vec![Algorithm::RS256],
            username: Origin::Claim(mapping("email", "oidc:")),
            groups: Some(Origin::Claim(mapping("roles", "g:"))),
            uid: None,
            extra: Vec::new(),
            required_claims: vec![("hd".into(), "example.com".into())],
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
        }
    }

    fn claims(changes: Value) -> Claims {
        let mut claims = json!({"iss": "https://issuer", "aud": ["kubernetes"], "exp": 2000, "hd": "example.com",
            "email": "a@example.com", "email_verified": true, "roles": ["dev", "ops"], "jti": "1"});
        for (key, value) in changes.as_object().into_iter().flatten() {
            claims[key] = value.clone();
        }
        claims.as_object().cloned().expect("an object")
    }

    #[test]
    fn tokens_are_checked() {
        for (changes, want) in [
            (json!({}), None),
            (json!({"aud": "kubernetes"}), None),
            (json!({"aud": "other"}), Some("oidc: expected audience")),
            (json!({"exp": 900}), Some("oidc: token is expired")),
            (json!({"exp": null}), Some("oidc: token is expired")),
            (json!({"nbf": 1400}), Some("oidc: current time")),
            (json!({"hd": "other"}), Some("oidc: required claim hd value does not match")),
            (json!({"hd": null}), Some("oidc: required claim hd not present")),
        ] {
            let got = check(&issuer(), &claims(changes.clone()), 1000).err();
            assert_eq!(got.is_some(), want.is_some(), "{changes}");
            assert!(got.unwrap_or_default().starts_with(want.unwrap_or_default()), "{changes}");
        }
    }

    #[test]
    fn expressions_name_a_user() {
        let expression = |source: &str| Expression::over_claims(source).expect("compiles");
        let rule = |source: &str| Condition::over_user(source, "reserved".into()).expect("compiles");
        let issuer = Issuer {
            username: Origin::Expression(expression("'oidc:' + claims.email")),
            groups: Some(Origin::Expression(expression("claims.roles.filter(r, r != 'ops')"))),
            uid: Some(Origin::Expression(expression("claims.hd"))),
            extra: vec![("example.com/roles".into(), expression("claims.roles"))],
            claim_rules: vec![Condition::over_claims("claims.hd != ''", "hd".into()).expect("compiles")],
            user_rules: vec![rule("!user.groups.exists(g, g.startsWith('system:'))")],
            ..issuer()
        };
        let found = user(&issuer, &claims(json!({}))).expect("a user");
        assert_eq!((found.name.as_str(), found.uid.as_str()), ("oidc:a@example.com", "example.com"));
        assert_eq!(found.groups, ["dev", AUTHENTICATED]);
        assert_eq!(found.extra["example.com/roles"], ["dev", "ops"]);
        for (changes, want) in [
            (json!({"roles": ["system:masters"]}), "error evaluating user info validation rule: validation expression"),
            (json!({"roles": 7}), "error evaluating group claim expression: "),
            (json!({"hd": ""}), "error evaluating claim validation expression: "),
        ] {
            let error = user(&issuer, &claims(changes)).expect_err("no user");
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn claims_name_a_user() {
        let found = user(&issuer(), &claims(json!({}))).expect("a user");
        assert_eq!(found.name, "oidc:a@example.com");
        assert_eq!(found.groups, ["g:dev", "g:ops", AUTHENTICATED]);
        assert_eq!(user(&issuer(), &claims(json!({"roles": "one"}))).expect("a user").groups[0], "g:one");
        for (changes, want) in [
            (json!({"email_verified": false}), "email not verified"),
            (json!({"email": ""}), "username claim value is empty"),
            (json!({"email": 1}), "parse username claims \"email\": not a string"),
            (json!({"roles": 1}), "parse groups claim \"roles\""),
        ] {
            let error = user(&issuer(), &claims(changes.clone())).expect_err("no user");
            assert!(error.starts_with(want), "{error}");
        }
    }
}
