//! What becomes of a volume's finalizer.

use crate::objects::claims::{self, Protection};
use k8s_openapi::api::core::v1::PersistentVolume;

/// Held until the volume is not bound.
const FINALIZER: &str = "kubernetes.io/pv-protection";

/// The volume as it should be; `None` if it is.
pub(super) fn plan(volume: &PersistentVolume) -> Option<PersistentVolume> {
    let mut after = volume.clone();
    let is_bound = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    match claims::protection(&volume.metadata, FINALIZER) {
        Protection::Missing => claims::with_finalizer(&mut after.metadata, FINALIZER),
        Protection::Held if !is_bound => claims::without_finalizer(&mut after.metadata, FINALIZER),
        Protection::Held | Protection::Fine => return None,
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bound_volume_stays() {
        let table = [
            (false, true, "Bound", None),
            (false, false, "Available", Some(1)),
            (true, true, "Bound", None),
            (true, true, "Released", Some(0)),
            (true, false, "Released", None),
        ];
        for (deleted, protected, phase, finalizers) in table {
            let volume: PersistentVolume = serde_json::from_value(json!({
                "metadata": {"name": "v", "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z"),
                    "finalizers": if protected { vec![FINALIZER] } else { vec![] }},
                "status": {"phase": phase}
            }))
            .unwrap();
            let after = plan(&volume).map(|after| after.metadata.finalizers.unwrap().len());
            assert_eq!(after, finalizers, "{deleted} {protected} {phase}");
        }
    }
}
