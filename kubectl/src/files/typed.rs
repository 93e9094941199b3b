//! Documents as Go's types, which are those that are built in.
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/json` (`Decode`), `kubectl/pkg/scheme`.

use super::objects::missing;
use crate::print::quote;
use apimachinery::Value;
use apimachinery::codec::json::conform;
use apimachinery::codec::{NO_KIND, TYPE_META};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;
use rules::patch::go_kind;

/// Where upstream knows Go's types.
const SCHEME: &str = "pkg/scheme/scheme.go:28";

/// Groups that the server has built in, but upstream's command line has no types of.
const WITHOUT_TYPES: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// Why a document is no object of a type that is built in; what it is told with is the caller's.
pub(super) fn misfit(document: &Value, written: Option<&str>) -> Option<String> {
    if !document.is_object() {
        let is = go_kind(document);
        return Some(format!("{NO_KIND}json: cannot unmarshal {is} into Go value of type {TYPE_META}"));
    }
    for key in ["apiVersion", "kind"] {
        let value = &document[key];
        if !value.is_string() && !value.is_null() {
            let is = go_kind(value);
            return Some(format!("{NO_KIND}json: cannot unmarshal {is} into Go struct field .{key} of type string"));
        }
    }
    let text = |key: &str| document[key].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, number) = version.split_once('/').unwrap_or(("", version));
    if number.contains('/') {
        return Some(format!("unexpected GroupVersion string: {version}"));
    }
    for (what, said) in [("Kind", kind), ("apiVersion", version)] {
        if said.is_empty() {
            return Some(missing(what, document, written));
        }
    }
    match Schema::builtin().kind(&GroupVersionKind::new(group.to_owned(), number.to_owned(), kind.to_owned())) {
        Some(ty) if !WITHOUT_TYPES.contains(&group) => conform(&ty, document).err().map(|error| error.to_string()),
        _ if is_list(group, number, kind) || is_of_old_version(group, number, kind) => None,
        _ => {
            let (kind, version) = (quote(kind), quote(version));
            Some(format!("no kind {kind} is registered for version {version} in scheme \"{SCHEME}\""))
        }
    }
}

fn is_known(group: &str, version: &str, kind: &str) -> bool {
    Schema::builtin().kind(&GroupVersionKind::new(group.to_owned(), version.to_owned(), kind.to_owned())).is_some()
}

/// `List` is a kind of every group.
fn is_list(group: &str, version: &str, kind: &str) -> bool {
    !WITHOUT_TYPES.contains(&group)
        && kind.strip_suffix("List").is_some_and(|of| of.is_empty() || is_known(group, version, of))
}

/// Whether upstream has a type of it that no server has any more.
fn is_of_old_version(group: &str, version: &str, kind: &str) -> bool {
    let of = if group == "extensions" { "apps" } else { group };
    version.contains("beta") && ["v1", "v2"].iter().any(|now| is_known(of, now, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_of_types_that_are_built_in() {
        let object =
            |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        let wrong = |why: &str| Some(format!("{NO_KIND}json: cannot unmarshal {why}"));
        let unknown = |kind: &str, version: &str| {
            Some(format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{SCHEME}\""))
        };
        for (document, want) in [
            (object("v1", "Pod"), None),
            (object("v1", "List"), None),
            (object("apps/v1", "DeploymentList"), None),
            (object("extensions/v1beta1", "Deployment"), None),
            (json!([]), wrong(&format!("array into Go value of type {TYPE_META}"))),
            (json!("x"), wrong(&format!("string into Go value of type {TYPE_META}"))),
            (json!({"kind": 5, "apiVersion": "v1"}), wrong("number into Go struct field .kind of type string")),
            (json!({"kind": "Pod"}), Some("Object 'apiVersion' is missing in '{\"kind\":\"Pod\"}'".into())),
            (json!({"apiVersion": "v1"}), Some("Object 'Kind' is missing in '{\"apiVersion\":\"v1\"}'".into())),
            (object("a/b/c", "Pod"), Some("unexpected GroupVersion string: a/b/c".into())),
            (object("v1", "XPod"), unknown("XPod", "v1")),
            (
                object("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
                unknown("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
            ),
        ] {
            assert_eq!(misfit(&document, None), want, "{document}");
        }
        let mut deployment = object("apps/v1", "Deployment");
        deployment["spec"] = json!({"replicas": "x"});
        let why = misfit(&deployment, None).expect("no number");
        assert!(why.ends_with("into Go struct field DeploymentSpec.spec.replicas of type int32"), "{why}");
    }
}
