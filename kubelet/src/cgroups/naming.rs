//! Where the pods' groups are: as folders of their own, or as slices of systemd.
//!
//! Upstream: `CgroupName.ToSystemd`, `ToCgroupfs`, `ParseSystemdToCgroupName` of `pkg/kubelet/cm`.

use crate::resources::QosClass;
use std::path::{Path, PathBuf};

/// How groups are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `kubepods/burstable/pod<uid>`.
    Folders,
    /// `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice`; dashes in a name are underscores, as
    /// a dash separates a slice from those above it.
    Slices,
}

impl Naming {
    /// The path of a group from the names of the groups above it and its own.
    fn path<'a>(self, names: impl Iterator<Item = &'a str>) -> PathBuf {
        match self {
            Self::Folders => names.collect(),
            Self::Slices => {
                let mut whole = String::new();
                let slices = names.map(|name| {
                    let dash = if whole.is_empty() { "" } else { "-" };
                    whole.push_str(&format!("{dash}{}", name.replace('-', "_")));
                    format!("{whole}.slice")
                });
                slices.collect()
            }
        }
    }

    /// The group of all pods of a class below the root that is configured; of guaranteed pods that of all pods.
    pub(super) fn class(self, root: &Path, class: QosClass) -> PathBuf {
        self.path(names(root).chain(of_class(class)))
    }

    /// The group of a pod.
    pub(super) fn pod(self, root: &Path, class: QosClass, uid: &str) -> PathBuf {
        let own = format!("pod{uid}");
        self.path(names(root).chain(of_class(class)).chain([own.as_str()]))
    }

    /// The UID of the pod that a group is for; `None` if it is none of a pod.
    pub(super) fn uid(self, group: &str) -> Option<String> {
        match self {
            Self::Folders => group.strip_prefix("pod").map(str::to_owned),
            Self::Slices => {
                let name = group.strip_suffix(".slice")?.rsplit('-').next()?;
                name.strip_prefix("pod").map(|uid| uid.replace('_', "-"))
            }
        }
    }
}

fn names(root: &Path) -> impl Iterator<Item = &str> {
    root.iter().filter_map(|name| name.to_str())
}

fn of_class<'a>(class: QosClass) -> impl Iterator<Item = &'a str> {
    let own = match class {
        QosClass::Guaranteed => None,
        QosClass::Burstable => Some("burstable"),
        QosClass::BestEffort => Some("besteffort"),
    };
    ["kubepods"].into_iter().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_pods_and_back() {
        let uid = "6f1d-22";
        for (naming, root, class, want) in [
            (Naming::Folders, "", QosClass::Guaranteed, "kubepods/pod6f1d-22"),
            (Naming::Folders, "a/b", QosClass::BestEffort, "a/b/kubepods/besteffort/pod6f1d-22"),
            (Naming::Slices, "", QosClass::Guaranteed, "kubepods.slice/kubepods-pod6f1d_22.slice"),
            (
                Naming::Slices,
                "",
                QosClass::Burstable,
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6f1d_22.slice",
            ),
            (
                Naming::Slices,
                "my-node",
                QosClass::Guaranteed,
                "my_node.slice/my_node-kubepods.slice/my_node-kubepods-pod6f1d_22.slice",
            ),
        ] {
            let path = naming.pod(Path::new(root), class, uid);
            assert_eq!(path, Path::new(want));
            let group = path.file_name().and_then(|n| n.to_str()).unwrap();
            assert_eq!(naming.uid(group).as_deref(), Some(uid));
        }
        for (naming, other) in
            [(Naming::Folders, "burstable"), (Naming::Slices, "kubepods-burstable.slice"), (Naming::Slices, "x.scope")]
        {
            assert_eq!(naming.uid(other), None, "{other}");
        }
    }
}
