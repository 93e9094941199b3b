//! Managed fields of what requests write: who writes in which version, and which fields a request
//! has no say in.
//!
//! Upstream: `apiserver/pkg/endpoints/installer.go` (`NewDefaultFieldManager`),
//! `endpoints/handlers/fieldmanager`, `GetResetFields` of `pkg/registry/*/*/strategy.go`.

use crate::strategy::{self, StatusMetadata};
use crate::{Context, convert};
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::schema::TypeRef;
use apimachinery::{Map, Value, time};
use rules::apply::{ApplyError, Reset, Writer};

const MANAGED_FIELDS: &str = "managedFields";
/// The version of scales.
const SCALE: &str = "autoscaling/v1";

/// Tracks a write that makes `new` of `old`, which is null on create.
pub(crate) fn track(cx: &Context, old: &Value, new: &mut Value) {
    with_writer(cx, |writer| rules::apply::track(writer, old, new));
}

/// Applies a configuration to `live`, which is null if there is no such object yet.
pub(crate) fn apply(cx: &Context, live: &Value, config: &Value, force: bool) -> Result<Value, ApplyError> {
    with_writer(cx, |writer| rules::apply::apply(writer, live, config, force))
}

fn with_writer<T>(cx: &Context, run: impl FnOnce(&Writer<'_>) -> T) -> T {
    let resource = &cx.resource;
    run(&Writer {
        manager: &cx.field_manager,
        api_version: &resource.api_version(),
        subresource: cx.subresource_name(),
        now: &time::now(),
        ty: &resource.schema,
        reset: reset(cx),
        convert: &|object, version| in_version(resource, object, version),
    })
}

/// Tracks who posted a body to a subresource of another kind.
pub(crate) fn track_posted(cx: &Context, ty: &TypeRef, body: &mut Value) {
    let version = cx.subresource.as_ref().map(|s| s.kind.api_version()).unwrap_or_default();
    with_part_writer(cx, ty, &version, |writer| rules::apply::track(writer, &Value::Null, body));
}

/// Tracks a write of a scale, whose managers are those of the object's replicas.
pub(crate) fn track_scale(cx: &Context, ty: &TypeRef, old: &Value, new: &mut Value) {
    with_part_writer(cx, ty, SCALE, |writer| rules::apply::track(writer, old, new));
}

/// Applies a configuration to a scale.
pub(crate) fn apply_scale(
    cx: &Context,
    ty: &TypeRef,
    live: &Value,
    config: &Value,
    force: bool,
) -> Result<Value, ApplyError> {
    with_part_writer(cx, ty, SCALE, |writer| rules::apply::apply(writer, live, config, force))
}

fn with_part_writer<T>(cx: &Context, ty: &TypeRef, api_version: &str, run: impl FnOnce(&Writer<'_>) -> T) -> T {
    run(&Writer {
        manager: &cx.field_manager,
        api_version,
        subresource: cx.subresource_name(),
        now: &time::now(),
        ty,
        reset: Reset::NOTHING,
        convert: &|_, _| None,
    })
}

/// An object of a resource in another of its versions.
fn in_version(resource: &ResourceInfo, object: &Value, version: &str) -> Option<(Value, TypeRef)> {
    let given = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let find = |version: &str| {
        let (group, version) = apimachinery::gvk::parse_api_version(version)?;
        resources::find(group, version, &resource.plural)
    };
    let (from, to) = (find(given)?, find(version)?);
    let stored = convert::to_storage(from, object.clone());
    Some((convert::from_storage(to, stored), to.schema.clone()))
}

/// The fields that a request has no say in.
fn reset(cx: &Context) -> Reset {
    let group = &*cx.resource.group;
    match (group, &*cx.resource.plural, cx.subresource_name()) {
        ("certificates.k8s.io", "certificatesigningrequests", "") => Reset(&[&["spec"], &["status"]]),
        ("certificates.k8s.io", "certificatesigningrequests", "status") => {
            Reset(&[&["spec"], &["status", "conditions"]])
        }
        ("certificates.k8s.io", "certificatesigningrequests", "approval") => {
            Reset(&[&["spec"], &["status", "certificate"]])
        }
        ("", "pods", "status") => {
            Reset(&[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]])
        }
        // Upstream says which fields these have a say in, but where it looks nobody tells.
        ("", "pods", "ephemeralcontainers" | "resize") => Reset::NOTHING,
        (_, _, "status") => match strategy::of(&cx.resource).status_metadata {
            StatusMetadata::Free => Reset(&[&["spec"]]),
            StatusMetadata::KeepsLabels => Reset(&[&["spec"], &["metadata", "labels"]]),
            StatusMetadata::Kept => Reset(&[&["metadata"], &["spec"]]),
        },
        _ if cx.resource.subresource("status").is_some() => Reset(&[&["status"]]),
        _ => Reset::NOTHING,
    }
}

/// Takes new times of managers back if nothing else has changed, so that a write without effect
/// is none.
pub(crate) fn keep_times(new: &mut Value, old: &Value) {
    let list = |object: &'_ Value| object.metadata().and_then(|m| m.get(MANAGED_FIELDS)).cloned();
    let same = |metadata: Option<&Map>, key: &str, value: &Value| metadata.and_then(|m| m.get(key)) == Some(value);
    let (Some(after), Some(before)) = (new.metadata(), old.metadata()) else { return };
    let (Some(managers), Some(earlier)) = (after.get(MANAGED_FIELDS), before.get(MANAGED_FIELDS)) else { return };
    if managers == earlier || !same_but_times(managers, earlier) {
        return;
    }
    let is_rest_same = after.len() == before.len()
        && after.iter().all(|(key, value)| key == MANAGED_FIELDS || same(Some(before), key, value));
    let (top, former) = (new.as_object(), old.as_object());
    let is_all_same = top.map(Map::len) == former.map(Map::len)
        && top.into_iter().flatten().all(|(key, value)| key == "metadata" || same(former, key, value));
    if let (true, true, Some(earlier)) = (is_rest_same, is_all_same, list(old)) {
        new.set_meta(MANAGED_FIELDS, earlier);
    }
}

fn same_but_times(managers: &Value, earlier: &Value) -> bool {
    let (Some(managers), Some(earlier)) = (managers.as_array(), earlier.as_array()) else { return false };
    let members = |entry: &'_ Value| entry.as_object().map(|map| map.iter().filter(|(key, _)| *key != "time").count());
    let same = |a: &Value, b: &Value| {
        members(a) == members(b)
            && a.as_object().into_iter().flatten().all(|(key, value)| key == "time" || b.get(key) == Some(value))
    };
    managers.len() == earlier.len() && managers.iter().zip(earlier).all(|(a, b)| same(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::testing::context;
    use serde_json::json;

    #[test]
    fn times_alone_are_no_change() {
        let object = |time: &str, data: &str| json!({"metadata": {"name": "a", "managedFields": [{"manager": "m", "time": time}]}, "data": data});
        for (new, want) in [(object("2", "x"), "1"), (object("2", "y"), "2")] {
            let mut new = new;
            keep_times(&mut new, &object("1", "x"));
            assert_eq!(new["metadata"]["managedFields"][0]["time"], want);
        }
    }

    #[test]
    fn versions_of_built_in_resources_convert() {
        let cx = context("autoscaling", "horizontalpodautoscalers");
        let other = if cx.resource.version == "v1" { "autoscaling/v2" } else { "autoscaling/v1" };
        let object = json!({"apiVersion": cx.resource.api_version(), "kind": "HorizontalPodAutoscaler", "metadata": {},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}});
        let (converted, _) = in_version(&cx.resource, &object, other).expect("served");
        assert_eq!((&converted["apiVersion"], &converted["spec"]["maxReplicas"]), (&json!(other), &json!(3)));
        assert!(in_version(&cx.resource, &object, "autoscaling/v9").is_none());
    }

    #[test]
    fn requests_reset_what_they_cannot_write() {
        let mut cx = context("apps", "deployments");
        assert_eq!(reset(&cx), Reset(&[&["status"]]));
        cx.subresource = cx.resource.subresource("status").cloned();
        assert_eq!(reset(&cx), Reset(&[&["spec"], &["metadata", "labels"]]));
        assert_eq!(reset(&context("", "configmaps")), Reset::NOTHING);
    }
}
