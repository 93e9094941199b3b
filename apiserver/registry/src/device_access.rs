//! Who asks for devices that others use, as an administrator does, needs a namespace that is meant for it.
//!
//! Upstream: `pkg/registry/resource/utils.go`.

use crate::{Context, Registry};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::meta::ObjectMeta;

const LABEL: &str = "resource.kubernetes.io/admin-access";

/// What is wrong with the first request of a new claim or template that asks for administrative access.
pub(crate) async fn check_create(registry: &Registry, cx: &Context, object: &Value) -> Vec<FieldError> {
    let requests = match (&*cx.resource.group, &*cx.resource.plural) {
        ("resource.k8s.io", "resourceclaims") => "/spec/devices/requests",
        ("resource.k8s.io", "resourceclaimtemplates") => "/spec/spec/devices/requests",
        _ => return Vec::new(),
    };
    let asked = first(object, requests, |request| request.get("exactly"));
    // A template's requests lie deeper; upstream names the place in a claim for both.
    check(registry, cx, asked.map(|index| Path::new("spec").child("devices").child("requests").index(index))).await
}

/// What is wrong with the first device that has been allocated for such access, where none was before.
pub(crate) async fn check_status(registry: &Registry, cx: &Context, new: &Value, old: &Value) -> Vec<FieldError> {
    const RESULTS: &str = "/status/allocation/devices/results";
    if (&*cx.resource.group, &*cx.resource.plural) != ("resource.k8s.io", "resourceclaims") {
        return Vec::new();
    }
    let granted = first(new, RESULTS, |result| Some(result)).filter(|_| first(old, RESULTS, |r| Some(r)).is_none());
    let path = Path::new("status").child("allocation").child("devices").child("results");
    check(registry, cx, granted.map(|index| path.index(index))).await
}

/// The first element of a list that has administrative access.
fn first(object: &Value, list: &str, part: impl Fn(&Value) -> Option<&Value>) -> Option<usize> {
    let has = |item: &Value| part(item)?.get("adminAccess")?.as_bool();
    object.pointer(list)?.as_array()?.iter().position(|item| has(item) == Some(true))
}

async fn check(registry: &Registry, cx: &Context, path: Option<Path>) -> Vec<FieldError> {
    let Some(path) = path.map(|path| path.child("adminAccess")) else { return Vec::new() };
    let namespaces = registry.resource("", "v1", "namespaces");
    let namespace = match &namespaces {
        Some(namespaces) => registry.peek(namespaces, "", &cx.namespace).await.ok().flatten(),
        None => None,
    };
    let kind = match namespace {
        None => {
            let why = format!("namespaces {:?} not found", cx.namespace);
            FieldErrorKind::Internal(format!("could not retrieve namespace to verify admin access: {why}"))
        }
        Some(namespace) if allows(&namespace) => return Vec::new(),
        Some(_) => {
            let why = "admin access to devices requires the";
            FieldErrorKind::Forbidden(format!("{why} `{LABEL}: true` label on the containing namespace"))
        }
    };
    vec![FieldError { path, kind }]
}

fn allows(namespace: &Value) -> bool {
    namespace.labels().and_then(|labels| labels.get(LABEL)).is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_who_asks_for_administrative_access() {
        let of = |requests: Value| first(&json!({"requests": requests}), "/requests", |request| request.get("exactly"));
        assert_eq!(of(json!([{"exactly": {}}, {"exactly": {"adminAccess": false}}])), None);
        assert_eq!(of(json!([{"firstAvailable": []}, {"exactly": {"adminAccess": true}}])), Some(1));
        assert!(allows(&json!({"metadata": {"labels": {LABEL: "true"}}})));
        assert!(!allows(&json!({"metadata": {"labels": {LABEL: "yes"}}})) && !allows(&json!({"metadata": {}})));
    }
}
