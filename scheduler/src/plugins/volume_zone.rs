//! A volume with labels of zone and region is used from there.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::Pod;
use crate::model::selector::Labels;
use crate::model::storage::{BindingMode, Volume};
use crate::model::volumes::{ClaimKey, PodVolume};
use crate::plugins::volume_binding::not_found;

/// The plugin.
#[derive(Debug)]
pub(super) struct VolumeZone;

const REASON: &str = "node(s) had no available volume zone";
/// Between the zones of a volume that is in several.
const SEPARATOR: &str = "__";
/// Labels of the past, and what they are called now.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
];

impl Filter for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        pod.volumes.iter().any(|volume| volume.named_claim().is_some())
    }

    fn admit(&self, cluster: &Cluster, pod: &Pod) -> Result<(), String> {
        let mut claims = pod.volumes.iter().filter_map(PodVolume::named_claim);
        claims.try_for_each(|key| volume(cluster, key).map(drop))
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let claims = pod.volumes.iter().filter_map(PodVolume::named_claim);
        let volumes = claims.filter_map(|key| volume(cluster, key).ok().flatten());
        let zones: Vec<_> = volumes.flat_map(Zones::of).collect();
        if zones.is_empty() {
            return;
        }
        candidates.retain(self.name(), |node| {
            let labels = &cluster.nodes.labels[node as usize];
            // A cluster whose nodes say nothing of zones has one.
            let says_nothing = LABELS.iter().all(|(label, _)| !labels.contains_key(*label));
            match says_nothing || zones.iter().all(|zones| zones.contain(labels)) {
                true => Ok(()),
                false => Err(Rejection::unresolvable(REASON)),
            }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::NodeAdded
                | Event::NodeLabels
                | Event::ClassAdded
                | Event::ClaimAdded(_)
                | Event::ClaimUpdated(_)
                | Event::VolumeAdded
                | Event::VolumeUpdated { labels: true }
        )
    }
}

/// The claim's volume; `None` if it gets one only when the pod is placed.
fn volume<'c>(cluster: &'c Cluster, key: &ClaimKey) -> Result<Option<&'c Volume>, String> {
    let storage = &cluster.storage;
    let claim = storage.shown_claim(key).ok_or_else(|| not_found(key))?;
    if !claim.volume.is_empty() {
        let volume = storage.shown_volume(&claim.volume);
        return volume
            .map(|volume| Some(&**volume))
            .ok_or_else(|| format!("persistentvolume {:?} not found", claim.volume));
    }
    if claim.class.is_empty() {
        return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
    }
    let class = storage.classes.get(&claim.class);
    let class = class.ok_or_else(|| format!("storageclass.storage.k8s.io {:?} not found", claim.class))?;
    match class.mode {
        BindingMode::WaitForFirstConsumer => Ok(None),
        BindingMode::Immediate => Err("PersistentVolume had no name".to_owned()),
    }
}

/// The zones, or regions, of one volume.
struct Zones<'v> {
    label: &'static str,
    label_now: &'static str,
    values: Vec<&'v str>,
}

impl<'v> Zones<'v> {
    fn of(volume: &'v Volume) -> Vec<Self> {
        let zones = LABELS.iter().filter_map(|(label, label_now)| {
            let values: Vec<_> = volume.labels.get(*label)?.split(SEPARATOR).map(str::trim).collect();
            // Upstream ignores a label with an empty zone in it.
            values.iter().all(|value| !value.is_empty()).then_some(Self { label, label_now, values })
        });
        zones.collect()
    }

    fn contain(&self, labels: &Labels) -> bool {
        let value = labels.get(self.label).or_else(|| labels.get(self.label_now));
        value.is_some_and(|value| self.values.contains(&value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{claim, node, pod, volume};
    use crate::plugins::testing::{class, cluster, rejections};

    const ZONE: &str = "topology.kubernetes.io/zone";
    const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";

    #[test]
    fn a_zoned_volume_is_used_from_its_zones() {
        let zoned = |zone: &str| node().label(ZONE, zone).facts();
        let mut cluster = cluster(vec![("a", zoned("a")), ("b", zoned("b")), ("none", node().facts())], vec![]);
        cluster.storage.set_claim(claim("c").bound("v").build());
        let wanted = pod("p").claims(&["c"]).build();
        let table: [(&str, &str, &[&str]); 4] =
            [(ZONE, "a", &["b!"]), (ZONE, "a__b", &[]), (OLD_ZONE, "b", &["a!"]), (ZONE, "a____b", &[])];
        for (version, (label, zones, rejected)) in table.into_iter().enumerate() {
            cluster.storage.set_volume(volume("v").version(&version.to_string()).label(label, zones).build());
            let expected: Vec<_> = rejected.iter().map(|node| format!("{node}: {REASON}")).collect();
            assert_eq!(rejections(&VolumeZone, &cluster, &wanted), expected, "{label}={zones}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut cluster = cluster(vec![], vec![]);
        cluster.storage.set_claim(claim("gone").bound("v").build());
        cluster.storage.set_claim(claim("classless").spec("storageClassName", "".into()).build());
        cluster.storage.set_claim(claim("late").build());
        cluster.storage.set_claim(claim("now").spec("storageClassName", "now".into()).build());
        cluster.storage.set_claim(claim("unknown").spec("storageClassName", "x".into()).build());
        cluster.storage.classes.insert("late".to_owned(), class("WaitForFirstConsumer"));
        cluster.storage.classes.insert("now".to_owned(), class("Immediate"));
        let table = [
            ("none", "persistentvolumeclaim \"none\" not found"),
            ("gone", "persistentvolume \"v\" not found"),
            ("classless", "PersistentVolumeClaim had no pv name and storageClass name"),
            ("unknown", "storageclass.storage.k8s.io \"x\" not found"),
            ("now", "PersistentVolume had no name"),
            ("late", ""),
        ];
        for (claim, expected) in table {
            let admitted = VolumeZone.admit(&cluster, &pod("p").claims(&[claim]).build());
            assert_eq!(admitted.err().unwrap_or_default(), expected);
        }
    }
}
