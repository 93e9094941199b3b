//! Volumes, claims, and what provides them.

use super::cell::Cell;
use super::column::{AGE, Column, NAME, flag, number as numbers, text};
use super::words::{NONE, UNSET, count, or};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) static PERSISTENT_VOLUME: Printer = Printer {
    columns: &[
        NAME,
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How it can be mounted."),
        text("Reclaim Policy", "What becomes of it when its claim is gone."),
        text("Status", "Whether it is bound, free or released."),
        text("Claim", "The claim it is bound to."),
        text("StorageClass", "Its storage class."),
        text("VolumeAttributesClass", "Its class of changeable attributes."),
        text("Reason", "Why it is in this state."),
        AGE,
        text("VolumeMode", "Whether it holds a file system or is a block device.").wide(),
    ],
    row: volume,
};

fn volume(volume: &Value) -> Vec<Cell> {
    let (spec, status) = (part(volume, "spec"), part(volume, "status"));
    let claim = spec.at("claimRef").map(|c| format!("{}/{}", c.text("namespace"), c.text("name")));
    vec![
        name(volume),
        Cell::text(spec.at("capacity").map_or("", |c| c.text("storage"))),
        Cell::text(access_modes(spec)),
        Cell::text(spec.text("persistentVolumeReclaimPolicy")),
        Cell::text(phase(volume)),
        Cell::text(claim.unwrap_or_default()),
        Cell::text(class(volume)),
        Cell::text(or(spec.text("volumeAttributesClassName"), UNSET)),
        Cell::text(status.text("reason")),
        age(volume),
        Cell::text(or(spec.text("volumeMode"), UNSET)),
    ]
}

pub(super) static PERSISTENT_VOLUME_CLAIM: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "Whether it is bound."),
        text("Volume", "The volume it is bound to."),
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How the volume can be mounted."),
        text("StorageClass", "Its storage class."),
        text("VolumeAttributesClass", "Its class of changeable attributes."),
        AGE,
        text("VolumeMode", "Whether the volume holds a file system or is a block device.").wide(),
    ],
    row: claim,
};

fn claim(claim: &Value) -> Vec<Cell> {
    let (spec, status) = (part(claim, "spec"), part(claim, "status"));
    let bound = !spec.text("volumeName").is_empty();
    let (capacity, modes) = match bound {
        true => (status.at("capacity").map_or("", |c| c.text("storage")), access_modes(status)),
        false => ("", String::new()),
    };
    vec![
        name(claim),
        Cell::text(phase(claim)),
        Cell::text(spec.text("volumeName")),
        Cell::text(capacity),
        Cell::text(modes),
        Cell::text(class(claim)),
        Cell::text(or(spec.text("volumeAttributesClassName"), UNSET)),
        age(claim),
        Cell::text(or(spec.text("volumeMode"), UNSET)),
    ]
}

fn part<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.at(key).unwrap_or(&Value::Null)
}

fn phase(object: &Value) -> &str {
    if object.is_deleting() { "Terminating" } else { part(object, "status").text("phase") }
}

/// The annotation is the old form of the field.
fn class(object: &Value) -> &str {
    let annotation = object.annotations().and_then(|a| a.get("volume.beta.kubernetes.io/storage-class"));
    annotation.and_then(Value::as_str).unwrap_or(part(object, "spec").text("storageClassName"))
}

fn access_modes(object: &Value) -> String {
    const MODES: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| object.texts("accessModes").any(|m| m == mode);
    MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

pub(super) static STORAGE_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text("Provisioner", "Who makes the volumes."),
        text("ReclaimPolicy", "What becomes of a volume when its claim is gone."),
        text("VolumeBindingMode", "When claims are bound."),
        text("AllowVolumeExpansion", "Whether volumes can grow."),
        AGE,
    ],
    row: |class| {
        vec![
            Cell::text(class_name(class, "storageclass")),
            Cell::text(class.text("provisioner")),
            Cell::text(or(class.text("reclaimPolicy"), "Delete")),
            Cell::text(or(class.text("volumeBindingMode"), "Immediate")),
            Cell::Value(class.flag("allowVolumeExpansion").into()),
            age(class),
        ]
    },
};

/// Marks the class that claims without one get.
fn class_name(class: &Value, word: &str) -> String {
    let is_set = |key: String| class.annotations().and_then(|a| a.get(&key)).is_some_and(|v| v == "true");
    let default = is_set(format!("{word}.kubernetes.io/is-default-class"))
        || is_set(format!("{word}.beta.kubernetes.io/is-default-class"));
    format!("{}{}", class.name(), if default { " (default)" } else { "" })
}

pub(super) static VOLUME_ATTRIBUTES_CLASS: Printer = Printer {
    columns: &[NAME, text("DriverName", "The driver whose volumes it is for."), AGE],
    row: |class| vec![name(class), Cell::text(class.text("driverName")), age(class)],
};

pub(super) static VOLUME_ATTACHMENT: Printer = Printer {
    columns: &[
        NAME,
        // That this is a name, too, is upstream's way.
        Column { format: "name", ..text("Attacher", "Who attaches the volume.") },
        text("PV", "The volume."),
        text("Node", "The node."),
        flag("Attached", "Whether it is attached."),
        AGE,
    ],
    row: |attachment| {
        let spec = part(attachment, "spec");
        vec![
            name(attachment),
            Cell::text(spec.text("attacher")),
            Cell::text(spec.at("source").map_or("", |s| s.text("persistentVolumeName"))),
            Cell::text(spec.text("nodeName")),
            Cell::Value(part(attachment, "status").flag("attached").into()),
            age(attachment),
        ]
    },
};

pub(super) static CSI_NODE: Printer = Printer {
    columns: &[NAME, numbers("Drivers", "How many drivers run on the node."), AGE],
    row: |node| vec![name(node), Cell::Value(count(part(node, "spec"), "drivers").into()), age(node)],
};

pub(super) static CSI_DRIVER: Printer = Printer {
    columns: &[
        NAME,
        flag("AttachRequired", "Whether volumes are attached before they are mounted."),
        flag("PodInfoOnMount", "Whether the driver is told of the pod."),
        flag("StorageCapacity", "Whether the driver says how much space is left."),
        text("TokenRequests", "The audiences of the tokens the driver gets."),
        flag("RequiresRepublish", "Whether volumes are published again from time to time."),
        text("Modes", "Whose volumes the driver provides."),
        AGE,
    ],
    row: |driver| {
        let spec = part(driver, "spec");
        let flag = |key| Cell::Value(spec.flag(key).into());
        let join = |list: Vec<&str>| list.join(",");
        let audiences = match spec.has("tokenRequests") {
            true => join(spec.items("tokenRequests").iter().map(|t| t.text("audience")).collect()),
            false => UNSET.into(),
        };
        vec![
            name(driver),
            flag("attachRequired"),
            flag("podInfoOnMount"),
            flag("storageCapacity"),
            Cell::text(audiences),
            flag("requiresRepublish"),
            Cell::text(or(&join(spec.texts("volumeLifecycleModes").collect()), NONE)),
            age(driver),
        ]
    },
};
