//! A static pod from its manifest: named after the node, identified by its content.

use crate::pod::{CONFIG_HASH, CONFIG_MIRROR, CONFIG_SEEN, CONFIG_SOURCE, PodExt};
use k8s_openapi::api::core::v1::{Container, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use sha2::{Digest, Sha256};

/// No manifest is larger.
pub const MAX_MANIFEST: u64 = 3 << 20;

/// A manifest that is no pod.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{0}")]
    Syntax(String),
    #[error("it has no containers")]
    NoContainers,
    #[error("it has no name")]
    NoName,
    #[error("it is a {0}, not a Pod")]
    Kind(String),
}

/// Where a manifest was found.
#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    /// In this file of the node.
    File(&'a str),
    /// Behind this address, from which other nodes may have the same.
    Url(&'a str),
}

/// Reads a manifest, YAML or JSON, from the file `path`.
pub fn parse(text: &str, path: &str, node: &str) -> Result<Pod, ManifestError> {
    let value = read(text)?;
    match kind(&value) {
        "Pod" => one(value, Origin::File(path), node),
        other => Err(ManifestError::Kind(other.to_owned())),
    }
}

/// Reads the manifest of one pod, or a list of pods, that was found behind an address. All are pods or none is taken.
pub fn several(text: &str, url: &str, node: &str) -> Result<Vec<Pod>, ManifestError> {
    let mut value = read(text)?;
    match kind(&value) {
        "Pod" => Ok(vec![one(value, Origin::Url(url), node)?]),
        "PodList" => {
            let items = value.get_mut("items").map(serde_json::Value::take).unwrap_or_default();
            let items = if items.is_null() { Vec::new() } else { from_json::<Vec<serde_json::Value>>(items)? };
            items.into_iter().map(|item| one(item, Origin::Url(url), node)).collect()
        }
        other => Err(ManifestError::Kind(other.to_owned())),
    }
}

fn read(text: &str) -> Result<serde_json::Value, ManifestError> {
    serde_saphyr::from_str(text).map_err(|e| ManifestError::Syntax(e.to_string()))
}

fn kind(value: &serde_json::Value) -> &str {
    value.get("kind").and_then(|kind| kind.as_str()).unwrap_or("thing without a kind")
}

fn from_json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, ManifestError> {
    serde_json::from_value(value).map_err(|e| ManifestError::Syntax(e.to_string()))
}

fn one(value: serde_json::Value, origin: Origin<'_>, node: &str) -> Result<Pod, ManifestError> {
    let digest = match origin {
        Origin::File(path) => digest(&value, &[node, path]),
        Origin::Url(url) => digest(&value, &[url]),
    };
    let mut pod: Pod = from_json(value)?;
    if pod.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(ManifestError::NoName);
    }
    let spec = pod.spec.as_mut().filter(|s| !s.containers.is_empty()).ok_or(ManifestError::NoContainers)?;
    spec.node_name = Some(node.to_owned());
    spec.restart_policy.get_or_insert_with(|| "Always".to_owned());
    spec.dns_policy.get_or_insert_with(|| "ClusterFirst".to_owned());
    spec.termination_grace_period_seconds.get_or_insert(30);
    if matches!(origin, Origin::File(_)) {
        spec.tolerations.get_or_insert_default().push(tolerate_everything());
    }
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(set_defaults);
    identify(&mut pod, digest, origin, node);
    Ok(pod)
}

fn tolerate_everything() -> Toleration {
    let (operator, effect) = (Some("Exists".to_owned()), Some("NoExecute".to_owned()));
    Toleration { operator, effect, ..Toleration::default() }
}

fn set_defaults(c: &mut Container) {
    let image = c.image.as_deref().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !name.contains([':', '@']) || name.ends_with(":latest");
    c.image_pull_policy.get_or_insert_with(|| if latest { "Always" } else { "IfNotPresent" }.to_owned());
    c.termination_message_path.get_or_insert_with(|| "/dev/termination-log".to_owned());
    c.termination_message_policy.get_or_insert_with(|| "File".to_owned());
}

/// Follows from where it was found and what the manifest says: the same manifest is the same pod after a
/// restart, and a comment makes no other pod of it.
fn digest(manifest: &serde_json::Value, place: &[&str]) -> String {
    let parts = format!("{}\0{manifest}", place.join("\0"));
    Sha256::digest(parts).iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// The digest is the UID, unless the manifest gives one, and tells one state of the manifest from another.
fn identify(pod: &mut Pod, hash: String, origin: Origin<'_>, node: &str) {
    let source = match origin {
        Origin::File(_) => "file",
        Origin::Url(_) => "http",
    };
    let meta = &mut pod.metadata;
    meta.name = meta.name.take().map(|n| format!("{n}-{node}"));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    meta.uid.get_or_insert_with(|| hash.clone());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(CONFIG_HASH.into(), hash);
    annotations.insert(CONFIG_SOURCE.into(), source.into());
    annotations.insert(CONFIG_SEEN.into(), Timestamp::now().to_string());
}

/// The object that shows a static pod at the apiserver; it goes with the node's.
pub fn mirror(pod: &Pod, node: &str, node_uid: &str) -> Pod {
    let mut mirror = pod.clone();
    mirror.status = None;
    mirror.metadata.uid = None;
    let hash = pod.annotation(CONFIG_HASH).unwrap_or_default().to_owned();
    mirror.metadata.annotations.get_or_insert_default().insert(CONFIG_MIRROR.into(), hash);
    mirror.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node.to_owned(),
        uid: node_uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    mirror
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: x}]}\n";

    #[test]
    fn named_after_the_node_and_stable() {
        let parse = |text: &str, path: &str, node: &str| super::parse(text, path, node).unwrap();
        let pod = parse(POD, "f", "n1");
        assert_eq!((pod.name(), pod.namespace()), ("web-n1", "default"));
        assert!(pod.is_static() && pod.is_critical());
        assert_eq!(pod.uid(), parse(&format!("# Why.\n{POD}"), "f", "n1").uid());
        for other in [parse(POD, "f", "n2"), parse(POD, "g", "n1"), parse(&POD.replace("x}", "z}"), "f", "n1")] {
            assert_ne!(pod.uid(), other.uid());
        }
        let given = parse(&POD.replace("name: web", "name: web, uid: u"), "f", "n1");
        assert_eq!(given.uid(), "u");
        assert_eq!(PodExt::spec(&pod).containers[0].image_pull_policy.as_deref(), Some("Always"));
        let mirror = mirror(&pod, "n1", "u1");
        assert!(mirror.is_mirror() && mirror.metadata.uid.is_none());
        assert_eq!(mirror.metadata.owner_references.unwrap()[0].uid, "u1");
    }

    #[test]
    fn a_server_has_one_pod_or_a_list_of_them() {
        let item =
            |name: &str| format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"c"}}]}}}}"#);
        let list = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{},{}]}}"#, item("a"), item("b"));
        let names = |text: &str| {
            let pods = several(text, "http://r.test/", "n1").map_err(|e| e.to_string())?;
            Ok::<_, String>(pods.iter().map(|pod| pod.name().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names(&list), Ok(vec!["a-n1".to_owned(), "b-n1".to_owned()]));
        assert_eq!(names(POD), Ok(vec!["web-n1".to_owned()]));
        assert_eq!(names("kind: PodList"), Ok(Vec::new()));
        let broken = list.replace(&item("b"), "{}");
        for bad in [broken.as_str(), "kind: Service", "kind: PodList\nitems: 1"] {
            assert!(names(bad).is_err(), "{bad}");
        }
        let pod = several(POD, "http://r.test/", "n1").unwrap().remove(0);
        assert_eq!(pod.annotation(CONFIG_SOURCE), Some("http"));
        assert!(pod.is_static() && PodExt::spec(&pod).tolerations.is_none());
        assert_ne!(pod.uid(), several(POD, "http://s.test/", "n1").unwrap()[0].uid());
    }

    #[test]
    fn refuses_what_is_no_pod() {
        for text in ["", "kind: Service", "kind: Pod", "kind: Pod\nmetadata: {name: a}\nspec: {containers: []}", ": ["]
        {
            assert!(parse(text, "f", "n").is_err(), "{text}");
        }
    }
}
