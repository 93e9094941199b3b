//! `ServiceAccount`: every pod runs as one, and finds its token where clients look for it.
//!
//! Upstream: `plugin/pkg/admission/serviceaccount/admission.go`.

use crate::denial::forbidden;
use crate::lookup::{at, get, text};
use crate::pod::{containers, containers_mut, is_pod, list, spec};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::{Object, Store};
use async_trait::async_trait;
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// An hour, and seven seconds that tell this token from one that was asked for.
const EXPIRATION_SECONDS: u32 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(crate) struct ServiceAccount {
    store: Store,
}

impl ServiceAccount {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn account(&self, attributes: &Attributes<'_>) -> Result<Arc<Object>, Status> {
        let (namespace, name) = (&attributes.context.namespace, text(attributes.object, "/spec/serviceAccountName"));
        let found = get(&self.store, ("", "v1", "serviceaccounts"), namespace, name).await?;
        found.ok_or_else(|| {
            let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            forbidden(attributes, &why)
        })
    }
}

/// What an account says of its pods: most say nothing, and all that is in it is read for each pod.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Account {
    automount_service_account_token: Option<bool>,
    image_pull_secrets: Option<Vec<Value>>,
}

impl Account {
    fn of(object: &Object) -> Self {
        // What is stored is right.
        serde_json::from_slice(object.json()).unwrap_or_default()
    }
}

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if is_mirror(attributes.object) {
            return check_mirror(attributes);
        }
        if text(attributes.object, "/spec/serviceAccountName").is_empty() {
            // The old name of the field is still accepted.
            let old = text(attributes.object, "/spec/serviceAccount");
            let name = if old.is_empty() { DEFAULT } else { old }.to_owned();
            spec(attributes.object).insert("serviceAccountName".into(), name.into());
        }
        let spec = spec(attributes.object);
        if let Some(name) = spec.get("serviceAccountName").cloned() {
            spec.insert("serviceAccount".into(), name);
        }
        let account = Account::of(&*self.account(attributes).await?);
        if automounts(attributes.object, &account) {
            mount_token(attributes.object);
        }
        inherit_pull_secrets(attributes.object, account);
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        match is_mirror(attributes.object) {
            true => check_mirror(attributes),
            false => self.account(attributes).await.map(drop),
        }
    }
}

fn is_mirror(pod: &Value) -> bool {
    pod.annotations().is_some_and(|a| a.contains_key(MIRROR))
}

/// A static pod is run by its kubelet, not for an account.
fn check_mirror(attributes: &Attributes<'_>) -> Result<(), Status> {
    let pod = &attributes.object;
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return Err(forbidden(attributes, "a mirror pod may not reference service accounts"));
    }
    let volumes = at(pod, "/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let sources = volumes.filter_map(|v| at(v, "/projected/sources")?.as_array()).flatten();
    match sources.into_iter().any(|source| source.get("serviceAccountToken").is_some()) {
        true => Err(forbidden(attributes, "a mirror pod may not use ServiceAccountToken volume projections")),
        false => Ok(()),
    }
}

/// The pod's word counts, then the account's.
fn automounts(pod: &Value, account: &Account) -> bool {
    let said = at(pod, "/spec/automountServiceAccountToken").and_then(Value::as_bool);
    said.or(account.automount_service_account_token).unwrap_or(true)
}

/// Mounts a token into every container that has nothing at its place yet.
fn mount_token(pod: &mut Value) {
    let lists = ["initContainers", "containers"];
    if containers(pod, &lists).all(has_mount) {
        return;
    }
    let volumes = at(pod, "/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let present = volumes.map(|v| text(v, "/name")).find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let (name, is_new) = present.map_or_else(|| (volume_name(), true), |name| (name, false));
    for kind in lists {
        for container in containers_mut(pod, kind) {
            let mounts = list(container, "volumeMounts");
            if !mounts.iter().any(is_token_mount) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            }
        }
    }
    if is_new {
        list(spec(pod), "volumes").push(token_volume(&name));
    }
}

fn is_token_mount(mount: &Value) -> bool {
    text(mount, "/mountPath") == MOUNT_PATH
}

fn has_mount(container: &Value) -> bool {
    container.get("volumeMounts").and_then(Value::as_array).is_some_and(|mounts| mounts.iter().any(is_token_mount))
}

fn volume_name() -> String {
    let mut random = rand::rng();
    let suffix = (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
    VOLUME_PREFIX.chars().chain(suffix).collect()
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": EXPIRATION_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}

fn inherit_pull_secrets(pod: &mut Value, account: Account) {
    let own = at(pod, "/spec/imagePullSecrets").and_then(Value::as_array).is_some_and(|s| !s.is_empty());
    let inherited = account.image_pull_secrets.filter(|secrets| !secrets.is_empty());
    if let (false, Some(secrets)) = (own, inherited) {
        spec(pod).insert("imagePullSecrets".into(), secrets.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};

    async fn plugin(account: Value) -> (Cluster, ServiceAccount) {
        let cluster = Cluster::start().await;
        let mut account = account;
        account["metadata"] = json!({"name": "default", "namespace": "ns"});
        cluster.add("/serviceaccounts", account).await;
        let plugin = ServiceAccount::new(cluster.store.clone());
        (cluster, plugin)
    }

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": spec})
    }

    #[tokio::test]
    async fn pods_get_the_default_account_and_its_token() {
        let (_cluster, plugin) = plugin(json!({"imagePullSecrets": [{"name": "s"}]})).await;
        let plain = json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]}]});
        let made = create(&plugin, "/pods", pod(plain)).await.expect("created");
        assert_eq!(
            (text(&made, "/spec/serviceAccountName"), text(&made, "/spec/serviceAccount")),
            ("default", "default")
        );
        assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "s"}]));
        let volume = text(&made, "/spec/volumes/0/name");
        assert!(volume.starts_with(VOLUME_PREFIX) && volume.len() == VOLUME_PREFIX.len() + 5, "{volume}");
        assert_eq!(text(&made, "/spec/containers/0/volumeMounts/0/name"), volume);
        assert_eq!(text(&made, "/spec/containers/1/volumeMounts/0/name"), "x");
    }

    #[tokio::test]
    async fn both_sides_can_decline_the_token() {
        for (account, spec, mounted) in [
            (json!({"automountServiceAccountToken": false}), json!({}), false),
            (json!({"automountServiceAccountToken": false}), json!({"automountServiceAccountToken": true}), true),
            (json!({}), json!({"automountServiceAccountToken": false}), false),
        ] {
            let (_cluster, plugin) = plugin(account).await;
            let mut spec = spec;
            spec["containers"] = json!([{"name": "a"}]);
            let made = create(&plugin, "/pods", pod(spec)).await.expect("created");
            assert_eq!(made.pointer("/spec/volumes").is_some(), mounted);
        }
    }

    #[tokio::test]
    async fn unknown_accounts_are_refused() {
        let (_cluster, plugin) = plugin(json!({})).await;
        let refused = create(&plugin, "/pods", pod(json!({"serviceAccountName": "x"}))).await.expect_err("refused");
        let text = "pods \"p\" is forbidden: error looking up service account ns/x: serviceaccount \"x\" not found";
        assert_eq!((refused.code, refused.message.as_str()), (403, text));
    }

    #[tokio::test]
    async fn mirror_pods_have_none() {
        let (_cluster, plugin) = plugin(json!({})).await;
        let mirror = |spec: Value| json!({"metadata": {"name": "p", "annotations": {MIRROR: "h"}}, "spec": spec});
        let made = create(&plugin, "/pods", mirror(json!({"containers": [{}]}))).await.expect("created");
        assert_eq!(made.pointer("/spec/serviceAccountName"), None);
        assert!(create(&plugin, "/pods", mirror(json!({"serviceAccountName": "default"}))).await.is_err());
    }
}
