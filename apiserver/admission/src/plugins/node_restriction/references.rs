//! What of the API a pod needs. A mirror pod must need nothing: its kubelet could give itself access
//! to anything by making one.
//!
//! Upstream: `pkg/api/pod/util.go` (`HasAPIObjectReference`).

use crate::lookup::text;
use apimachinery::Value;

/// Why a pod is no mirror pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// It needs an object of this resource.
    Object(&'static str),
    /// Nobody knows what a volume needs.
    UnknownVolume(String),
    /// Nobody knows what a source of a projected volume needs.
    UnknownSource(String),
}

/// Volumes that need only the node.
const OF_THE_NODE: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Volumes that need objects of the API.
const OF_THE_API: &[(&str, &str)] = &[
    ("configMap", "configmaps (via configmap volumes)"),
    ("secret", "secrets (via secret volumes)"),
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
    ("azureFile", "secrets (via azureFile volumes)"),
];

/// Sources of projected volumes.
const PROJECTED: &[(&str, &str)] = &[
    ("configMap", "configmaps (via projected volumes)"),
    ("secret", "secrets (via projected volumes)"),
    ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
];

/// Members of volumes that name a Secret.
const SECRETS: &[&str] = &[
    "/azureFile/secretName",
    "/cephfs/secretRef/name",
    "/cinder/secretRef/name",
    "/csi/nodePublishSecretRef/name",
    "/flexVolume/secretRef/name",
    "/iscsi/secretRef/name",
    "/rbd/secretRef/name",
    "/scaleIO/secretRef/name",
    "/secret/secretName",
    "/storageos/secretRef/name",
];

/// The first thing that the pod needs of the API.
pub(super) fn first(pod: &Value) -> Option<Reference> {
    let spec = pod.get("spec")?;
    if !text(spec, "/serviceAccountName").is_empty() {
        return Some(Reference::Object("serviceaccounts"));
    }
    if names_secrets(spec) {
        return Some(Reference::Object("secrets"));
    }
    if names_config_maps(spec) {
        return Some(Reference::Object("configmaps"));
    }
    if list(spec, "resourceClaims").next().is_some() {
        return Some(Reference::Object("resourceclaims"));
    }
    list(spec, "volumes").find_map(of_volume)
}

fn of_volume(volume: &Value) -> Option<Reference> {
    if OF_THE_NODE.iter().any(|source| volume.get(*source).is_some()) {
        return None;
    }
    let name = || text(volume, "/name").to_owned();
    match (found(OF_THE_API, volume), volume.get("projected")) {
        (Some(what), _) => Some(Reference::Object(what)),
        (None, Some(projected)) => list(projected, "sources").find_map(|source| match found(PROJECTED, source) {
            Some(what) => Some(Reference::Object(what)),
            None if source.get("downwardAPI").is_some() => None,
            None => Some(Reference::UnknownSource(name())),
        }),
        (None, None) => Some(Reference::UnknownVolume(name())),
    }
}

fn found(table: &[(&'static str, &'static str)], source: &Value) -> Option<&'static str> {
    table.iter().find(|(member, _)| source.get(*member).is_some()).map(|(_, what)| *what)
}

fn names_secrets(spec: &Value) -> bool {
    list(spec, "imagePullSecrets").any(|secret| named(secret, "/name"))
        || environment(spec, "/valueFrom/secretKeyRef/name", "/secretRef/name")
        || list(spec, "volumes").any(|volume| SECRETS.iter().any(|at| named(volume, at)))
        || projected(spec).any(|source| named(source, "/secret/name"))
}

fn names_config_maps(spec: &Value) -> bool {
    environment(spec, "/valueFrom/configMapKeyRef/name", "/configMapRef/name")
        || list(spec, "volumes").any(|volume| named(volume, "/configMap/name"))
        || projected(spec).any(|source| named(source, "/configMap/name"))
}

/// Whether a container's environment names something there.
fn environment(spec: &Value, of_variable: &str, of_source: &str) -> bool {
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    kinds.into_iter().flat_map(|kind| list(spec, kind)).any(|container| {
        list(container, "env").any(|variable| named(variable, of_variable))
            || list(container, "envFrom").any(|source| named(source, of_source))
    })
}

fn projected(spec: &Value) -> impl Iterator<Item = &Value> {
    list(spec, "volumes").filter_map(|volume| volume.get("projected")).flat_map(|projected| list(projected, "sources"))
}

fn named(value: &Value, pointer: &str) -> bool {
    !text(value, pointer).is_empty()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_pods_need() {
        let object = |what| Some(Reference::Object(what));
        let env = |from: Value| json!({"containers": [{"name": "a", "env": [{"name": "A", "valueFrom": from}]}]});
        let volume = |source: Value| {
            let mut volume = json!({"name": "v"});
            volume.as_object_mut().expect("an object").extend(source.as_object().cloned().expect("an object"));
            json!({"volumes": [volume]})
        };
        for (spec, want) in [
            (json!({"containers": [{"name": "a", "image": "b"}]}), None),
            (json!({"serviceAccountName": "a"}), object("serviceaccounts")),
            (json!({"imagePullSecrets": [{"name": "a"}]}), object("secrets")),
            (json!({"imagePullSecrets": [{}]}), None),
            (env(json!({"secretKeyRef": {"name": "a"}})), object("secrets")),
            (env(json!({"configMapKeyRef": {"name": "a"}})), object("configmaps")),
            (env(json!({"fieldRef": {}})), None),
            (json!({"initContainers": [{"envFrom": [{"configMapRef": {"name": "a"}}]}]}), object("configmaps")),
            (json!({"resourceClaims": [{"name": "a"}]}), object("resourceclaims")),
            (volume(json!({"hostPath": {"path": "/"}})), None),
            (volume(json!({"configMap": {"name": "a"}})), object("configmaps")),
            (volume(json!({"configMap": {}})), object("configmaps (via configmap volumes)")),
            (volume(json!({"persistentVolumeClaim": {"claimName": "a"}})), object("persistentvolumeclaims")),
            (volume(json!({"ephemeral": {}})), object("persistentvolumeclaims (via ephemeral volumes)")),
            (volume(json!({"rbd": {"secretRef": {"name": "a"}}})), object("secrets")),
            (volume(json!({"projected": {"sources": [{"downwardAPI": {}}]}})), None),
            (
                volume(json!({"projected": {"sources": [{"downwardAPI": {}}, {"serviceAccountToken": {}}]}})),
                object("serviceaccounts (via projected volumes)"),
            ),
            (volume(json!({"projected": {"sources": [{"new": {}}]}})), Some(Reference::UnknownSource("v".into()))),
            (volume(json!({"new": {}})), Some(Reference::UnknownVolume("v".into()))),
        ] {
            assert_eq!(first(&json!({"spec": spec})), want, "{spec}");
        }
    }
}
