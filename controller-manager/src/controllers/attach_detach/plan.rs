//! Which volume belongs to which node, and what is next on the way there or back.

use crate::objects::pods;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{AttachedVolume, ContainerStatus, Node, PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// The kubelet of a node with this annotation leaves attaching to the controller.
const MANAGED: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// What the names of CSI volumes begin with in the status of nodes.
const PLUGIN: &str = "kubernetes.io/csi/";
/// How long a node is waited for to unmount; then its volumes are taken from it if it is not ready.
pub(super) const MAX_WAIT_FOR_UNMOUNT: Duration = Duration::from_secs(360);
/// How long a driver is waited for to attach, before that is reported.
pub(super) const ATTACH_TIMEOUT: Duration = Duration::from_secs(120);

/// A volume of a CSI driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    /// The name of the persistent volume; empty if nothing is known of it any more.
    pub(super) name: String,
    /// Its driver.
    pub(super) driver: String,
    /// What the driver calls it.
    pub(super) handle: String,
    /// Whether several nodes may have it.
    pub(super) shared: bool,
}

impl Volume {
    /// The CSI volume behind a persistent volume.
    pub(super) fn of(volume: &PersistentVolume) -> Option<Self> {
        let spec = volume.spec.as_ref()?;
        let csi = spec.csi.as_ref()?;
        let modes = spec.access_modes.as_deref().unwrap_or_default();
        Some(Self {
            name: volume.metadata.name.clone().unwrap_or_default(),
            driver: csi.driver.clone(),
            handle: csi.volume_handle.clone(),
            // Without any mode nothing is known, and the driver is to refuse what it cannot do.
            shared: modes.is_empty() || modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany"),
        })
    }

    /// The volume behind a name in the status of a node; `None` for volumes of other kinds.
    pub(super) fn reported(unique: &str) -> Option<Self> {
        let (driver, handle) = unique.strip_prefix(PLUGIN)?.split_once('^')?;
        let (driver, handle) = (driver.to_owned(), handle.to_owned());
        Some(Self { name: String::new(), driver, handle, shared: true })
    }

    /// Its name in the status of nodes.
    pub(super) fn unique(&self) -> String {
        format!("{PLUGIN}{}^{}", self.driver, self.handle)
    }

    /// The name of its attachment to a node.
    pub(super) fn attachment(&self, node: &str) -> String {
        let digest = Sha256::digest(format!("{}{}{node}", self.handle, self.driver));
        digest.iter().fold("csi-".to_owned(), |mut name, byte| {
            let _infallible = write!(name, "{byte:02x}");
            name
        })
    }
}

/// The claim that a volume is for.
pub(super) fn claim_of(volume: &PersistentVolume) -> Option<ObjectKey> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey { namespace: claim.namespace.clone()?, name: claim.name.clone()? })
}

/// Whether volumes of the driver are attached at all; those of an unknown one are.
pub(super) fn must_attach(driver: Option<&CSIDriver>) -> bool {
    driver.is_none_or(|driver| driver.spec.attach_required != Some(false))
}

/// Whether the pod has no more use for its volumes.
pub(super) fn is_over(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    let all = [status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses];
    pods::is_finished(pod)
        || (pods::is_terminating(pod) && all.iter().flatten().flatten().all(|container| !runs(container)))
}

fn runs(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_none_or(|state| state.terminated.is_none() && state.waiting.is_none())
}

/// Whether volumes of the node are attached here and not by its kubelet.
pub(super) fn is_managed(node: &Node) -> bool {
    node.metadata.annotations.iter().flatten().any(|(key, _)| key == MANAGED)
}

/// Whether nothing changed that matters here.
pub(super) fn same_for_volumes(before: &Node, after: &Node) -> bool {
    let seen = |node: &Node| {
        let status = node.status.clone().unwrap_or_default();
        (status.volumes_attached, status.volumes_in_use, is_managed(node), is_ready(node), is_out_of_service(node))
    };
    seen(before) == seen(after)
}

fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_out_of_service(node: &Node) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == OUT_OF_SERVICE)
}

/// Whether the node says that the volume is mounted. One that is gone does not say so any more.
pub(super) fn is_mounted(node: Option<&Node>, unique: &str) -> bool {
    let Some(node) = node else { return true };
    node.status.iter().flat_map(|status| status.volumes_in_use.iter().flatten()).any(|volume| volume == unique)
}

/// Why a volume is taken from a node that may still have it mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// The node did not unmount it in time.
    Timeout,
    /// The node is out of service.
    OutOfService,
}

/// What becomes of an attached volume that no pod of the node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is still mounted; after this time it may be taken all the same.
    Wait(Duration),
    /// It is still mounted, and only a change of the node helps.
    Stay,
    /// It is detached if the node, asked once more, does not have it in use.
    Safely,
    /// It is detached without asking.
    Forced(Force),
}

/// Decides about a volume that no pod has been using for a time.
pub(super) fn leave(node: Option<&Node>, unique: &str, waited: Duration, may_force: bool) -> Leave {
    let expired = may_force && waited > MAX_WAIT_FOR_UNMOUNT;
    let is_out = node.is_some_and(is_out_of_service);
    let is_lost = expired && !node.is_some_and(is_ready);
    if is_mounted(node, unique) && !is_lost && !is_out {
        return match may_force && !expired {
            true => Leave::Wait(MAX_WAIT_FOR_UNMOUNT.saturating_sub(waited)),
            false => Leave::Stay,
        };
    }
    match (expired, is_out) {
        (true, _) => Leave::Forced(Force::Timeout),
        (false, true) => Leave::Forced(Force::OutOfService),
        (false, false) => Leave::Safely,
    }
}

/// How a wanted attachment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// There is none.
    Missing,
    /// The driver works on it.
    Attaching,
    /// It is done.
    Attached,
    /// It did not work, for this reason.
    Failed(String),
}

/// How an attachment stands.
pub(super) fn stand(attachment: Option<&VolumeAttachment>) -> Stand {
    let Some(attachment) = attachment else { return Stand::Missing };
    if attachment.metadata.deletion_timestamp.is_some() {
        return Stand::Failed("volume attachment is being deleted".to_owned());
    }
    let error = attachment.status.as_ref().and_then(|status| status.attach_error.as_ref());
    match (is_attached(attachment), error) {
        (true, _) => Stand::Attached,
        (false, Some(error)) => Stand::Failed(error.message.clone().unwrap_or_default()),
        (false, None) => Stand::Attaching,
    }
}

/// Whether the driver has attached it.
pub(super) fn is_attached(attachment: &VolumeAttachment) -> bool {
    attachment.status.as_ref().is_some_and(|status| status.attached)
}

/// The node with these volumes reported as attached, in the order that they have already; `None`
/// if it is so.
pub(super) fn with_attached(node: &Node, volumes: &[String]) -> Option<Node> {
    let before = reported(node);
    let kept = before.iter().filter(|name| volumes.contains(name));
    let new = volumes.iter().filter(|name| !before.contains(name));
    let names: Vec<_> = kept.chain(new).cloned().collect();
    if names == before {
        return None;
    }
    let list = names.into_iter().map(|name| AttachedVolume { name, device_path: String::new() });
    let mut after = node.clone();
    let list: Vec<_> = list.collect();
    after.status.get_or_insert_default().volumes_attached = (!list.is_empty()).then_some(list);
    Some(after)
}

/// The names of the volumes that the node's status says are attached.
pub(super) fn reported(node: &Node) -> Vec<String> {
    let volumes = node.status.iter().flat_map(|status| status.volumes_attached.iter().flatten());
    volumes.map(|volume| volume.name.clone()).collect()
}

/// What is said of a volume to a pod, in upstream's words.
pub(super) fn message(what: &str, volume: &str, more: &str) -> String {
    format!("{what} for volume {volume:?} {more}")
}

/// Why a pod has to wait for a volume that these other pods have.
pub(super) fn taken(waiting: &Pod, volume: &str, others: &[impl AsRef<Pod>]) -> String {
    let namespace = &waiting.metadata.namespace;
    let (local, foreign): (Vec<_>, Vec<_>) =
        others.iter().map(AsRef::as_ref).partition(|pod| pod.metadata.namespace == *namespace);
    let names: Vec<_> = local.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    let more = match (names.is_empty(), foreign.len()) {
        (true, 0) => "Volume is already exclusively attached to one node and can't be attached to another".to_owned(),
        (true, count) => format!("Volume is already used by {count} pod(s) in different namespaces"),
        (false, 0) => format!("Volume is already used by pod(s) {}", names.join(", ")),
        (false, count) => {
            format!("Volume is already used by pod(s) {} and {count} pod(s) in different namespaces", names.join(", "))
        }
    };
    message("Multi-Attach error", volume, &more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn node(ready: &str, in_use: &[&str], taints: &[&str]) -> Node {
        let taints: Vec<_> = taints.iter().map(|key| json!({"key": key, "effect": "NoExecute"})).collect();
        from(json!({"metadata": {"name": "n"}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}], "volumesInUse": in_use}}))
    }

    #[test]
    fn names_are_upstreams() {
        let volume = |modes: &[&str]| -> PersistentVolume {
            from(json!({"metadata": {"name": "pv"}, "spec": {"accessModes": modes,
                "csi": {"driver": "d.example", "volumeHandle": "h^1"}}}))
        };
        let shared = |modes: &[&str]| Volume::of(&volume(modes)).unwrap().shared;
        let table: [(&[&str], bool); 4] = [
            (&[], true),
            (&["ReadWriteOnce"], false),
            (&["ReadWriteOncePod"], false),
            (&["ReadWriteOnce", "ReadOnlyMany"], true),
        ];
        for (modes, expected) in table {
            assert_eq!(shared(modes), expected, "{modes:?}");
        }
        let csi = Volume::of(&volume(&[])).unwrap();
        assert_eq!(csi.unique(), "kubernetes.io/csi/d.example^h^1");
        // sha256 of "h^1d.examplen".
        let digest = Sha256::digest("h^1d.examplen");
        assert_eq!(csi.attachment("n"), format!("csi-{digest:x}"));
        let back = Volume::reported(&csi.unique()).unwrap();
        assert_eq!((back.driver, back.handle), (csi.driver, csi.handle));
        assert_eq!(Volume::reported("kubernetes.io/iscsi/x"), None);
    }

    #[test]
    fn a_mounted_volume_stays_until_its_node_is_lost() {
        let (short, long) = (Duration::from_secs(1), MAX_WAIT_FOR_UNMOUNT + Duration::from_secs(1));
        let left = MAX_WAIT_FOR_UNMOUNT - short;
        let out: &[&str] = &["node.kubernetes.io/out-of-service"];
        let free: &[&str] = &[];
        let used: &[&str] = &["v"];
        let table = [
            (Some(node("True", free, free)), short, true, Leave::Safely),
            (Some(node("True", used, free)), short, true, Leave::Wait(left)),
            (Some(node("True", used, free)), long, true, Leave::Stay),
            (Some(node("True", used, free)), short, false, Leave::Stay),
            (Some(node("Unknown", used, free)), short, true, Leave::Wait(left)),
            (Some(node("Unknown", used, free)), long, true, Leave::Forced(Force::Timeout)),
            (Some(node("Unknown", used, free)), long, false, Leave::Stay),
            (Some(node("Unknown", used, out)), short, true, Leave::Forced(Force::OutOfService)),
            (Some(node("True", free, free)), long, true, Leave::Forced(Force::Timeout)),
            (None, short, true, Leave::Wait(left)),
            (None, long, true, Leave::Forced(Force::Timeout)),
        ];
        for (index, (node, waited, may_force, expected)) in table.into_iter().enumerate() {
            assert_eq!(leave(node.as_ref(), "v", waited, may_force), expected, "{index}");
        }
    }

    #[test]
    fn how_an_attachment_stands() {
        let attachment = |deleted: bool, status: Value| -> VolumeAttachment {
            from(json!({"metadata": {"name": "a", "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z")},
                "spec": {"attacher": "d", "nodeName": "n", "source": {}}, "status": status}))
        };
        let failed = json!({"attached": false, "attachError": {"message": "no"}});
        let table = [
            (None, Stand::Missing),
            (Some(attachment(false, Value::Null)), Stand::Attaching),
            (Some(attachment(false, json!({"attached": true}))), Stand::Attached),
            (Some(attachment(false, failed)), Stand::Failed("no".to_owned())),
            (
                Some(attachment(true, json!({"attached": true}))),
                Stand::Failed("volume attachment is being deleted".to_owned()),
            ),
        ];
        for (attachment, expected) in table {
            assert_eq!(stand(attachment.as_ref()), expected);
        }
    }

    #[test]
    fn a_pod_needs_its_volumes_while_it_runs() {
        let pod = |deleted: bool, phase: &str, state: Value| -> Pod {
            from(json!({"metadata": {"deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z")},
                "status": {"phase": phase, "containerStatuses":
                    [{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}))
        };
        let ended = json!({"terminated": {"exitCode": 0}});
        let table = [
            (pod(false, "Running", json!({"running": {}})), false),
            (pod(false, "Pending", json!({"waiting": {}})), false),
            (pod(false, "Succeeded", ended.clone()), true),
            (pod(true, "Running", json!({"running": {}})), false),
            (pod(true, "Running", ended), true),
        ];
        for (pod, over) in table {
            assert_eq!(is_over(&pod), over, "{pod:?}");
        }
    }

    #[test]
    fn the_report_keeps_its_order() {
        let node: Node = from(json!({"status": {"volumesAttached": [
            {"name": "b", "devicePath": ""}, {"name": "a", "devicePath": ""}]}}));
        let names = |volumes: &[&str]| {
            let volumes: Vec<_> = volumes.iter().map(ToString::to_string).collect();
            with_attached(&node, &volumes).map(|node| reported(&node))
        };
        assert_eq!(names(&["a", "b"]), None);
        assert_eq!(names(&["a", "c"]), Some(vec!["a".to_owned(), "c".to_owned()]));
        assert_eq!(names(&[]), Some(Vec::new()));
    }

    #[test]
    fn pods_hear_who_has_their_volume() {
        let pod = |namespace: &str, name: &str| -> Arc<Pod> {
            Arc::new(from(json!({"metadata": {"namespace": namespace, "name": name}})))
        };
        let waiting = pod("n", "w");
        let table = [
            (
                vec![],
                "Multi-Attach error for volume \"pv\" Volume is already exclusively attached to one node and can't be \
                 attached to another",
            ),
            (
                vec![pod("n", "a"), pod("n", "b")],
                "Multi-Attach error for volume \"pv\" Volume is already used by pod(s) a, b",
            ),
            (
                vec![pod("n", "a"), pod("m", "b")],
                "Multi-Attach error for volume \"pv\" Volume is already used by pod(s) a and 1 pod(s) in different \
                 namespaces",
            ),
            (
                vec![pod("m", "b")],
                "Multi-Attach error for volume \"pv\" Volume is already used by 1 pod(s) in different namespaces",
            ),
        ];
        for (others, expected) in table {
            assert_eq!(taken(&waiting, "pv", &others), expected);
        }
    }
}
