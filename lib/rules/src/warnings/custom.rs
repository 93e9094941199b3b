//! Custom resources: names of finalizers.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/{strategy,validator}.go`.

use super::Sink;
use crate::tree::Tree;
use crate::validation::names::label_key_errors;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::BTreeSet;

const STANDARD: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];

/// The finalizers that the object did not have before.
pub(super) fn finalizers(new: &Value, old: Option<&Value>, warn: &mut Sink<'_>) {
    for name in all(new).difference(&old.map(all).unwrap_or_default()) {
        for wrong in label_key_errors(name) {
            warn(format!("metadata.finalizers: {name:?}: {wrong}"));
        }
        if !name.contains('/') && !STANDARD.contains(name) {
            let better = if name.contains('.') { "finalizer name including a path (/)" } else { "finalizer name" };
            let why = "to avoid accidental conflicts with other finalizer writers";
            warn(format!("metadata.finalizers: {name:?}: prefer a domain-qualified {better} {why}"));
        }
    }
}

fn all(object: &Value) -> BTreeSet<&str> {
    object.metadata().map(|metadata| metadata.texts("finalizers").collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warnings::testing::said;
    use serde_json::json;

    #[test]
    fn finalizers_have_domains() {
        let of = |list: &[&str]| json!({"metadata": {"finalizers": list}});
        for (name, want) in [
            ("example.com/a", None),
            ("orphan", None),
            (
                "a",
                Some(
                    r#"metadata.finalizers: "a": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"#,
                ),
            ),
            (
                "a.b",
                Some(
                    r#"metadata.finalizers: "a.b": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"#,
                ),
            ),
        ] {
            let texts = said(|warn| finalizers(&of(&[name]), None, warn));
            assert_eq!(texts.first().map(String::as_str), want);
            assert!(said(|warn| finalizers(&of(&[name]), Some(&of(&[name])), warn)).is_empty());
        }
    }
}
