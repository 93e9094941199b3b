//! Kinds of volumes that are not what they were.

use super::super::Sink;
use super::super::storage::claim_spec;
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;

/// The member, its name in messages, and what became of it.
const DEPRECATED: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// A volume has one source only, so that the order of kinds does not matter.
pub(super) fn all(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    for (index, volume) in spec.items("volumes").iter().enumerate() {
        let at = at.index(index);
        for (_, name, fate) in DEPRECATED.iter().filter(|(member, _, _)| volume.has(member)) {
            warn(format!("{}: {fate}", at.child(name).path()));
        }
        let Some(template) = volume.at("ephemeral").and_then(|e| e.at("volumeClaimTemplate")) else { continue };
        let at = at.child("ephemeral");
        let at = at.child("volumeClaimTemplate");
        claim_spec(&at.child("spec"), template.at("spec"), warn);
    }
}
