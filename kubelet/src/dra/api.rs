//! What the apiserver is asked: claims, and to forget what drivers offered that are gone.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};
use kube::Api;
use kube::api::{DeleteParams, ListParams};

/// Claims, and offers of devices.
#[async_trait]
pub trait Offers: Send + Sync {
    /// The claim as it is now; why it cannot be had otherwise.
    async fn claim(&self, namespace: &str, name: &str) -> Result<ResourceClaim, String>;
    /// Deletes what a driver offers on the node, or what all do; whether that is done.
    async fn wipe(&self, driver: Option<&str>) -> bool;
}

/// The apiserver.
pub struct Server {
    client: kube::Client,
    node: String,
}

impl Server {
    /// As the node of this name.
    pub fn new(client: kube::Client, node: String) -> Self {
        Self { client, node }
    }
}

#[async_trait]
impl Offers for Server {
    async fn claim(&self, namespace: &str, name: &str) -> Result<ResourceClaim, String> {
        let claims: Api<ResourceClaim> = Api::namespaced(self.client.clone(), namespace);
        claims.get(name).await.map_err(|error| match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        })
    }

    async fn wipe(&self, driver: Option<&str>) -> bool {
        // Without the node's object the kubelet may do nothing.
        let nodes: Api<Node> = Api::all(self.client.clone());
        if nodes.get_metadata(&self.node).await.is_err() {
            return false;
        }
        let driver = driver.map(|driver| format!(",spec.driver={driver}")).unwrap_or_default();
        let selector = format!("spec.nodeName={}{driver}", self.node);
        let slices: Api<ResourceSlice> = Api::all(self.client.clone());
        let params = ListParams { field_selector: Some(selector.clone()), ..ListParams::default() };
        match slices.delete_collection(&DeleteParams::default(), &params).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            Err(error) => {
                tracing::info!(%error, selector, "cannot delete ResourceSlices yet");
                false
            }
        }
    }
}

/// No apiserver: there are no claims.
pub struct Standalone;

#[async_trait]
impl Offers for Standalone {
    async fn claim(&self, _: &str, name: &str) -> Result<ResourceClaim, String> {
        Err(format!("resourceclaims.resource.k8s.io {name:?} not found"))
    }

    async fn wipe(&self, _: Option<&str>) -> bool {
        true
    }
}
