//! A node's CSI drivers take so many volumes and no more.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::storage::{Claim, CsiNode, Source, Storage};
use crate::model::volumes::{Disk, MIGRATIONS, Origin, PodVolume};
use crate::model::{NodeId, Pod};
use crate::plugins::volume_binding::not_found;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeVolumeLimits;

const REASON: &str = "node(s) exceed max volume count";

/// A driver, and what it calls the volume.
type Attached<'s> = (Cow<'s, str>, Cow<'s, str>);

impl Filter for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn concerns(&self, cluster: &Cluster, pod: &Pod) -> bool {
        !pod.volumes.is_empty() && !cluster.storage.csi_nodes.is_empty()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let storage = &cluster.storage;
        candidates.retain(self.name(), |node| {
            let Some(csi) = storage.csi_nodes.get(&**cluster.nodes.name(node)) else { return Ok(()) };
            if let Some(missing) = pod.claims().find(|key| storage.claim(key).is_none()) {
                let why = format!("looking up PVC {missing}: {}", not_found(missing));
                return Err(Rejection::unresolvable(why));
            }
            if csi.limits.is_empty() || has_room(cluster, pod, node, csi) {
                Ok(())
            } else {
                Err(Rejection::resolvable(REASON))
            }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::CsiNodeAdded
                | Event::CsiNodeUpdated
                | Event::PodRemoved
                | Event::ClaimAdded(_)
                | Event::VolumeDetached
        )
    }
}

fn has_room(cluster: &Cluster, pod: &Pod, node: NodeId, csi: &CsiNode) -> bool {
    let storage = &cluster.storage;
    let mut wanted: BTreeSet<_> = pod.volumes.iter().filter_map(|volume| attached(storage, csi, volume)).collect();
    wanted.retain(|(driver, _)| csi.limits.contains_key(&**driver));
    if wanted.is_empty() {
        return true;
    }
    let used = cluster.nodes.volumes[node as usize].iter().filter_map(|volume| attached(storage, csi, volume));
    // Attachments outlive the pods for which they were made.
    let used: BTreeSet<_> = used.chain(still_attached(storage, cluster.nodes.name(node))).collect();
    csi.limits.iter().all(|(driver, limit)| {
        let of_driver = |volumes: &BTreeSet<Attached<'_>>| volumes.iter().filter(|(d, _)| d == driver).count();
        let new = wanted.iter().filter(|volume| volume.0 == *driver && !used.contains(volume)).count();
        new == 0 || i64::try_from(of_driver(&used) + new).unwrap_or(i64::MAX) <= *limit
    })
}

/// What a pod's volume is to the node's drivers; `None` if it is nothing to them.
fn attached<'s>(storage: &'s Storage, csi: &CsiNode, volume: &'s PodVolume) -> Option<Attached<'s>> {
    match volume {
        PodVolume::Disk(disk) => migrated(csi, disk),
        PodVolume::Claim { key, origin: Origin::Named | Origin::Ephemeral } => {
            of_claim(storage, csi, storage.claim(key)?)
        }
    }
}

fn of_claim<'s>(storage: &'s Storage, csi: &CsiNode, claim: &'s Claim) -> Option<Attached<'s>> {
    match storage.volume(&claim.volume).map(|volume| &volume.source) {
        Some(Source::Csi { driver, handle }) => Some((driver.into(), handle.into())),
        Some(Source::Disk(disk)) => migrated(csi, disk),
        Some(Source::Other) => None,
        None => of_class(storage, csi, claim),
    }
}

/// A volume that is still to be made counts for the driver that will make it.
fn of_class<'s>(storage: &'s Storage, csi: &CsiNode, claim: &'s Claim) -> Option<Attached<'s>> {
    let class = storage.classes.get(&claim.class)?;
    // No driver calls a volume so.
    let handle = format!("\0{}", claim.key);
    match MIGRATIONS.iter().find(|migration| migration.plugin == class.provisioner) {
        Some(migration) if csi.migrated.contains(migration.plugin) => Some((migration.driver.into(), handle.into())),
        Some(_) => None,
        None => Some((Cow::from(&class.provisioner), handle.into())),
    }
}

fn migrated<'s>(csi: &CsiNode, disk: &'s Disk) -> Option<Attached<'s>> {
    let (migration, id) = disk.migrated()?;
    csi.migrated.contains(migration.plugin).then_some((migration.driver.into(), id.into()))
}

fn still_attached<'s>(storage: &'s Storage, node: &'s str) -> impl Iterator<Item = Attached<'s>> {
    let here = storage.attachments_of(node).filter(|attachment| !attachment.driver.is_empty());
    here.filter_map(|attachment| match &storage.volume(&attachment.volume)?.source {
        Source::Csi { handle, .. } => Some((Cow::from(&attachment.driver), Cow::from(handle))),
        Source::Disk(_) | Source::Other => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{claim, node, pod, volume};
    use crate::model::storage::Attachment;
    use crate::plugins::testing::{class, cluster, rejections};
    use serde_json::json;

    fn limited(limit: i64) -> CsiNode {
        CsiNode { limits: [("d".to_owned(), limit)].into(), migrated: ["kubernetes.io/aws-ebs".to_owned()].into() }
    }

    /// Pod `used` has `c1` on node `a`, whose driver `d` takes `limit` volumes.
    fn with_limit(limit: i64) -> Cluster {
        let used = pod("used").claims(&["c1"]).on("a").build();
        let mut cluster = cluster(vec![("a", node().facts()), ("free", node().facts())], vec![used]);
        cluster.storage.csi_nodes.insert("a".to_owned(), limited(limit));
        for number in ["1", "2"] {
            cluster.storage.set_claim(claim(&format!("c{number}")).bound(&format!("v{number}")).build());
            cluster.storage.set_volume(volume(&format!("v{number}")).csi("d", number).build());
        }
        cluster
    }

    #[test]
    fn volumes_are_counted_once_each() {
        let wants = |claims: &[&str]| pod("p").claims(claims).build();
        let full = vec![format!("a: {REASON}")];
        let table =
            [(1, &["c1"][..], vec![]), (1, &["c2"], full.clone()), (2, &["c1", "c2"], vec![]), (0, &["c1"], vec![])];
        for (limit, claims, expected) in table {
            assert_eq!(
                rejections(&NodeVolumeLimits, &with_limit(limit), &wants(claims)),
                expected,
                "{limit} {claims:?}"
            );
        }
    }

    #[test]
    fn volumes_still_attached_and_volumes_to_be_made_count() {
        let mut cluster = with_limit(2);
        let mut late = class("WaitForFirstConsumer");
        late.provisioner = "d".to_owned();
        cluster.storage.classes.insert("late".to_owned(), late);
        cluster.storage.set_claim(claim("new").build());
        let wanted = pod("p").claims(&["new"]).build();
        assert!(rejections(&NodeVolumeLimits, &cluster, &wanted).is_empty());
        let left = Attachment { node: "a".to_owned(), driver: "d".to_owned(), volume: "v2".to_owned() };
        cluster.storage.set_attachment("x", Some(left));
        assert_eq!(rejections(&NodeVolumeLimits, &cluster, &wanted), [format!("a: {REASON}")]);
        cluster.storage.set_attachment("x", None);
        assert!(rejections(&NodeVolumeLimits, &cluster, &wanted).is_empty());
    }

    #[test]
    fn disks_of_migrated_plugins_count() {
        let mut cluster = with_limit(1);
        let mut csi = limited(1);
        csi.limits.insert("ebs.csi.aws.com".to_owned(), 0);
        cluster.storage.csi_nodes.insert("a".to_owned(), csi.clone());
        let disk = json!([{"name": "v", "awsElasticBlockStore": {"volumeID": "x"}}]);
        let wanted = pod("p").spec("volumes", disk).build();
        assert_eq!(rejections(&NodeVolumeLimits, &cluster, &wanted), [format!("a: {REASON}")]);
        csi.migrated.clear();
        cluster.storage.csi_nodes.insert("a".to_owned(), csi);
        assert!(rejections(&NodeVolumeLimits, &cluster, &wanted).is_empty());
    }
}
