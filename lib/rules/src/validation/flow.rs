//! Flow control: which requests belong to which priority level, and how many of one are served.
//!
//! Upstream: `pkg/apis/flowcontrol/validation/validation.go`, and the objects that must not change of
//! `pkg/apis/flowcontrol/bootstrap`.

mod levels;
mod rules;

pub(super) use levels::priority_level;

use super::check::{At, Report, same};
use super::names::subdomain;
use super::printed::{Form, Member, Printed};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use std::sync::LazyLock;

const SPEC: At<'static> = At::root("spec");
const MAX_PRECEDENCE: i64 = 10_000;

/// The specs of the two schemas that always are.
static MANDATORY: LazyLock<[(&str, Value); 2]> = LazyLock::new(|| {
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let all = |subjects: Vec<Value>| {
        json!([{"subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}])
    };
    let exempt = json!({"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1,
        "rules": all(vec![group("system:masters")])});
    let catch_all = json!({"priorityLevelConfiguration": {"name": "catch-all"}, "matchingPrecedence": 10_000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": all(vec![group("system:unauthenticated"), group("system:authenticated")])});
    [("exempt", exempt), ("catch-all", catch_all)]
});

/// A schema's spec in upstream's print.
const SCHEMA: &[Member] = &[
    ("PriorityLevelConfiguration", "priorityLevelConfiguration", Form::Struct(NAMED)),
    ("MatchingPrecedence", "matchingPrecedence", Form::Number),
    ("DistinguisherMethod", "distinguisherMethod", Form::Optional(METHOD)),
    (
        "Rules",
        "rules",
        Form::Structs(&[
            ("Subjects", "subjects", Form::Structs(SUBJECT)),
            ("ResourceRules", "resourceRules", Form::Structs(RESOURCES)),
            ("NonResourceRules", "nonResourceRules", Form::Structs(URLS)),
        ]),
    ),
];

const NAMED: &[Member] = &[("Name", "name", Form::Text)];

const METHOD: &[Member] = &[("Type", "type", Form::Text)];

const SUBJECT: &[Member] = &[
    ("Kind", "kind", Form::Text),
    ("User", "user", Form::Optional(NAMED)),
    ("Group", "group", Form::Optional(NAMED)),
    (
        "ServiceAccount",
        "serviceAccount",
        Form::Optional(&[("Namespace", "namespace", Form::Text), ("Name", "name", Form::Text)]),
    ),
];

const RESOURCES: &[Member] = &[
    ("Verbs", "verbs", Form::Plain),
    ("APIGroups", "apiGroups", Form::Plain),
    ("Resources", "resources", Form::Plain),
    ("ClusterScope", "clusterScope", Form::Flag),
    ("Namespaces", "namespaces", Form::Plain),
];

const URLS: &[Member] = &[("Verbs", "verbs", Form::Plain), ("NonResourceURLs", "nonResourceURLs", Form::Plain)];

/// A flow schema.
pub(super) fn schema(schema: &Value, out: &mut Report) {
    let spec = schema.at("spec").unwrap_or(&Value::Null);
    schema_spec(schema.name(), spec, out);
    if let Some((name, fixed)) = MANDATORY.iter().find(|(name, _)| *name == schema.name())
        && !same(Some(spec), Some(fixed))
    {
        let shown = Printed(Some(spec), Form::Struct(SCHEMA));
        out.invalid(&SPEC, shown, format!("spec of '{name}' must equal the fixed value"));
    }
    status(schema, out);
}

fn schema_spec(name: &str, spec: &Value, out: &mut Report) {
    let precedence = spec.int("matchingPrecedence");
    let at = SPEC.child("matchingPrecedence");
    if precedence <= 0 {
        out.invalid(&at, precedence, "must be a positive value");
    }
    if precedence > MAX_PRECEDENCE {
        out.invalid(&at, precedence, format!("must not be greater than {MAX_PRECEDENCE}"));
    }
    if precedence == 1 && name != "exempt" {
        out.invalid(&at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    const METHODS: [&str; 2] = ["ByNamespace", "ByUser"];
    if let Some(method) = spec.at("distinguisherMethod").filter(|m| !METHODS.contains(&m.text("type"))) {
        let shown = Printed(Some(method), Form::Struct(METHOD));
        out.not_supported(&SPEC.child("distinguisherMethod").child("type"), shown, &METHODS);
    }
    let level = SPEC.child("priorityLevelConfiguration");
    let name = spec.at("priorityLevelConfiguration").map_or("", |level| level.text("name"));
    match name {
        "" => out.required(&level.child("name"), "must reference a priority level"),
        name => out.invalid_each(&level.child("name"), name, subdomain(name)),
    }
    let at = SPEC.child("rules");
    for (index, rule) in spec.items("rules").iter().enumerate() {
        rules::check(&at.index(index), rule, out);
    }
}

/// The status of either kind.
pub(super) fn status(object: &Value, out: &mut Report) {
    let conditions = object.at("status").map(|s| s.items("conditions")).unwrap_or_default();
    let status = At::root("status");
    let at = status.child("conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let at = at.index(index);
        let kind = condition.text("type");
        if conditions[..index].iter().any(|c| c.text("type") == kind) {
            out.duplicate(&at.child("type"), kind);
        }
        if kind.is_empty() {
            out.required(&at.child("type"), "");
        }
    }
}

#[cfg(test)]
mod tests;
