//! `namespace`, `labels`, `commonLabels`, `commonAnnotations`, `images`, `replicas`.

use super::load::Folder;
use super::{Item, KustomizeError};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};

/// Kinds outside of namespaces.
const CLUSTER_KINDS: &[&str] = &[
    "Namespace",
    "Node",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "StorageClass",
    "PriorityClass",
    "CustomResourceDefinition",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "IngressClass",
    "RuntimeClass",
    "CSIDriver",
    "CSINode",
    "VolumeAttachment",
    "CertificateSigningRequest",
    "FlowSchema",
    "PriorityLevelConfiguration",
];

/// Where workloads keep their pod template.
const TEMPLATES: &[&str] = &["/spec/template", "/spec/jobTemplate/spec/template"];

pub(super) fn run(folder: &Folder, items: &mut [Item]) -> Result<(), KustomizeError> {
    if let Some(namespace) = folder.says["namespace"].as_str().filter(|n| !n.is_empty()) {
        items.iter_mut().for_each(|item| set_namespace(item, namespace));
    }
    labels(folder, items);
    if let Some(annotations) = folder.says["commonAnnotations"].as_object() {
        for item in items.iter_mut() {
            extend(&mut item.object, "/metadata/annotations", annotations);
            each_template(&mut item.object, |template| extend(template, "/metadata/annotations", annotations));
        }
    }
    for image in folder.list("images") {
        items.iter_mut().for_each(|item| set_images(&mut item.object, image));
    }
    for replicas in folder.list("replicas") {
        set_replicas(items, replicas)?;
    }
    Ok(())
}

fn set_namespace(item: &mut Item, namespace: &str) {
    if CLUSTER_KINDS.contains(&item.kind()) {
        if item.kind() == "Namespace" && item.object.name() == item.former_namespace {
            item.object.set_meta("name", namespace);
        }
        // Subjects of a cluster's binding are in namespaces all the same.
    } else {
        item.object.set_meta("namespace", namespace);
    }
    if item.kind().ends_with("RoleBinding") {
        for subject in item.object["subjects"].as_array_mut().into_iter().flatten() {
            if subject["kind"] == "ServiceAccount" && subject["name"] == "default" {
                subject["namespace"] = namespace.into();
            }
        }
    }
}

fn labels(folder: &Folder, items: &mut [Item]) {
    for entry in folder.list("labels") {
        let Some(pairs) = entry["pairs"].as_object() else { continue };
        let flag = |key: &str| entry[key].as_bool().unwrap_or(false);
        for item in items.iter_mut() {
            add_labels(&mut item.object, pairs, flag("includeSelectors"), flag("includeTemplates"));
        }
    }
    if let Some(pairs) = folder.says["commonLabels"].as_object() {
        items.iter_mut().for_each(|item| add_labels(&mut item.object, pairs, true, true));
    }
}

fn add_labels(object: &mut Value, pairs: &Map, selectors: bool, templates: bool) {
    extend(object, "/metadata/labels", pairs);
    if selectors || templates {
        each_template(object, |template| extend(template, "/metadata/labels", pairs));
    }
    if !selectors {
        return;
    }
    match object["kind"].as_str().unwrap_or_default() {
        "Service" | "ReplicationController" if object["spec"].get("selector").is_some() => {
            extend(object, "/spec/selector", pairs)
        }
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => {
            extend(object, "/spec/selector/matchLabels", pairs)
        }
        "PodDisruptionBudget" if object["spec"].get("selector").is_some() => {
            extend(object, "/spec/selector/matchLabels", pairs)
        }
        "NetworkPolicy" if object["spec"]["podSelector"].get("matchLabels").is_some() => {
            extend(object, "/spec/podSelector/matchLabels", pairs);
        }
        _ => {}
    }
}

fn each_template(object: &mut Value, mut change: impl FnMut(&mut Value)) {
    for path in TEMPLATES {
        if let Some(template) = object.pointer_mut(path) {
            change(template);
        }
    }
}

/// Adds members to the map at a path, which is made if it is not there.
fn extend(object: &mut Value, path: &str, pairs: &Map) {
    let mut at = object;
    for key in path.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[key];
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Some(map) = at.as_object_mut() {
        map.extend(pairs.clone());
    }
}

/// Images of containers, wherever containers are.
fn set_images(value: &mut Value, rule: &Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if matches!(key.as_str(), "containers" | "initContainers" | "ephemeralContainers") {
                    for container in member.as_array_mut().into_iter().flatten() {
                        if let Some(image) = container["image"].as_str().and_then(|image| new_image(image, rule)) {
                            container["image"] = image.into();
                        }
                    }
                } else {
                    set_images(member, rule);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| set_images(item, rule)),
        _ => {}
    }
}

/// The image by a rule's new name, tag or digest; nothing if the rule means another.
fn new_image(image: &str, rule: &Value) -> Option<String> {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let (rest, digest) = image.split_once('@').map_or((image, ""), |(rest, digest)| (rest, digest));
    // A colon before a slash belongs to the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (rest, ""),
    };
    if name != text("name") {
        return None;
    }
    let name = if text("newName").is_empty() { name } else { text("newName") };
    Some(match (text("newTag"), text("digest")) {
        (tag, digest) if !digest.is_empty() && !tag.is_empty() => format!("{name}:{tag}@{digest}"),
        (_, digest) if !digest.is_empty() => format!("{name}@{digest}"),
        (tag, _) if !tag.is_empty() => format!("{name}:{tag}{}", text("tagSuffix")),
        _ => {
            let tag = if tag.is_empty() { String::new() } else { format!(":{tag}{}", text("tagSuffix")) };
            let digest = if digest.is_empty() { String::new() } else { format!("@{digest}") };
            format!("{name}{tag}{digest}")
        }
    })
}

fn set_replicas(items: &mut [Item], rule: &Value) -> Result<(), KustomizeError> {
    let name = rule["name"].as_str().unwrap_or_default();
    let mut found = false;
    for item in items.iter_mut().filter(|item| item.is_named(name)) {
        if matches!(item.kind(), "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController") {
            *crate::writing::member(&mut item.object["spec"], "replicas") = rule["count"].clone();
            found = true;
        }
    }
    match found {
        true => Ok(()),
        false => Err(KustomizeError::Invalid(format!(
            "resource with name {name} does not match a config with the following GVK [Deployment.[noVer].[noGrp] ReplicationController.[noVer].[noGrp] ReplicaSet.[noVer].[noGrp] StatefulSet.[noVer].[noGrp]]"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn images_are_replaced_by_name() {
        for (image, rule, want) in [
            ("nginx:1", json!({"name": "nginx", "newTag": "2"}), Some("nginx:2")),
            ("nginx", json!({"name": "nginx", "newName": "r:5000/n"}), Some("r:5000/n")),
            ("r:5000/nginx", json!({"name": "r:5000/nginx", "newTag": "2"}), Some("r:5000/nginx:2")),
            ("nginx:1", json!({"name": "nginx", "digest": "sha256:0"}), Some("nginx@sha256:0")),
            ("nginx@sha256:1", json!({"name": "nginx", "newName": "x"}), Some("x@sha256:1")),
            ("other:1", json!({"name": "nginx", "newTag": "2"}), None),
        ] {
            assert_eq!(new_image(image, &rule).as_deref(), want, "{image} {rule}");
        }
    }

    #[test]
    fn labels_reach_selectors_only_when_asked() {
        let pairs = json!({"x": "1"}).as_object().cloned().expect("a map");
        let mut service = json!({"kind": "Service", "spec": {"selector": {"a": "b"}}});
        add_labels(&mut service, &pairs, false, false);
        assert_eq!(service["spec"]["selector"], json!({"a": "b"}));
        add_labels(&mut service, &pairs, true, true);
        assert_eq!(service["spec"]["selector"], json!({"a": "b", "x": "1"}));
    }
}
