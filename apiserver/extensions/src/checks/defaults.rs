//! Defaults must be what their own schema allows.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go`.

use crate::schema::{self, Base, Node, table};
use apimachinery::codec::json;
use apimachinery::field::{FieldError, Path};
use apimachinery::{Map, Value};
use rules::validation::check::{At, Report};

pub(super) fn check(node: &Node, at: &At<'_>, out: &mut Report) {
    if let Some(default) = &node.default {
        check_one(node, default, &at.child("default"), out);
    }
    if let Some(items) = &node.items {
        check(items, &at.child("items"), out);
    }
    let properties = at.child("properties");
    for (name, property) in &node.properties {
        check(property, &properties.key(name), out);
    }
}

fn check_one(node: &Node, default: &Value, at: &At<'_>, out: &mut Report) {
    // Pruning and validation work on objects: the default becomes a member of one.
    let around = Node { properties: [("default".into(), node.clone())].into(), ..Node::default() };
    let mut pruned = Value::Object(Map::from_iter([("default".to_owned(), default.clone())]));
    json::prune(&table("", &around), &mut pruned);
    if pruned["default"] != *default {
        out.invalid(at, default, "must not have unknown fields");
    }
    let mut found = Report::default();
    schema::check_embedded_at(node, default, at, &mut found);
    let mut errors = found.finish();
    if errors.is_empty() {
        errors =
            schema::validate(node, default, None, Base::Object).into_iter().map(|error| moved(error, at)).collect();
    }
    if errors.is_empty() {
        errors = schema::evaluate(node, default, None).into_iter().map(|error| moved(error, at)).collect();
    }
    *out = Report::from(std::mem::take(out).with(errors));
}

/// An error of the default as one of the definition.
fn moved(error: FieldError, at: &At<'_>) -> FieldError {
    let own = error.path.to_string();
    let path = if own == "<nil>" { at.path() } else { Path::new(&format!("{}.{own}", at.path())) };
    FieldError { path, ..error }
}
