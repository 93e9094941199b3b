//! Expressions over claims and users.
//!
//! Upstream: `apiserver/pkg/authentication/cel`, `apiserver/plugin/pkg/authenticator/token/oidc`.

use apiserver_registry::UserInfo;
use cel::{Bindings, Budget, Environment, Program, Type};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An expression that gives text, lists of text, or a verdict.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Program>);

/// A condition, and what is said when it does not hold.
#[derive(Clone, Debug)]
pub struct Condition {
    expression: Expression,
    message: String,
}

const CLAIMS: &str = "claims";
const USER: &str = "user";

impl Expression {
    /// An expression over `claims`.
    pub(super) fn over_claims(source: &str) -> Result<Self, String> {
        let environment = Environment::new().with(CLAIMS, Type::map(Type::Dyn));
        let program = cel::compile(source, &environment).map_err(|error| error.reason())?;
        Ok(Self(Arc::new(program)))
    }

    fn over_user(source: &str) -> Result<Self, String> {
        let texts = || Type::list(Type::String);
        let fields =
            [("username", Type::String), ("uid", Type::String), ("groups", texts()), ("extra", Type::map(texts()))];
        let environment = Environment::new().with(USER, Type::record("kubernetes.UserInfo", fields));
        let program = cel::compile(source, &environment).map_err(|error| error.reason())?;
        Ok(Self(Arc::new(program)))
    }

    /// Whether it reads this claim by its name.
    pub(super) fn reads(&self, claim: &str) -> bool {
        self.0.selects(CLAIMS, claim)
    }

    /// The text that it gives.
    pub(super) fn text(&self, what: &str, claims: &Value) -> Result<String, String> {
        let wrong = |why: String| format!("error evaluating {what} claim expression: {why}");
        self.run(CLAIMS, claims, |value| value.as_str().map(str::to_owned))
            .and_then(|text| text.ok_or_else(|| format!("{what} claim expression must return a string")))
            .map_err(wrong)
    }

    /// The texts that it gives; nothing, empty text and `null` are none.
    pub(super) fn texts(&self, claims: &Value) -> Result<Vec<String>, String> {
        let texts = self.run(CLAIMS, claims, |value| {
            let mut texts: Vec<String> = match (value.as_str(), value.as_list()) {
                (Some(text), _) => vec![text.to_owned()],
                (None, Some(list)) => {
                    list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?
                }
                (None, None) if value.type_name() == "null_type" => Vec::new(),
                (None, None) => return None,
            };
            texts.retain(|text| !text.is_empty());
            Some(texts)
        })?;
        texts.ok_or_else(|| "expression must return a string or a list of strings".to_owned())
    }

    /// Evaluates it and takes out of the value what is wanted.
    fn run<T>(&self, name: &str, over: &Value, take: impl FnOnce(&cel::Value<'_>) -> T) -> Result<T, String> {
        let bindings = Bindings::new().with(name, cel::Value::json(over));
        let value = cel::evaluate(&self.0, &bindings, &mut Budget::per_call());
        let wrong = |error| format!("expression '{}' resulted in error: {error}", self.0.source());
        Ok(take(&value.map_err(wrong)?))
    }
}

impl Condition {
    /// A condition over `claims`.
    pub(super) fn over_claims(source: &str, message: String) -> Result<Self, String> {
        Self::new(Expression::over_claims(source)?, message)
    }

    /// A condition over `user`.
    pub(super) fn over_user(source: &str, message: String) -> Result<Self, String> {
        Self::new(Expression::over_user(source)?, message)
    }

    fn new(expression: Expression, message: String) -> Result<Self, String> {
        match expression.0.result_type() {
            Type::Bool => Ok(Self { expression, message }),
            _ => Err("must evaluate to bool".to_owned()),
        }
    }

    /// Whether it reads this claim by its name.
    pub(super) fn reads(&self, claim: &str) -> bool {
        self.expression.reads(claim)
    }

    fn check(&self, name: &str, over: &Value) -> Result<(), String> {
        match self.expression.run(name, over, |value| value.as_bool())? {
            Some(true) => Ok(()),
            Some(false) => {
                let source = self.expression.0.source();
                Err(format!("validation expression '{source}' failed: {}", self.message))
            }
            None => Err("validation expression must return a boolean".to_owned()),
        }
    }
}

/// Whether all conditions over claims hold.
pub(super) fn check_claims(conditions: &[Condition], claims: &Value) -> Result<(), String> {
    let wrong = |why| format!("error evaluating claim validation expression: {why}");
    conditions.iter().try_for_each(|condition| condition.check(CLAIMS, claims)).map_err(wrong)
}

/// Whether all conditions over the user hold.
pub(super) fn check_user(conditions: &[Condition], user: &UserInfo) -> Result<(), String> {
    if conditions.is_empty() {
        return Ok(());
    }
    let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
    let view = json!({"username": user.name, "uid": user.uid, "groups": user.groups, "extra": extra});
    let wrong = |why| format!("error evaluating user info validation rule: {why}");
    conditions.iter().try_for_each(|condition| condition.check(USER, &view)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_of_claims() {
        let claims = json!({"sub": "a", "roles": ["x", "", "y"], "none": null, "n": 1});
        for (source, want) in [
            ("claims.sub", Ok(vec!["a"])),
            ("claims.roles.map(r, r == '' ? r : 'g:' + r)", Ok(vec!["g:x", "g:y"])),
            ("claims.none", Ok(vec![])),
            ("claims.?missing.orValue('')", Ok(vec![])),
            ("claims.n", Err("must return a string or a list of strings")),
            ("[claims.n]", Err("must return a string or a list of strings")),
            ("claims.missing", Err("expression 'claims.missing' resulted in error: no such key: missing")),
        ] {
            let got = Expression::over_claims(source).expect("compiles").texts(&claims);
            match (got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{source}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{source}: {got}"),
                (got, want) => panic!("{source}: {got:?}, not {want:?}"),
            }
        }
        assert!(Expression::over_claims("claims.").is_err());
    }

    #[test]
    fn conditions_say_what_does_not_hold() {
        let short = Condition::over_claims("claims.exp - claims.nbf <= 60", "lives too long".into()).expect("compiles");
        let claims = json!({"exp": 100, "nbf": 10});
        let why = check_claims(&[short], &claims).expect_err("too long");
        assert_eq!(
            why,
            "error evaluating claim validation expression: validation expression 'claims.exp - claims.nbf <= 60' failed: lives too long"
        );
        let ours = Condition::over_user("!user.username.startsWith('system:')", String::new()).expect("compiles");
        let user = |name: &str| UserInfo { name: name.into(), ..UserInfo::default() };
        assert_eq!(check_user(std::slice::from_ref(&ours), &user("a")), Ok(()));
        assert!(check_user(&[ours], &user("system:admin")).is_err());
        assert_eq!(Condition::over_claims("claims.sub", String::new()).err().as_deref(), Some("must evaluate to bool"));
        assert!(Condition::over_user("user.nonesuch == ''", String::new()).is_err());
    }
}
