//! Growing the file system of a volume that has grown, and telling its claim.
//!
//! Upstream: `pkg/volume/csi/expander.go`, `pkg/volume/util/operationexecutor/node_expander.go`.

use super::Csi;
use super::driver::Capability;
use super::mount::Wish;
use super::stats::Place;
use crate::events::Severity;
use crate::resources::Amount;
use crate::volumes::VolumeError;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use proto::csi::{CapacityRange, NodeExpandVolumeRequest};
use serde_json::{Value, json};
use tonic::Code;

const IN_PROGRESS: &str = "NodeResizeInProgress";
const INFEASIBLE: &str = "NodeResizeInfeasible";
/// What a finished resize takes from the claim's conditions.
const OF_RESIZE: [&str; 4] = ["Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"];

impl Csi {
    /// Lets the driver grow a mounted volume, if its claim does not have all of it yet. The pod goes on meanwhile.
    pub(super) async fn expand(&self, wish: &Wish<'_>, place: &Place) {
        let Some((volume, claim)) = wish.claim.filter(|_| !wish.source.read_only) else { return };
        let Some(size) = grown(volume, claim) else { return };
        let unique = wish.source.unique();
        if self.0.state.lock().infeasible.get(&unique) == Some(&Amount::of(&size).value()) {
            return;
        }
        let key = (format!("{} resize", wish.pod.metadata.uid.clone().unwrap_or_default()), unique.clone());
        if self.held_back(&key).is_some() {
            return;
        }
        let done = self.try_expand(wish, place, claim, &size).await;
        let (events, spec) = (&self.0.events, &wish.source.spec);
        match &done {
            Ok(false) => {}
            Ok(true) => {
                let text = format!("MountVolume.NodeExpandVolume succeeded for volume \"{spec}\" {}", self.0.node);
                events.pod(wish.pod, Severity::Normal, "FileSystemResizeSuccessful", text);
            }
            Err(e) => {
                let text = format!("MountVolume.NodeExpandVolume failed for volume \"{spec}\" : {e}");
                events.pod(wish.pod, Severity::Warning, "VolumeResizeFailed", text);
            }
        }
        self.note(key, done.as_ref().err());
    }

    /// Whether the driver has grown it.
    async fn try_expand(
        &self,
        wish: &Wish<'_>,
        place: &Place,
        claim: &PersistentVolumeClaim,
        size: &Quantity,
    ) -> Result<bool, VolumeError> {
        let source = &wish.source;
        let mut driver = self.connect(&source.driver).await?;
        let able = driver.capabilities().await?;
        if !able.contains(&Capability::ExpandVolume) {
            tracing::debug!(driver = source.driver, volume = source.spec, "the driver does not grow volumes on nodes");
            return Ok(false);
        }
        let secrets = self.secret(source.expand_secret.as_ref(), "NodeExpandSecretRef").await?;
        self.tell_claim(claim, &json!({"status": {"allocatedResourceStatuses": {"storage": IN_PROGRESS}}})).await?;
        let required_bytes = Amount::of(size).value();
        let request = NodeExpandVolumeRequest {
            volume_id: source.handle.clone(),
            volume_path: place.target.to_string_lossy().into_owned(),
            capacity_range: Some(CapacityRange { required_bytes, limit_bytes: 0 }),
            staging_target_path: place.staging.clone(),
            volume_capability: Some(source.capability(&able, None)),
            secrets,
        };
        let failed =
            |e: &super::DriverError| VolumeError::Csi(format!("Expander.NodeExpand failed to expand the volume : {e}"));
        if let Err(error) = driver.expand(request).await {
            let hopeless = matches!(
                error.code(),
                Some(Code::InvalidArgument | Code::OutOfRange | Code::NotFound | Code::Unimplemented)
            );
            if hopeless {
                self.0.state.lock().infeasible.insert(source.unique(), required_bytes);
                let status = json!({"status": {"allocatedResourceStatuses": {"storage": INFEASIBLE}}});
                self.tell_claim(claim, &status).await?;
            }
            return Err(failed(&error));
        }
        self.tell_claim(claim, &finished(claim, size)).await?;
        Ok(true)
    }

    async fn tell_claim(&self, claim: &PersistentVolumeClaim, patch: &Value) -> Result<(), VolumeError> {
        let metadata = &claim.metadata;
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone());
        Ok(self.0.storage.patch_claim(&namespace, &name.unwrap_or_default(), patch).await?)
    }
}

/// The volume's size, if the claim does not have it.
fn grown(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let size = volume.spec.as_ref()?.capacity.as_ref()?.get("storage")?;
    let has = claim.status.as_ref()?.capacity.as_ref()?.get("storage")?;
    (Amount::of(size).value() > Amount::of(has).value()).then(|| size.clone())
}

/// The patch that tells a claim of its new size.
fn finished(claim: &PersistentVolumeClaim, size: &Quantity) -> Value {
    let conditions = claim.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let over: Vec<Value> = conditions
        .filter(|condition| OF_RESIZE.contains(&condition.type_.as_str()))
        .map(|condition| json!({"$patch": "delete", "type": condition.type_}))
        .collect();
    json!({"status": {
        "capacity": {"storage": size.0},
        "allocatedResourceStatuses": {"storage": null},
        "conditions": over,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_learns_of_what_has_grown() {
        let volume = |size: &str| {
            serde_json::from_value::<PersistentVolume>(json!({"spec": {"capacity": {"storage": size}}})).expect("one")
        };
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({"status": {
            "capacity": {"storage": "1Gi"},
            "conditions": [{"type": "FileSystemResizePending", "status": "True"}, {"type": "Other", "status": "True"}],
        }}))
        .expect("a claim");
        assert_eq!(grown(&volume("1024Mi"), &claim), None);
        let size = grown(&volume("2Gi"), &claim).expect("grown");
        let patch = finished(&claim, &size);
        assert_eq!(patch["status"]["capacity"]["storage"], "2Gi");
        assert_eq!(patch["status"]["conditions"], json!([{"$patch": "delete", "type": "FileSystemResizePending"}]));
        assert_eq!(grown(&volume("2Gi"), &PersistentVolumeClaim::default()), None, "not bound yet");
    }
}
