//! A claim for one pod is used by one pod; and disks that cannot be shared are not.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::Pod;
use crate::model::volumes::{Disk, PodVolume};
use crate::plugins::volume_binding::not_found;

/// The plugin.
#[derive(Debug)]
pub(super) struct VolumeRestrictions;

const DISK: &str = "node(s) had no available disk";
const ONE_POD: &str =
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";

impl Filter for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.volumes.is_empty()
    }

    fn admit(&self, cluster: &Cluster, pod: &Pod) -> Result<(), String> {
        let mut claims = pod.volumes.iter().filter_map(PodVolume::named_claim);
        claims.try_for_each(|key| cluster.storage.claim(key).map(drop).ok_or_else(|| not_found(key)))
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let disks: Vec<_> = exclusive(&pod.volumes).collect();
        let is_claim_taken = is_claim_taken(cluster, pod);
        if disks.is_empty() && !is_claim_taken {
            return;
        }
        candidates.retain(self.name(), |node| {
            let mut used = exclusive(&cluster.nodes.volumes[node as usize]);
            if used.any(|used| disks.iter().any(|disk| disk.collides(used))) {
                return Err(Rejection::resolvable(DISK));
            }
            if is_claim_taken { Err(Rejection::resolvable(ONE_POD)) } else { Ok(()) }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::PodRemoved | Event::ClaimAdded(_))
    }
}

fn exclusive(volumes: &[PodVolume]) -> impl Iterator<Item = &Disk> {
    volumes.iter().filter_map(|volume| match volume {
        PodVolume::Disk(disk) if disk.is_exclusive() => Some(disk),
        PodVolume::Disk(_) | PodVolume::Claim { .. } => None,
    })
}

/// Whether a pod on any node uses a claim of the pod's that is for one pod.
fn is_claim_taken(cluster: &Cluster, pod: &Pod) -> bool {
    let mut used = pod.volumes.iter().filter_map(PodVolume::named_claim);
    let is_for_one = |key| cluster.storage.claim(key).is_some_and(|claim| claim.is_for_one_pod());
    used.any(|key| cluster.nodes.claims.contains_key(key) && is_for_one(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{claim, node, pod};
    use crate::plugins::testing::{cluster, rejections};
    use serde_json::json;

    fn two(used: Pod) -> Cluster {
        cluster(vec![("a", node().facts()), ("b", node().facts())], vec![used])
    }

    #[test]
    fn a_disk_in_use_rejects_the_node() {
        let with = |ro: bool| json!([{"name": "v", "gcePersistentDisk": {"pdName": "d", "readOnly": ro}}]);
        let cluster = two(pod("used").spec("volumes", with(true)).on("a").build());
        let writer = pod("p").spec("volumes", with(false)).build();
        assert_eq!(rejections(&VolumeRestrictions, &cluster, &writer), [format!("a: {DISK}")]);
        let reader = pod("p").spec("volumes", with(true)).build();
        assert!(rejections(&VolumeRestrictions, &cluster, &reader).is_empty());
    }

    #[test]
    fn a_claim_for_one_pod_rejects_every_node_until_its_user_is_gone() {
        let used = pod("used").claims(&["one", "many"]).on("a").build();
        let mut cluster = two(used.clone());
        cluster.storage.set_claim(claim("one").spec("accessModes", json!(["ReadWriteOncePod"])).build());
        cluster.storage.set_claim(claim("many").build());
        let one = pod("p").claims(&["one"]).build();
        assert_eq!(rejections(&VolumeRestrictions, &cluster, &one), [format!("a: {ONE_POD}"), format!("b: {ONE_POD}")]);
        assert!(rejections(&VolumeRestrictions, &cluster, &pod("p").claims(&["many"]).build()).is_empty());
        cluster.nodes.take_pod(0, &used);
        assert!(rejections(&VolumeRestrictions, &cluster, &one).is_empty());
        assert!(cluster.nodes.claims.is_empty() && cluster.nodes.volumes[0].is_empty());
    }

    #[test]
    fn a_claim_has_to_exist() {
        let cluster = cluster(vec![], vec![]);
        let refused = VolumeRestrictions.admit(&cluster, &pod("p").claims(&["c"]).build());
        assert_eq!(refused.unwrap_err(), "persistentvolumeclaim \"c\" not found");
    }
}
