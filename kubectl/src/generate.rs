//! Objects made from flags: what `create KIND`, `run`, `expose` and `autoscale` send.
//!
//! Pure but for the files that the flags name.
//!
//! Upstream: `kubectl/pkg/cmd/create`.

pub mod access;
pub mod data;
pub mod exposure;
pub mod hash;
pub mod ingress;
pub mod pod;
pub mod policy;
pub mod service;
pub mod workload;

use apimachinery::Value;
use apimachinery::codec::protobuf;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;

/// Flags that make no object; upstream's messages.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A combination that is not allowed, or a flag that is missing.
    #[error("{0}")]
    Flags(&'static str),
    /// A value of the wrong form.
    #[error("{0}")]
    Value(String),
    /// A type that the server does not have.
    #[error("the server doesn't have a resource type {0:?}{in_group}", in_group = in_group(.1))]
    NoSuchType(String, String),
    /// A file that cannot be read.
    #[error("error reading {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// As Go words it.
        why: String,
    },
}

/// The object as Go's types print it: members that are structs appear even when they are empty.
pub fn typed(object: &Value) -> Value {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::parse(text("apiVersion"), text("kind"));
    let Some(ty) = kind.and_then(|kind| Schema::builtin().kind(&kind)) else { return object.clone() };
    match protobuf::decode(&ty, &protobuf::encode(&ty, object)) {
        Ok(Value::Object(mut members)) => {
            for key in ["apiVersion", "kind"] {
                members.insert(key.into(), text(key).into());
            }
            // What is null on purpose stays.
            for (key, value) in object.as_object().into_iter().flatten().filter(|(_, value)| value.is_null()) {
                members.insert(key.clone(), value.clone());
            }
            Value::Object(members)
        }
        _ => object.clone(),
    }
}

/// A number, or a name: what Go calls `intstr`.
pub fn int_or_string(text: &str) -> Value {
    text.parse::<i32>().map_or_else(|_| text.into(), Value::from)
}

fn in_group(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(" in group {group:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn typed_objects_have_their_structs() {
        let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}},
                     "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "i"}]}}}});
        let typed = typed(&bare);
        assert_eq!(typed["status"], json!({}));
        assert_eq!(typed["spec"]["strategy"], json!({}));
        assert_eq!(typed["spec"]["template"]["spec"]["containers"][0]["resources"], json!({}));
        assert_eq!(typed["kind"], "Deployment");
    }

    #[test]
    fn numbers_and_names() {
        assert_eq!(
            (int_or_string("80"), int_or_string("http"), int_or_string("50%")),
            (json!(80), json!("http"), json!("50%"))
        );
    }
}
