//! `scale`: the replicas of a workload as `autoscaling/v1.Scale`.
//!
//! Upstream: `pkg/registry/apps/deployment/storage/storage.go` (`ScaleREST`) and its siblings.

use super::{body_type, decode_body};
use crate::strategies::{member, text};
use crate::verbs::tree;
use crate::verbs::update::{Seen, Source, change_seen};
use crate::{Body, Context, Registry, Reply, managed, metadata};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ScalePaths;
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use apiserver_storage::Object;
use serde_json::json;

/// The scale of a stored object.
pub(crate) fn of(cx: &Context, object: &Object) -> Result<Reply, Status> {
    reply(cx, &tree(cx, object))
}

fn reply(cx: &Context, object: &Value) -> Result<Reply, Status> {
    if let Some(paths) = scale_paths(cx)
        && apiserver_extensions::at(object, &paths.spec_replicas.1).is_none()
    {
        return Err(Status::internal(format!("the spec replicas field {:?} does not exist", paths.spec_replicas.0)));
    }
    let subresource = cx.subresource.as_ref().ok_or_else(Status::method_not_allowed)?;
    let (_, ty) = body_type(subresource)?;
    Ok(Reply::Value { value: view(cx, object), ty })
}

pub(crate) async fn put(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let (mut scale, ty) = decode_body(cx, &body)?;
    metadata::ensure_namespace(cx, &mut scale)?;
    metadata::ensure_name(cx, &scale)?;
    let source: &mut Source<'_> = &mut |old| {
        let mut new = scale.clone();
        managed::track_scale(cx, &ty, old, &mut new);
        Ok(new)
    };
    write(registry, cx, "UpdateOptions", source).await
}

/// Writes the scale that `source` makes of the present one, which has the managed fields of the
/// object's replicas. Admission sees scales, too.
pub(crate) async fn write(
    registry: &Registry,
    cx: &Context,
    options: &str,
    source: &mut Source<'_>,
) -> Result<Reply, Status> {
    let on_object = Context { subresource: None, ..super::for_resource(cx, cx.resource.clone(), &cx.name) };
    let replicas = replicas(cx);
    let seen = Seen { cx, show: view, take: admitted };
    let changed = change_seen(registry, &on_object, &seen, options, &mut |old| {
        let mut shown = view(cx, old);
        if let Some(managed) = rules::apply::scale::to_scale(managed_fields(old), &replicas) {
            shown.set_meta("managedFields", managed);
        }
        let mut scale = source(&shown)?;
        check(cx, &scale)?;
        let managed = scale.metadata_mut().remove("managedFields");
        let version = cx.resource.api_version();
        let managed = rules::apply::scale::to_object(managed_fields(old), managed, &replicas, &version);
        let mut new = scaled(cx, old, &scale);
        metadata::set_or_remove(new.metadata_mut(), "managedFields", managed.as_ref());
        Ok(new)
    })
    .await;
    cx.warnings.lock().append(&mut on_object.warnings.lock());
    reply(cx, &changed?)
}

/// The object with the scale as admission has left it.
fn admitted(cx: &Context, mut object: Value, scale: &Value) -> Result<Value, Status> {
    check(cx, scale)?;
    set_replicas(cx, &mut object, scale);
    Ok(object)
}

/// Where the object keeps its replicas.
fn replicas(cx: &Context) -> Vec<&str> {
    match scale_paths(cx) {
        None => vec!["spec", "replicas"],
        Some(paths) => paths.spec_replicas.1.iter().map(String::as_str).collect(),
    }
}

fn managed_fields(object: &Value) -> Option<&Value> {
    object.metadata()?.get("managedFields")
}

/// Where a custom resource keeps the parts of its scale.
fn scale_paths(cx: &Context) -> Option<&ScalePaths> {
    cx.resource.custom.as_ref()?.scale()
}

/// The scale of an object.
pub(crate) fn view(cx: &Context, object: &Value) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    match scale_paths(cx) {
        None => assemble(
            object,
            number("/spec/replicas"),
            number("/status/replicas"),
            selector(object.pointer("/spec/selector")),
        ),
        Some(paths) => {
            let at = |path: &[String]| apiserver_extensions::at(object, path);
            let number = |path: &[String]| at(path).and_then(Value::as_i64).unwrap_or_default();
            let selector = paths.selector.as_ref().and_then(|(_, path)| at(path)?.as_str());
            let selector = selector.unwrap_or_default().to_owned();
            assemble(object, number(&paths.spec_replicas.1), number(&paths.status_replicas.1), selector)
        }
    }
}

fn assemble(object: &Value, wanted: i64, present: i64, selector: String) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.metadata().and_then(|m| m.get(key)) {
            metadata.insert(key.into(), value.clone());
        }
    }
    let mut status = json!({"replicas": present});
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut spec = Map::new();
    // Zero replicas are left out, as upstream does.
    match wanted {
        0 => {}
        replicas => drop(spec.insert("replicas".into(), replicas.into())),
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector as text: `a=b,c in (d,e),!f`, sorted by key.
fn selector(selector: Option<&Value>) -> String {
    let Some(map) = selector.and_then(Value::as_object) else { return String::new() };
    // Replication controllers have a plain map.
    let plain = !map.contains_key("matchLabels") && !map.contains_key("matchExpressions");
    let labels = if plain { Some(map) } else { map.get("matchLabels").and_then(Value::as_object) };
    let equal =
        labels.into_iter().flatten().map(|(k, v)| (k.clone(), format!("{k}={}", v.as_str().unwrap_or_default())));
    let expressions = map.get("matchExpressions").and_then(Value::as_array).into_iter().flatten().map(|e| {
        let key = text(e, "/key");
        let mut values: Vec<&str> =
            e.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let printed = match text(e, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        (key.to_owned(), printed)
    });
    let mut terms: Vec<(String, String)> = equal.chain(expressions).collect();
    terms.sort_by(|(one, _), (other, _)| one.cmp(other));
    terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>().join(",")
}

fn check(cx: &Context, scale: &Value) -> Result<(), Status> {
    if !scale.name().is_empty() && scale.name() != cx.name {
        let (given, url) = (scale.name(), &cx.name);
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({url})"
        )));
    }
    // Custom resources say themselves what is wrong with their replicas.
    let errors = if cx.resource.custom.is_none() { rules::validation::scale(&cx.resource, scale) } else { Vec::new() };
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(&GroupVersionKind::new("autoscaling", "v1", "Scale"), &cx.name, &errors)),
    }
}

/// The object with the scale's replicas; the scale's version and UID are preconditions.
fn scaled(cx: &Context, old: &Value, scale: &Value) -> Value {
    let mut new = old.clone();
    set_replicas(cx, &mut new, scale);
    for key in ["resourceVersion", "uid"] {
        match scale.meta_str(key) {
            // Custom resources are not written without one: it is the one that is known.
            "" if key == "resourceVersion" && cx.resource.custom.is_none() => drop(new.metadata_mut().remove(key)),
            "" => {}
            value => new.set_meta(key, value),
        }
    }
    new
}

fn set_replicas(cx: &Context, object: &mut Value, scale: &Value) {
    let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
    match scale_paths(cx) {
        None => drop(member(object, "spec").insert("replicas".into(), replicas)),
        Some(paths) => insert_at(object, &paths.spec_replicas.1, replicas),
    }
}

/// Sets a value at a path; members on the way are made.
fn insert_at(object: &mut Value, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            if let Some(map) = object.as_object_mut() {
                map.insert(last.clone(), value);
            }
        }
        [first, rest @ ..] => {
            member(object, first);
            insert_at(&mut object[first.as_str()], rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context {
        crate::context::testing::context("apps", "deployments")
    }

    #[test]
    fn shows_replicas_and_selector() {
        let object = json!({"metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}}, "status": {"replicas": 2},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"b": "c"},
                "matchExpressions": [{"key": "a", "operator": "In", "values": ["2", "1"]}, {"key": "z", "operator": "DoesNotExist"}]}}});
        let want = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a", "namespace": "n"},
            "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "a in (1,2),b=c,!z"}});
        assert_eq!(view(&cx(), &object), want);
        let controller = json!({"metadata": {}, "spec": {"selector": {"app": "x"}}});
        assert_eq!(text(&view(&cx(), &controller), "/status/selector"), "app=x");
    }

    #[test]
    fn writes_replicas_only() {
        let old = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"replicas": 1, "x": 1}});
        let scale = json!({"metadata": {"resourceVersion": "6"}, "spec": {"replicas": 5}});
        let want = json!({"metadata": {"name": "a", "resourceVersion": "6"}, "spec": {"replicas": 5, "x": 1}});
        assert_eq!(scaled(&cx(), &old, &scale), want);
        assert_eq!(scaled(&cx(), &old, &json!({}))["spec"]["replicas"], 0);
    }
}
