//! What a pod and a persistent volume refer to.
//!
//! Upstream: `pkg/api/v1/pod/util.go`, `pkg/api/v1/persistentvolume/util.go`.

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// The annotation of pods that only show what a node runs by itself.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// How a pod can refer to an object that its kubelet may then read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Referenced {
    Secret,
    ConfigMap,
    Claim,
    ResourceClaim,
    ServiceAccount,
}

/// Whether a pod refers to the object by volume, environment or image pull secret.
pub(super) fn refers(pod: &Value, what: Referenced, name: &str) -> bool {
    let Some(spec) = pod.get("spec") else { return false };
    // A node must not be able to give itself access by making a pod.
    if pod.annotations().is_some_and(|a| a.contains_key(MIRROR)) {
        return false;
    }
    let volumes = || list(spec, "volumes").any(|v| volume_refers(pod, v, what, name));
    let containers = || {
        let all = ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|k| list(spec, k));
        all.into_iter().any(|c| environment_refers(c, what, name))
    };
    let pull = || what == Referenced::Secret && list(spec, "imagePullSecrets").any(|s| is(s, "/name", name));
    let own = || match what {
        Referenced::ServiceAccount => is(spec, "/serviceAccountName", name),
        Referenced::ResourceClaim => claims(pod, spec, name),
        _ => false,
    };
    own() || volumes() || containers() || pull()
}

fn volume_refers(pod: &Value, volume: &Value, what: Referenced, name: &str) -> bool {
    let source = |projected: &Value| match what {
        Referenced::Secret => is(projected, "/secret/name", name),
        Referenced::ConfigMap => is(projected, "/configMap/name", name),
        _ => false,
    };
    let direct = match what {
        Referenced::Secret => is(volume, "/secret/secretName", name) || plugin_secret(volume, name),
        Referenced::ConfigMap => is(volume, "/configMap/name", name),
        Referenced::Claim => is(volume, "/persistentVolumeClaim/claimName", name) || ephemeral_claim(pod, volume, name),
        _ => false,
    };
    direct || volume.get("projected").is_some_and(|p| list(p, "sources").any(source))
}

/// Secrets that in-line volume plugins name.
fn plugin_secret(volume: &Value, name: &str) -> bool {
    let plugins = [
        "csi/nodePublishSecretRef",
        "azureFile/secretName",
        "cephfs/secretRef",
        "flexVolume/secretRef",
        "iscsi/secretRef",
        "rbd/secretRef",
        "scaleIO/secretRef",
        "storageos/secretRef",
    ];
    plugins.iter().any(|p| is(volume, &format!("/{p}/name"), name) || is(volume, &format!("/{p}"), name))
}

/// The claim of a generic ephemeral volume is named after pod and volume.
fn ephemeral_claim(pod: &Value, volume: &Value, name: &str) -> bool {
    let own = || format!("{}-{}", pod.name(), volume.get("name").and_then(Value::as_str).unwrap_or_default());
    volume.get("ephemeral").is_some() && own() == name
}

fn environment_refers(container: &Value, what: Referenced, name: &str) -> bool {
    let (one, all) = match what {
        Referenced::Secret => ("/valueFrom/secretKeyRef/name", "/secretRef/name"),
        Referenced::ConfigMap => ("/valueFrom/configMapKeyRef/name", "/configMapRef/name"),
        _ => return false,
    };
    list(container, "env").any(|e| is(e, one, name)) || list(container, "envFrom").any(|e| is(e, all, name))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn is(value: &Value, pointer: &str, want: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_str) == Some(want)
}

/// The resource claims of a pod: named by it, or made for it.
fn claims(pod: &Value, spec: &Value, name: &str) -> bool {
    let made = pod.pointer("/status").into_iter().flat_map(|status| list(status, "resourceClaimStatuses"));
    list(spec, "resourceClaims").chain(made).any(|claim| is(claim, "/resourceClaimName", name))
        || is(pod, "/status/extendedResourceClaimStatus/resourceClaimName", name)
}

/// Whether a persistent volume names this secret for its node.
pub(super) fn volume_secret(volume: &Value, namespace: &str, name: &str) -> bool {
    let text = |pointer: &str| volume.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let claim_namespace = text("/spec/claimRef/namespace");
    SECRETS_OF_VOLUMES.iter().any(|(name_at, namespace_at)| {
        let own = text(&format!("/spec/{namespace_at}"));
        text(&format!("/spec/{name_at}")) == name && (if own.is_empty() { claim_namespace } else { own }) == namespace
    })
}

/// Where persistent volumes name secrets that the node needs, and their namespaces.
const SECRETS_OF_VOLUMES: &[(&str, &str)] = &[
    ("azureFile/secretName", "azureFile/secretNamespace"),
    ("cephfs/secretRef/name", "cephfs/secretRef/namespace"),
    ("cinder/secretRef/name", "cinder/secretRef/namespace"),
    ("flexVolume/secretRef/name", "flexVolume/secretRef/namespace"),
    ("rbd/secretRef/name", "rbd/secretRef/namespace"),
    ("scaleIO/secretRef/name", "scaleIO/secretRef/namespace"),
    ("iscsi/secretRef/name", "iscsi/secretRef/namespace"),
    ("storageos/secretRef/name", "storageos/secretRef/namespace"),
    ("csi/nodePublishSecretRef/name", "csi/nodePublishSecretRef/namespace"),
    ("csi/nodeStageSecretRef/name", "csi/nodeStageSecretRef/namespace"),
    ("csi/nodeExpandSecretRef/name", "csi/nodeExpandSecretRef/namespace"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_a_pod_refers_to() {
        let pod = json!({"metadata": {"name": "p"}, "status": {
            "resourceClaimStatuses": [{"name": "g", "resourceClaimName": "made"}]}, "spec": {
            "serviceAccountName": "robot", "resourceClaims": [{"name": "r", "resourceClaimName": "gpu"}],
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "s1"}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": "root"}}, {"secret": {"name": "s2"}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {}}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s3"}}}], "envFrom": [{"configMapRef": {"name": "cm"}}]}]}});
        let cases = [
            (Referenced::Secret, &["pull", "s1", "s2", "s3"][..], &["root", "data"][..]),
            (Referenced::ConfigMap, &["root", "cm"], &["s1", "data"]),
            (Referenced::Claim, &["data", "p-scratch"], &["scratch", "s1"]),
            (Referenced::ServiceAccount, &["robot"], &["data"]),
            (Referenced::ResourceClaim, &["gpu", "made"], &["data"]),
        ];
        for (what, yes, no) in cases {
            assert!(yes.iter().all(|name| refers(&pod, what, name)), "{what:?}");
            assert!(!no.iter().any(|name| refers(&pod, what, name)), "{what:?}");
        }
    }

    #[test]
    fn mirror_pods_refer_to_nothing() {
        let pod = json!({"metadata": {"annotations": {MIRROR: "x"}}, "spec": {"serviceAccountName": "robot"}});
        assert!(!refers(&pod, Referenced::ServiceAccount, "robot"));
    }

    #[test]
    fn secrets_of_volumes() {
        let volume = json!({"spec": {"claimRef": {"namespace": "a"}, "azureFile": {"secretName": "s"},
            "csi": {"nodeStageSecretRef": {"name": "t", "namespace": "b"}}}});
        assert!(volume_secret(&volume, "a", "s") && volume_secret(&volume, "b", "t"));
        assert!(!volume_secret(&volume, "b", "s") && !volume_secret(&volume, "a", "t"));
    }
}
