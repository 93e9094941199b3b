//! What the kubelet asks of the apiserver about storage drivers and the node that they serve.

use super::ClusterError;
use super::api::error;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, VolumeAttachment};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::Value;

/// The apiserver as storage drivers' side of the kubelet sees it.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// What a driver says of itself; it need not.
    async fn driver(&self, name: &str) -> Result<Option<CSIDriver>, ClusterError>;
    /// A volume's attachment to a node.
    async fn attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError>;
    /// The kubelet's node.
    async fn node(&self) -> Result<Node, ClusterError>;
    /// Patches the node's metadata.
    async fn patch_node(&self, patch: &Value) -> Result<(), ClusterError>;
    /// The drivers of the node.
    async fn csi_node(&self) -> Result<Option<CSINode>, ClusterError>;
    /// Creates the object where it has no version, else replaces the one of that version.
    async fn write_csi_node(&self, node: &CSINode) -> Result<(), ClusterError>;
    /// Removes what belongs to an older node of this name.
    async fn delete_csi_node(&self) -> Result<(), ClusterError>;
    /// Patches a claim's status.
    async fn patch_claim(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), ClusterError>;
}

/// The apiserver.
pub struct ApiStorage {
    client: kube::Client,
    node: String,
}

impl ApiStorage {
    /// For the node of this name.
    pub fn new(client: kube::Client, node: String) -> Self {
        Self { client, node }
    }

    fn csi_nodes(&self) -> Api<CSINode> {
        Api::all(self.client.clone())
    }
}

#[async_trait]
impl Storage for ApiStorage {
    async fn driver(&self, name: &str) -> Result<Option<CSIDriver>, ClusterError> {
        let api: Api<CSIDriver> = Api::all(self.client.clone());
        api.get_opt(name).await.map_err(|e| error("csidriver.storage.k8s.io", name, e))
    }

    async fn attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError> {
        let api: Api<VolumeAttachment> = Api::all(self.client.clone());
        api.get(name).await.map_err(|e| error("volumeattachments.storage.k8s.io", name, e))
    }

    async fn node(&self) -> Result<Node, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        api.get(&self.node).await.map_err(|e| error("node", &self.node, e))
    }

    async fn patch_node(&self, patch: &Value) -> Result<(), ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let done = api.patch(&self.node, &PatchParams::default(), &Patch::Strategic(patch)).await;
        done.map(drop).map_err(|e| error("node", &self.node, e))
    }

    async fn csi_node(&self) -> Result<Option<CSINode>, ClusterError> {
        self.csi_nodes().get_opt(&self.node).await.map_err(|e| error("csinode", &self.node, e))
    }

    async fn write_csi_node(&self, node: &CSINode) -> Result<(), ClusterError> {
        let params = PostParams::default();
        let done = match node.metadata.resource_version {
            None => self.csi_nodes().create(&params, node).await,
            Some(_) => self.csi_nodes().replace(&self.node, &params, node).await,
        };
        done.map(drop).map_err(|e| error("csinode", &self.node, e))
    }

    async fn delete_csi_node(&self) -> Result<(), ClusterError> {
        let done = self.csi_nodes().delete(&self.node, &DeleteParams::default()).await;
        done.map(drop).map_err(|e| error("csinode", &self.node, e))
    }

    async fn patch_claim(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), ClusterError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let done = api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        done.map(drop).map_err(|e| error("persistentvolumeclaim", name, e))
    }
}

/// No apiserver: no drivers either.
#[derive(Debug)]
pub struct NoStorage;

fn none(kind: &'static str, name: &str) -> ClusterError {
    ClusterError::Standalone { kind, name: name.to_owned() }
}

#[async_trait]
impl Storage for NoStorage {
    async fn driver(&self, name: &str) -> Result<Option<CSIDriver>, ClusterError> {
        Err(none("csidriver.storage.k8s.io", name))
    }

    async fn attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError> {
        Err(none("volumeattachments.storage.k8s.io", name))
    }

    async fn node(&self) -> Result<Node, ClusterError> {
        Err(none("node", ""))
    }

    async fn patch_node(&self, _: &Value) -> Result<(), ClusterError> {
        Err(none("node", ""))
    }

    async fn csi_node(&self) -> Result<Option<CSINode>, ClusterError> {
        Err(none("csinode", ""))
    }

    async fn write_csi_node(&self, _: &CSINode) -> Result<(), ClusterError> {
        Err(none("csinode", ""))
    }

    async fn delete_csi_node(&self) -> Result<(), ClusterError> {
        Err(none("csinode", ""))
    }

    async fn patch_claim(&self, _: &str, name: &str, _: &Value) -> Result<(), ClusterError> {
        Err(none("persistentvolumeclaim", name))
    }
}
