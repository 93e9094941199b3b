//! What the node's objects say of its drivers, as values.
//!
//! Upstream: `pkg/volume/csi/nodeinfomanager/nodeinfomanager.go`.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver, CSINodeSpec, VolumeNodeResources};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What drivers call the node, on the node.
const NODE_ID: &str = "csi.volume.kubernetes.io/nodeid";
const MIGRATED: &str = "storage.alpha.kubernetes.io/migrated-plugins";
/// The volume plug-ins of the API whose volumes are drivers' today.
const MIGRATED_PLUGINS: &str = "kubernetes.io/aws-ebs,kubernetes.io/azure-disk,kubernetes.io/azure-file,\
     kubernetes.io/cinder,kubernetes.io/gce-pd,kubernetes.io/portworx-volume,kubernetes.io/vsphere-volume";

/// The object of a node without drivers.
pub fn fresh(node: &Node) -> CSINode {
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    CSINode {
        metadata: ObjectMeta {
            name: node.metadata.name.clone(),
            annotations: Some([(MIGRATED.to_owned(), MIGRATED_PLUGINS.to_owned())].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: CSINodeSpec { drivers: Vec::new() },
    }
}

/// Whether the object is this very node's.
pub fn is_owned(found: &CSINode, node: &Node) -> bool {
    let owners = found.metadata.owner_references.iter().flatten();
    owners
        .filter(|o| o.kind == "Node")
        .any(|o| Some(&o.name) == node.metadata.name.as_ref() && Some(&o.uid) == node.metadata.uid.as_ref())
}

/// The object with its annotation, if it lacks it.
pub fn annotated(found: &CSINode) -> Option<CSINode> {
    let set = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    let have = found.metadata.annotations.as_ref().and_then(|all| all.get(MIGRATED));
    if have.is_some_and(|have| set(have) == set(MIGRATED_PLUGINS)) {
        return None;
    }
    let mut out = found.clone();
    out.metadata.annotations.get_or_insert_default().insert(MIGRATED.to_owned(), MIGRATED_PLUGINS.to_owned());
    Some(out)
}

/// The object with a driver; `None` if it says so already. `limit` is of volumes; 0 leaves it open.
pub fn with_driver(found: &CSINode, driver: &str, id: &str, limit: i64, keys: &[String]) -> Option<CSINode> {
    if limit < 0 {
        tracing::error!(driver, limit, "a driver's limit of volumes cannot be negative");
    }
    let count = (limit > 0).then(|| i32::try_from(limit).unwrap_or(i32::MAX));
    let sorted: BTreeSet<&String> = keys.iter().collect();
    let wanted = CSINodeDriver {
        name: driver.to_owned(),
        node_id: id.to_owned(),
        topology_keys: (!sorted.is_empty()).then(|| sorted.into_iter().cloned().collect()),
        allocatable: count.map(|count| VolumeNodeResources { count: Some(count) }),
    };
    let old = found.spec.drivers.iter().find(|d| d.name == driver);
    let same = |old: &CSINodeDriver| {
        let keys = |d: &CSINodeDriver| d.topology_keys.iter().flatten().cloned().collect::<BTreeSet<_>>();
        let count = |d: &CSINodeDriver| d.allocatable.as_ref().and_then(|a| a.count);
        old.node_id == wanted.node_id && keys(old) == keys(&wanted) && count(old) == count(&wanted)
    };
    if old.is_some_and(same) {
        return None;
    }
    let mut out = found.clone();
    out.spec.drivers.retain(|d| d.name != driver);
    out.spec.drivers.push(wanted);
    Some(out)
}

/// The object without a driver, if it has it.
pub fn without_driver(found: &CSINode, driver: &str) -> Option<CSINode> {
    let mut out = found.clone();
    out.spec.drivers.retain(|d| d.name != driver);
    (out.spec.drivers.len() < found.spec.drivers.len()).then_some(out)
}

/// The patch by which the node's annotation and labels tell of a driver, or by which the annotation is rid of it
/// where `id` is `None`; `None` if nothing is to be changed.
pub fn node_patch(
    node: &Node,
    driver: &str,
    id: Option<&str>,
    topology: &BTreeMap<String, String>,
) -> Result<Option<Value>, String> {
    let text = node.metadata.annotations.as_ref().and_then(|all| all.get(NODE_ID)).filter(|text| !text.is_empty());
    let old: BTreeMap<String, String> = match text {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|e| format!("failed to parse node's {NODE_ID:?} annotation value ({text:?}) err={e}"))?,
    };
    let mut new = old.clone();
    match id {
        Some(id) => drop(new.insert(driver.to_owned(), id.to_owned())),
        None => drop(new.remove(driver)),
    }
    let labels = node.metadata.labels.clone().unwrap_or_default();
    for (key, value) in topology {
        if let Some(have) = labels.get(key).filter(|have| *have != value) {
            return Err(format!(
                "detected topology value collision: driver reported {key:?}:{value:?} but existing label is \
                 {key:?}:{have:?}"
            ));
        }
    }
    let missing: BTreeMap<_, _> = topology.iter().filter(|(key, _)| !labels.contains_key(*key)).collect();
    if new == old && missing.is_empty() {
        return Ok(None);
    }
    let value = if new.is_empty() { Value::Null } else { serde_json::to_string(&new).unwrap_or_default().into() };
    Ok(Some(json!({ "metadata": { "annotations": { NODE_ID: value }, "labels": missing } })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(json!({ "metadata": value })).expect("a node")
    }

    #[test]
    fn drivers_come_and_go() {
        let owner = node(json!({"name": "n", "uid": "1"}));
        let empty = fresh(&owner);
        assert!(is_owned(&empty, &owner) && !is_owned(&empty, &node(json!({"name": "n", "uid": "2"}))));
        assert!(annotated(&empty).is_none() && annotated(&CSINode::default()).is_some());
        let keys = ["zone".to_owned(), "rack".to_owned()];
        let one = with_driver(&empty, "d", "id", 3, &keys).expect("a change");
        let text = serde_json::to_value(&one.spec.drivers).expect("JSON");
        let want =
            json!([{"name": "d", "nodeID": "id", "topologyKeys": ["rack", "zone"], "allocatable": {"count": 3}}]);
        assert_eq!(text, want);
        assert!(with_driver(&one, "d", "id", 3, &keys).is_none(), "said already");
        let open = with_driver(&one, "d", "id", 0, &[]).expect("a change");
        assert!(open.spec.drivers[0].allocatable.is_none() && open.spec.drivers.len() == 1);
        assert!(without_driver(&one, "d").expect("a change").spec.drivers.is_empty());
        assert!(without_driver(&one, "other").is_none());
    }

    #[test]
    fn the_node_tells_its_names_and_places() {
        let zone = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let bare = node(json!({"name": "n"}));
        let patch = node_patch(&bare, "d", Some("id"), &zone).expect("fine").expect("a patch");
        assert_eq!(patch, json!({"metadata": {"annotations": {NODE_ID: "{\"d\":\"id\"}"}, "labels": {"zone": "a"}}}));
        let told = node(json!({"annotations": {NODE_ID: "{\"d\":\"id\",\"e\":\"x\"}"}, "labels": {"zone": "a"}}));
        assert_eq!(node_patch(&told, "d", Some("id"), &zone), Ok(None));
        let gone = node_patch(&told, "d", None, &BTreeMap::new()).expect("fine").expect("a patch");
        assert_eq!(gone["metadata"]["annotations"][NODE_ID], "{\"e\":\"x\"}");
        let other = BTreeMap::from([("zone".to_owned(), "b".to_owned())]);
        let error = node_patch(&told, "d", Some("id"), &other).expect_err("a collision");
        assert!(error.starts_with("detected topology value collision"), "{error}");
        assert!(node_patch(&node(json!({"annotations": {NODE_ID: "{"}})), "d", Some("id"), &zone).is_err());
    }
}
