//! Which free volume a claim gets: one that is meant for it, else the smallest that does.
//!
//! Upstream: `FindMatchingVolume` in `staging/src/k8s.io/component-helpers/storage/volume`.

use crate::model::selector::Labels;
use crate::model::storage::{Claim, Volume};
use std::sync::Arc;

/// The volume for the claim on a node with these labels.
pub(super) fn find<'v>(
    claim: &Claim,
    volumes: impl Iterator<Item = &'v Arc<Volume>>,
    labels: &Labels,
) -> Option<&'v Arc<Volume>> {
    let mut smallest: Option<&Arc<Volume>> = None;
    for volume in volumes.filter(|volume| could_serve(claim, volume)) {
        if volume.is_for(claim) {
            // Another one would leave this one to nobody.
            return volume.is_reached_from(labels).then_some(volume);
        }
        let is_smaller = smallest.is_none_or(|smallest| volume.capacity < smallest.capacity);
        if is_smaller && is_free_for(claim, volume) && volume.is_reached_from(labels) {
            smallest = Some(volume);
        }
    }
    smallest
}

/// What is needed even of a volume that is meant for the claim.
fn could_serve(claim: &Claim, volume: &Volume) -> bool {
    let demand = &claim.demand;
    (volume.claim.is_none() || volume.is_for(claim))
        && volume.capacity >= demand.size.unwrap_or(0)
        && volume.is_block == demand.is_block
        && volume.attributes_class == demand.attributes_class
        && !volume.is_terminating
}

/// What is needed of any other.
fn is_free_for(claim: &Claim, volume: &Volume) -> bool {
    let demand = &claim.demand;
    volume.is_available
        && volume.class == claim.class
        && demand.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels))
        && demand.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{ClaimBuilder, VolumeBuilder, claim, volume};
    use serde_json::json;

    fn found(claim: ClaimBuilder, volumes: Vec<VolumeBuilder>) -> Option<String> {
        let volumes: Vec<_> = volumes.into_iter().map(|volume| Arc::new(volume.build())).collect();
        let labels: Labels = [("host".to_owned(), "a".to_owned())].into();
        find(&claim.build(), volumes.iter(), &labels).map(|volume| volume.name.clone())
    }

    #[test]
    fn the_smallest_that_does_is_taken() {
        let sizes = vec![volume("large").size("5Gi"), volume("fits").size("2Gi"), volume("small").size("1Gi")];
        assert_eq!(found(claim("c").size("1500Mi"), sizes.clone()).as_deref(), Some("fits"));
        assert_eq!(found(claim("c").size("10Gi"), sizes), None);
    }

    #[test]
    fn one_that_is_meant_for_the_claim_comes_first() {
        let volumes = |meant: VolumeBuilder| vec![volume("a"), meant.phase("Pending").size("9Gi")];
        let (mine, any) = (volume("mine").of("c", "c"), volume("mine").of("c", ""));
        assert_eq!(found(claim("c"), volumes(mine.clone())).as_deref(), Some("mine"));
        assert_eq!(found(claim("c"), volumes(any)).as_deref(), Some("mine"));
        assert_eq!(found(claim("c"), volumes(mine.reached_from("host", "b"))), None);
        assert_eq!(found(claim("c"), volumes(volume("other").of("c", "another"))).as_deref(), Some("a"));
    }

    #[test]
    fn everything_has_to_match() {
        let selector = json!({"matchLabels": {"disk": "ssd"}});
        let table = [
            (claim("c"), volume("v"), true),
            (claim("c"), volume("v").phase("Released"), false),
            (claim("c"), volume("v").class("other"), false),
            (claim("c"), volume("v").spec("volumeMode", "Block".into()), false),
            (claim("c"), volume("v").spec("volumeAttributesClassName", "gold".into()), false),
            (claim("c").spec("accessModes", json!(["ReadWriteMany"])), volume("v"), false),
            (claim("c").spec("selector", selector.clone()), volume("v"), false),
            (claim("c").spec("selector", selector), volume("v").label("disk", "ssd"), true),
            (claim("c"), volume("v").reached_from("host", "a"), true),
            (claim("c"), volume("v").reached_from("host", "b"), false),
        ];
        for (claim, volume, expected) in table {
            assert_eq!(found(claim.clone(), vec![volume.clone()]).is_some(), expected, "{claim:?} {volume:?}");
        }
    }
}
