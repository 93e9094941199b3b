//! `matchConditions` of a webhook: which requests it is asked about.
//!
//! Upstream: `apiserver/pkg/authorization/cel`.

use super::Attributes;
use apiserver_registry::UserInfo;
use cel::{Bindings, Budget, Environment, Program, Type};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Conditions of one webhook, as upstream.
pub const MAX_CONDITIONS: usize = 64;

/// Conditions that all have to hold; none always do.
#[derive(Clone, Debug, Default)]
pub struct MatchConditions(Vec<Arc<Program>>);

impl MatchConditions {
    /// Compiles conditions. An error comes with the position of its condition.
    pub fn compile<'a>(sources: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, String)> {
        let environment = environment();
        let one = |(at, source)| match cel::compile(source, &environment) {
            Ok(program) if matches!(program.result_type(), Type::Bool) => Ok(Arc::new(program)),
            Ok(program) => Err((at, format!("must evaluate to bool but got {}", program.result_type()))),
            Err(error) => Err((at, error.reason())),
        };
        sources.into_iter().enumerate().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether all hold. One that does not outweighs those that fail.
    pub(super) fn hold(&self, user: &UserInfo, asked: &Attributes<'_>, selectors: &Value) -> Result<bool, String> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let request = request(user, asked, selectors);
        let bindings = Bindings::new().with("request", cel::Value::json(&request));
        let mut errors = Vec::new();
        for program in &self.0 {
            match cel::evaluate(program, &bindings, &mut Budget::per_call()).map(|value| value.as_bool()) {
                Ok(Some(true)) => {}
                Ok(_) => return Ok(false),
                Err(error) => errors.push(format!(
                    "cel evaluation error: expression '{}' resulted in error: {error}",
                    program.source()
                )),
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(errors.join(", ")) }
    }
}

fn environment() -> Environment {
    let texts = || Type::list(Type::String);
    let requirement = || {
        Type::record(
            "kubernetes.SelectorRequirement",
            [("key", Type::String), ("operator", Type::String), ("values", texts())],
        )
    };
    let selector =
        |name: &str| Type::record(name, [("rawSelector", Type::String), ("requirements", Type::list(requirement()))]);
    let mut resource: Vec<(&str, Type)> = ["namespace", "verb", "group", "version", "resource", "subresource", "name"]
        .map(|name| (name, Type::String))
        .into();
    resource.push(("fieldSelector", selector("kubernetes.FieldSelectorAttributes")));
    resource.push(("labelSelector", selector("kubernetes.LabelSelectorAttributes")));
    let path = [("path", Type::String), ("verb", Type::String)];
    let request = [
        ("resourceAttributes", Type::record("kubernetes.ResourceAttributes", resource)),
        ("nonResourceAttributes", Type::record("kubernetes.NonResourceAttributes", path)),
        ("user", Type::String),
        ("groups", texts()),
        ("extra", Type::map(texts())),
        ("uid", Type::String),
    ];
    Environment::new().with("request", Type::record("kubernetes.SubjectAccessReviewSpec", request))
}

/// A review's spec with all members of text, empty ones too. `selectors` is the review's own
/// `resourceAttributes`, whose selectors are taken over.
fn request(user: &UserInfo, asked: &Attributes<'_>, selectors: &Value) -> Value {
    let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
    let mut request = json!({"user": user.name, "uid": user.uid, "groups": user.groups, "extra": extra});
    if !asked.is_resource {
        request["nonResourceAttributes"] = json!({"path": asked.path, "verb": asked.verb});
        return request;
    }
    let mut resource = json!({
        "namespace": asked.namespace, "verb": asked.verb, "group": asked.group, "version": asked.version,
        "resource": asked.resource, "subresource": asked.subresource, "name": asked.name,
    });
    for selector in ["fieldSelector", "labelSelector"] {
        if let Some(given) = selectors.get(selector) {
            resource[selector] = given.clone();
        }
    }
    request["resourceAttributes"] = resource;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_look_at_the_request() {
        let user = UserInfo { name: "a".into(), groups: vec!["dev".into()], ..UserInfo::default() };
        let pods =
            Attributes { verb: "list", is_resource: true, version: "v1", resource: "pods", ..Attributes::default() };
        let path = Attributes { verb: "get", path: "/x", ..Attributes::default() };
        let selectors = json!({"labelSelector": {"requirements": [{"key": "app", "operator": "In", "values": ["b"]}]}});
        for (sources, asked, want) in [
            (&[][..], &pods, Ok(true)),
            (&["has(request.resourceAttributes)"], &pods, Ok(true)),
            (&["has(request.resourceAttributes)"], &path, Ok(false)),
            (&["request.resourceAttributes.namespace == ''", "request.user == 'a'"], &pods, Ok(true)),
            (&["request.resourceAttributes.verb == 'list'"], &path, Err("no such key: resourceAttributes")),
            (&["request.resourceAttributes.verb == 'list'", "request.user == 'b'"], &path, Ok(false)),
            (&["!('dev' in request.groups)"], &pods, Ok(false)),
            (&["request.resourceAttributes.labelSelector.requirements.exists(r, r.key == 'app')"], &pods, Ok(true)),
        ] {
            let conditions = MatchConditions::compile(sources.iter().copied()).expect("compiles");
            match (conditions.hold(&user, asked, &selectors), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{sources:?}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
                (got, want) => panic!("{sources:?}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_condition_is_named() {
        for (source, want) in [
            ("request.user", "must evaluate to bool but got string"),
            ("request.nonesuch == ''", "compilation failed: "),
            ("object == ''", "compilation failed: "),
        ] {
            let (at, why) = MatchConditions::compile(["true", source]).expect_err("refused");
            assert!(at == 1 && why.starts_with(want), "{at} {why}");
        }
    }
}
