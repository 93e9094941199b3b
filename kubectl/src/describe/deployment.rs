//! Deployments with their replica sets.

use super::sections::{Sections, or_none, shown};
use super::source::{Chosen, Source};
use super::times::stamp;
use super::{selector, template, workloads};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::{Tree, is_empty};

const HASH: &str = "pod-template-hash";

/// The replica sets of a deployment; none if they may not be seen.
pub(super) async fn replica_sets(source: &Source<'_>, deployment: &Value) -> Vec<Value> {
    let selector = selector::text(deployment["spec"].at("selector"));
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets", deployment.namespace());
    let sets = source.list(&path, Chosen { labels: &selector, ..Chosen::default() }).await.unwrap_or_default();
    let mut own: Vec<Value> =
        sets.into_iter().filter(|set| set.controller().is_some_and(|c| c.uid == deployment.uid())).collect();
    own.sort_by_key(|set| (set.meta_str("creationTimestamp").to_owned(), set.name().to_owned()));
    own
}

pub(super) fn write(out: &mut Sections, deployment: &Value, sets: &[Value]) {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    out.field(0, "Name", deployment.name());
    out.field(0, "Namespace", deployment.namespace());
    out.field(0, "CreationTimestamp", stamp(deployment.meta_str("creationTimestamp")));
    out.labels("Labels", deployment.labels());
    out.annotations("Annotations", deployment.annotations());
    out.field(0, "Selector", selector::text(spec.at("selector")));
    out.field(
        0,
        "Replicas",
        format_args!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            spec.int("replicas"),
            status.int("updatedReplicas"),
            status.int("replicas"),
            status.int("availableReplicas"),
            status.int("unavailableReplicas")
        ),
    );
    let strategy = &spec["strategy"];
    out.field(0, "StrategyType", strategy.text("type"));
    out.field(0, "MinReadySeconds", spec.int("minReadySeconds"));
    if let Some(rolling) = strategy.at("rollingUpdate") {
        let limit = |key: &str| rolling.at(key).map_or_else(|| "<nil>".into(), shown);
        let (unavailable, surge) = (limit("maxUnavailable"), limit("maxSurge"));
        out.field(0, "RollingUpdateStrategy", format_args!("{unavailable} max unavailable, {surge} max surge"));
    }
    template::write(out, &spec["template"]);
    workloads::conditions(out, status);
    if sets.is_empty() {
        return;
    }
    let new = newest(&spec["template"], sets);
    let (current, old): (Vec<_>, Vec<_>) = sets.iter().partition(|set| new.is_some_and(|n| n.uid() == set.uid()));
    out.field(0, "OldReplicaSets", progress(&old));
    out.field(0, "NewReplicaSet", progress(&current));
}

/// The oldest replica set with the deployment's template.
fn newest<'a>(template: &Value, sets: &'a [Value]) -> Option<&'a Value> {
    let wanted = essence(template.clone());
    sets.iter().find(|set| essence(set["spec"]["template"].clone()) == wanted)
}

/// A template without the label that tells replica sets apart, and without what is empty.
fn essence(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    prune(&mut template);
    template
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, member| !is_empty(member));
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

fn progress(sets: &[&Value]) -> String {
    let text = |set: &&Value| {
        let (made, wanted) = (set["status"].int("replicas"), set["spec"].int("replicas"));
        format!("{} ({made}/{wanted} replicas created)", set.name())
    };
    or_none(sets.iter().map(text).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_new_from_old_replica_sets() {
        let template = |image: &str, hash: Option<&str>| {
            let mut template = json!({"metadata": {"labels": {"app": "a"}, "creationTimestamp": null},
                "spec": {"containers": [{"name": "c", "image": image, "resources": {}}]}});
            if let Some(hash) = hash {
                template["metadata"]["labels"][HASH] = hash.into();
            }
            template
        };
        let set = |name: &str, image: &str| {
            json!({"metadata": {"name": name, "uid": name}, "spec": {"replicas": 1, "template": template(image, Some(name))},
                "status": {"replicas": 1}})
        };
        let sets = [set("old", "1"), set("new", "2")];
        assert_eq!(newest(&template("2", None), &sets).map(ObjectMeta::name), Some("new"));
        assert_eq!(newest(&template("3", None), &sets), None);
        assert_eq!(progress(&[&sets[0]]), "old (1/1 replicas created)");
        assert_eq!(progress(&[]), "<none>");
    }
}
