//! Claims, volumes and what is behind them: trimmed to what [`crate::model::storage`] reads.

use super::{Starter, key};
use crate::framework::Event;
use crate::model::storage::{
    Attachment, BETA_CLASS, BIND_COMPLETED, Capacity, Claim, Class, CsiNode, MIGRATED_PLUGINS, SELECTED_NODE, Volume,
};
use crate::scheduler::Scheduler;
use client::informer::{Change, Informer, Scope};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The running watches.
#[derive(Debug)]
pub(super) struct Watches {
    claims: Informer<core::PersistentVolumeClaim>,
    volumes: Informer<core::PersistentVolume>,
    classes: Informer<storage::StorageClass>,
    csi_nodes: Informer<storage::CSINode>,
    drivers: Informer<storage::CSIDriver>,
    capacities: Informer<storage::CSIStorageCapacity>,
    attachments: Informer<storage::VolumeAttachment>,
}

impl Watches {
    pub(super) fn start(starter: &Starter<'_>) -> Self {
        Self {
            claims: starter.start(Scope::default(), trim_claim, on_claim),
            volumes: starter.start(Scope::default(), trim_volume, on_volume),
            classes: starter.start(Scope::default(), trim_class, on_class),
            csi_nodes: starter.start(Scope::default(), trim_csi_node, on_csi_node),
            drivers: starter.start(Scope::default(), trim_driver, on_driver),
            capacities: starter.start(Scope::default(), trim_capacity, on_capacity),
            attachments: starter.start(Scope::default(), trim_attachment, on_attachment),
        }
    }

    pub(super) async fn synced(&self) {
        tokio::join!(
            self.claims.synced(),
            self.volumes.synced(),
            self.classes.synced(),
            self.csi_nodes.synced(),
            self.drivers.synced(),
            self.capacities.synced(),
            self.attachments.synced(),
        );
    }

    pub(super) fn are_synced(&self) -> bool {
        self.claims.is_synced()
            && self.volumes.is_synced()
            && self.classes.is_synced()
            && self.csi_nodes.is_synced()
            && self.drivers.is_synced()
            && self.capacities.is_synced()
            && self.attachments.is_synced()
    }
}

fn on_claim(scheduler: &Scheduler, change: &Change<core::PersistentVolumeClaim>) {
    let claim = Claim::of(change.object());
    let key = claim.key.clone();
    scheduler.change_storage(|storage| match change {
        Change::Added(_) => {
            storage.set_claim(claim);
            vec![Event::ClaimAdded(key)]
        }
        Change::Updated(..) => {
            storage.set_claim(claim);
            vec![Event::ClaimUpdated(key)]
        }
        Change::Deleted(_) => {
            storage.remove_claim(&key);
            Vec::new()
        }
    });
}

fn on_volume(scheduler: &Scheduler, change: &Change<core::PersistentVolume>) {
    let volume = Volume::of(change.object());
    scheduler.change_storage(|storage| match change {
        Change::Deleted(_) => {
            storage.remove_volume(&volume.name);
            Vec::new()
        }
        Change::Added(_) | Change::Updated(..) => {
            let labels = volume.labels.clone();
            match storage.set_volume(volume) {
                None => vec![Event::VolumeAdded],
                Some(old) => vec![Event::VolumeUpdated { labels: old.labels != labels }],
            }
        }
    });
}

fn on_class(scheduler: &Scheduler, change: &Change<storage::StorageClass>) {
    let object = change.object();
    let (_, name) = key(&object.metadata);
    scheduler.change_storage(|storage| match change {
        Change::Deleted(_) => {
            storage.classes.remove(name);
            Vec::new()
        }
        Change::Added(_) | Change::Updated(..) => {
            let class = Class::of(object);
            let topologies = class.topologies.clone();
            match storage.classes.insert(name.to_owned(), class) {
                None => vec![Event::ClassAdded],
                Some(old) if old.topologies != topologies => vec![Event::ClassTopologies],
                Some(_) => Vec::new(),
            }
        }
    });
}

fn on_csi_node(scheduler: &Scheduler, change: &Change<storage::CSINode>) {
    let object = change.object();
    let (_, name) = key(&object.metadata);
    scheduler.change_storage(|storage| match change {
        Change::Deleted(_) => {
            storage.csi_nodes.remove(name);
            Vec::new()
        }
        Change::Added(_) | Change::Updated(..) => {
            let csi = CsiNode::of(object);
            match storage.csi_nodes.insert(name.to_owned(), csi.clone()) {
                None => vec![Event::CsiNodeAdded],
                Some(old) if old != csi => vec![Event::CsiNodeUpdated],
                Some(_) => Vec::new(),
            }
        }
    });
}

fn on_driver(scheduler: &Scheduler, change: &Change<storage::CSIDriver>) {
    let object = change.object();
    let (_, name) = key(&object.metadata);
    let is_tracked = object.spec.storage_capacity == Some(true) && !matches!(change, Change::Deleted(_));
    scheduler.change_storage(|storage| {
        if is_tracked {
            storage.tracked_drivers.insert(name.to_owned());
        } else if storage.tracked_drivers.remove(name) {
            return vec![Event::StorageUntracked];
        }
        Vec::new()
    });
}

fn on_capacity(scheduler: &Scheduler, change: &Change<storage::CSIStorageCapacity>) {
    let object = change.object();
    let (namespace, name) = key(&object.metadata);
    let id = format!("{namespace}/{name}");
    scheduler.change_storage(|storage| match change {
        Change::Deleted(_) => {
            storage.capacities.remove(&id);
            Vec::new()
        }
        Change::Added(_) | Change::Updated(..) => {
            let capacity = Capacity::of(object);
            let largest = capacity.largest;
            match storage.capacities.insert(id, capacity) {
                // Less than nothing is less than none at all.
                Some(old) if old.largest >= largest => Vec::new(),
                Some(_) | None => vec![Event::StorageGrown],
            }
        }
    });
}

fn on_attachment(scheduler: &Scheduler, change: &Change<storage::VolumeAttachment>) {
    let object = change.object();
    let (_, name) = key(&object.metadata);
    scheduler.change_storage(|storage| match change {
        Change::Deleted(_) => {
            storage.set_attachment(name, None);
            vec![Event::VolumeDetached]
        }
        Change::Added(_) | Change::Updated(..) => {
            storage.set_attachment(name, Attachment::of(object));
            Vec::new()
        }
    });
}

fn trim_claim(claim: &mut core::PersistentVolumeClaim) {
    keep_annotations(&mut claim.metadata, &[SELECTED_NODE, BIND_COMPLETED, BETA_CLASS]);
    claim.metadata.labels = None;
    if let Some(owners) = &mut claim.metadata.owner_references {
        owners.retain(|owner| owner.controller == Some(true));
    }
    if let Some(status) = &mut claim.status {
        let phase = status.phase.take();
        *status = core::PersistentVolumeClaimStatus { phase, ..Default::default() };
    }
}

fn trim_volume(volume: &mut core::PersistentVolume) {
    keep_annotations(&mut volume.metadata, &[BETA_CLASS]);
    volume.metadata.owner_references = None;
    if let Some(spec) = &mut volume.spec {
        spec.mount_options = None;
        if let Some(csi) = &mut spec.csi {
            csi.volume_attributes = None;
        }
    }
    if let Some(status) = &mut volume.status {
        let phase = status.phase.take();
        *status = core::PersistentVolumeStatus { phase, ..Default::default() };
    }
}

fn trim_class(class: &mut storage::StorageClass) {
    keep_annotations(&mut class.metadata, &[]);
    class.metadata.labels = None;
    class.parameters = None;
    class.mount_options = None;
}

fn trim_csi_node(node: &mut storage::CSINode) {
    keep_annotations(&mut node.metadata, &[MIGRATED_PLUGINS]);
    node.metadata.labels = None;
    node.metadata.owner_references = None;
    for driver in &mut node.spec.drivers {
        driver.node_id = String::new();
        driver.topology_keys = None;
    }
}

fn trim_driver(driver: &mut storage::CSIDriver) {
    keep_annotations(&mut driver.metadata, &[]);
    let storage_capacity = driver.spec.storage_capacity;
    driver.spec = storage::CSIDriverSpec { storage_capacity, ..Default::default() };
}

fn trim_capacity(capacity: &mut storage::CSIStorageCapacity) {
    keep_annotations(&mut capacity.metadata, &[]);
    capacity.metadata.labels = None;
    capacity.metadata.owner_references = None;
}

fn trim_attachment(attachment: &mut storage::VolumeAttachment) {
    keep_annotations(&mut attachment.metadata, &[]);
    attachment.status = None;
    attachment.spec.source.inline_volume_spec = None;
}

fn keep_annotations(metadata: &mut ObjectMeta, wanted: &[&str]) {
    metadata.finalizers = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| wanted.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trimming_takes_nothing_that_is_read() {
        let claim = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "3", "labels": {"a": "b"},
            "annotations": {SELECTED_NODE: "n1", BIND_COMPLETED: "yes", "other": "x"}, "finalizers": ["f"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": true}]},
            "spec": {"volumeName": "v", "storageClassName": "s", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Lost", "capacity": {"storage": "1Gi"}}});
        let whole: core::PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        let mut trimmed = whole.clone();
        trim_claim(&mut trimmed);
        assert_eq!(Claim::of(&whole), Claim::of(&trimmed));
        assert_eq!(trimmed.metadata.annotations.unwrap().len(), 2);

        let volume = json!({"metadata": {"name": "v", "labels": {"topology.kubernetes.io/zone": "a"}, "annotations": {"other": "x"}},
            "spec": {"csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"k": "v"}}, "mountOptions": ["ro"],
                "claimRef": {"namespace": "n", "name": "c", "uid": "u"}, "capacity": {"storage": "1Gi"}},
            "status": {"phase": "Available", "message": "m"}});
        let whole: core::PersistentVolume = serde_json::from_value(volume).unwrap();
        let mut trimmed = whole.clone();
        trim_volume(&mut trimmed);
        assert_eq!(Volume::of(&whole), Volume::of(&trimmed));
        assert!(trimmed.spec.unwrap().mount_options.is_none());
    }
}
