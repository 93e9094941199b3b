//! What the kubelet asks of the apiserver, apart from watching its pods.

pub mod api;
pub mod cache;
pub mod storage;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The apiserver refused, or there is none.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The object does not exist.
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    /// The kubelet runs without an apiserver.
    #[error("no apiserver: {kind} \"{name}\" cannot be read in standalone mode")]
    Standalone { kind: &'static str, name: String },
    /// Anything else that it answered.
    #[error("{0}")]
    Api(String),
}

impl ClusterError {
    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// A service account token to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenWish {
    pub namespace: String,
    pub service_account: String,
    pub audience: Option<String>,
    pub seconds: i64,
    pub pod_name: String,
    pub pod_uid: String,
    /// Of the service account, if it has to be this very one.
    pub service_account_uid: Option<String>,
}

/// A token and until when it holds. Not `Debug`: it must not end up in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub token: String,
    pub expires: Timestamp,
}

/// The apiserver as the pods' side of the kubelet sees it. What is not said otherwise is as it is without one: nothing
/// can be read, and what is written is done with.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    async fn config_map(&self, _namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ClusterError> {
        Err(ClusterError::Standalone { kind: "configmap", name: name.to_owned() })
    }

    async fn secret(&self, _namespace: &str, name: &str) -> Result<Arc<Secret>, ClusterError> {
        Err(ClusterError::Standalone { kind: "secret", name: name.to_owned() })
    }

    /// A claim of a volume.
    async fn claim(&self, _namespace: &str, name: &str) -> Result<PersistentVolumeClaim, ClusterError> {
        Err(ClusterError::Standalone { kind: "persistentvolumeclaim", name: name.to_owned() })
    }

    /// A persistent volume.
    async fn volume(&self, name: &str) -> Result<PersistentVolume, ClusterError> {
        Err(ClusterError::Standalone { kind: "persistentvolume", name: name.to_owned() })
    }

    async fn service_account(&self, _namespace: &str, name: &str) -> Result<ServiceAccount, ClusterError> {
        Err(ClusterError::Standalone { kind: "serviceaccount", name: name.to_owned() })
    }

    async fn token(&self, wish: &TokenWish) -> Result<Token, ClusterError> {
        Err(ClusterError::Standalone { kind: "token", name: wish.service_account.clone() })
    }

    /// The services that a pod of this namespace is told of.
    fn services(&self, _namespace: &str) -> Vec<Arc<Service>> {
        Vec::new()
    }

    /// Patches the status; the pod as it is afterwards.
    async fn patch_status(&self, pod: &Pod, _patch: &Value) -> Result<Pod, ClusterError> {
        Ok(pod.clone())
    }

    /// Removes the object for good, if it is still this very pod.
    async fn delete_pod(&self, _namespace: &str, _name: &str, _uid: &str) -> Result<(), ClusterError> {
        Ok(())
    }

    /// Creates a pod (a mirror of a static one).
    async fn create_pod(&self, _pod: &Pod) -> Result<(), ClusterError> {
        Ok(())
    }
}

/// No apiserver: static pods only.
#[derive(Debug)]
pub struct Standalone;

impl Cluster for Standalone {}
