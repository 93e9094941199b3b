//! Waiting until a volume is attached to the node.
//!
//! Upstream: `pkg/volume/csi/csi_attacher.go`, `GenerateVerifyControllerAttachedVolumeFunc` of
//! `pkg/volume/util/operationexecutor`.

use super::source::Source;
use super::{Csi, names};
use crate::volumes::VolumeError;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long the node's status may take; then the pod looks again.
const REPORT: Duration = Duration::from_secs(10);
/// How often the node is looked at for the controller's word.
const LOOK: Duration = Duration::from_secs(1);

impl Csi {
    /// What the attacher says of the attached volume (`attachmentMetadata`).
    ///
    /// # Errors
    /// `Later` while it is not attached; anything else if it cannot be.
    pub(super) async fn attached(&self, source: &Source) -> Result<HashMap<String, String>, VolumeError> {
        let unique = source.unique();
        self.0.in_use.add(&unique);
        let reported = self.0.in_use.reported(&unique);
        if tokio::time::timeout(REPORT, reported).await.is_err() {
            return Err(later("volume has not been added to the list of VolumesInUse in the node's volume status"));
        }
        let node = self.0.storage.node().await?;
        if !is_attached(&node, &unique) {
            return Err(later(&format!("volume not attached according to node status for {unique}")));
        }
        let name = names::attachment(&source.handle, &source.driver, &self.0.node);
        let attachment = self.0.storage.attachment(&name).await.map_err(|e| {
            let handle = &source.handle;
            VolumeError::Csi(format!("volume {handle} has GET error for volume attachment {name}: {e}"))
        })?;
        match verdict(&attachment).map_err(VolumeError::Csi)? {
            Some(metadata) => Ok(metadata.into_iter().collect()),
            None => Err(later(&format!("volume attachment {name} is not attached yet"))),
        }
    }
}

fn later(why: &str) -> VolumeError {
    VolumeError::Later { why: why.to_owned(), wait: LOOK }
}

fn is_attached(node: &Node, unique: &str) -> bool {
    let attached = node.status.as_ref().and_then(|status| status.volumes_attached.as_ref());
    attached.into_iter().flatten().any(|volume| volume.name == unique)
}

/// The metadata of an attachment that is done; `None` while it is not; why it cannot be.
fn verdict(attachment: &VolumeAttachment) -> Result<Option<BTreeMap<String, String>>, String> {
    if attachment.metadata.deletion_timestamp.is_some() {
        return Err("volume attachment is being deleted".to_owned());
    }
    let Some(status) = &attachment.status else { return Ok(None) };
    if status.attached {
        return Ok(Some(status.attachment_metadata.clone().unwrap_or_default()));
    }
    match status.attach_error.as_ref().and_then(|error| error.message.clone()) {
        Some(message) => Err(message),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_an_attachment_says() {
        let of = |metadata: Value, status: Value| {
            let text = json!({"metadata": metadata, "status": status,
                "spec": {"attacher": "d", "nodeName": "n", "source": {}}});
            verdict(&serde_json::from_value(text).expect("an attachment"))
        };
        let plain = json!({});
        let done = of(plain.clone(), json!({"attached": true, "attachmentMetadata": {"device": "x"}}));
        assert_eq!(done, Ok(Some([("device".to_owned(), "x".to_owned())].into())));
        assert_eq!(of(plain.clone(), json!({"attached": false})), Ok(None));
        assert_eq!(of(plain, json!({"attached": false, "attachError": {"message": "no"}})), Err("no".to_owned()));
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(of(going, json!({"attached": true})), Err("volume attachment is being deleted".to_owned()));
    }
}
