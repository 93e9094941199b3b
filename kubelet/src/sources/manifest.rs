//! A static pod from its manifest: named after the node, identified by its content.

use crate::pod::{CONFIG_HASH, CONFIG_MIRROR, CONFIG_SEEN, CONFIG_SOURCE, PodExt};
use k8s_openapi::api::core::v1::{Container, Node, Pod, Toleration};
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

/// Reads a manifest, YAML or JSON.
pub fn parse(text: &str, node: &str) -> Result<Pod, ManifestError> {
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|e| ManifestError::Syntax(e.to_string()))?;
    match value.get("kind").and_then(|k| k.as_str()) {
        Some("Pod") => {}
        other => return Err(ManifestError::Kind(other.unwrap_or("thing without a kind").to_owned())),
    }
    let mut pod: Pod = serde_json::from_value(value).map_err(|e| ManifestError::Syntax(e.to_string()))?;
    if pod.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(ManifestError::NoName);
    }
    let spec = pod.spec.as_mut().filter(|s| !s.containers.is_empty()).ok_or(ManifestError::NoContainers)?;
    spec.node_name = Some(node.to_owned());
    spec.restart_policy.get_or_insert_with(|| "Always".to_owned());
    spec.dns_policy.get_or_insert_with(|| "ClusterFirst".to_owned());
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.tolerations.get_or_insert_default().push(tolerate_everything());
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(set_defaults);
    identify(&mut pod, text, node);
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

/// The UID follows from node and content: the same manifest is the same pod after a restart.
fn identify(pod: &mut Pod, text: &str, node: &str) {
    let digest = Sha256::new().chain_update(node).chain_update([0]).chain_update(text).finalize();
    let hash: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    let meta = &mut pod.metadata;
    meta.name = meta.name.take().map(|n| format!("{n}-{node}"));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    meta.uid = Some(hash.clone());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(CONFIG_HASH.into(), hash);
    annotations.insert(CONFIG_SOURCE.into(), "file".into());
    annotations.insert(CONFIG_SEEN.into(), Timestamp::now().to_string());
}

/// The object that shows a static pod at the apiserver.
pub fn mirror(pod: &Pod, node: Option<&Node>) -> Pod {
    let mut mirror = pod.clone();
    mirror.status = None;
    mirror.metadata.uid = None;
    let hash = pod.annotation(CONFIG_HASH).unwrap_or_default().to_owned();
    mirror.metadata.annotations.get_or_insert_default().insert(CONFIG_MIRROR.into(), hash);
    mirror.metadata.owner_references = node.map(|n| {
        vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: n.metadata.name.clone().unwrap_or_default(),
            uid: n.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]
    });
    mirror
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: x}]}\n";

    #[test]
    fn named_after_the_node_and_stable() {
        let pod = parse(POD, "n1").unwrap();
        assert_eq!((pod.name(), pod.namespace()), ("web-n1", "default"));
        assert!(pod.is_static() && pod.is_critical());
        assert_eq!(pod.uid(), parse(POD, "n1").unwrap().uid());
        assert_ne!(pod.uid(), parse(POD, "n2").unwrap().uid());
        assert_eq!(PodExt::spec(&pod).containers[0].image_pull_policy.as_deref(), Some("Always"));
        assert!(mirror(&pod, None).is_mirror());
    }

    #[test]
    fn refuses_what_is_no_pod() {
        for text in ["", "kind: Service", "kind: Pod", "kind: Pod\nmetadata: {name: a}\nspec: {containers: []}", ": ["]
        {
            assert!(parse(text, "n").is_err(), "{text}");
        }
    }
}
