//! The apiserver over its API.

use super::cache::Cache;
use super::{Cluster, ClusterError, Token, TokenWish};
use crate::pod::PodExt;
use async_trait::async_trait;
use client::informer::Informer;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How stale a ConfigMap or Secret may get in a running pod; a new pod may see one this old.
const TTL: Duration = Duration::from_secs(5);

/// The apiserver.
pub struct ApiCluster {
    client: kube::Client,
    services: Informer<Service>,
    config_maps: Cache<ConfigMap>,
    secrets: Cache<Secret>,
}

impl ApiCluster {
    /// Reads and writes with `client`; services come from the informer.
    pub fn new(client: kube::Client, services: Informer<Service>) -> Self {
        Self { client, services, config_maps: Cache::new(TTL), secrets: Cache::new(TTL) }
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

#[async_trait]
impl Cluster for ApiCluster {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ClusterError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let fetch = async { api.get(name).await.map_err(|e| error("configmap", name, e)) };
        self.config_maps.get(namespace, name, fetch).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ClusterError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let fetch = async { api.get(name).await.map_err(|e| error("secret", name, e)) };
        self.secrets.get(namespace, name, fetch).await
    }

    async fn claim(&self, namespace: &str, name: &str) -> Result<PersistentVolumeClaim, ClusterError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        api.get(name).await.map_err(|e| error("persistentvolumeclaim", name, e))
    }

    async fn volume(&self, name: &str) -> Result<PersistentVolume, ClusterError> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        api.get(name).await.map_err(|e| error("persistentvolume", name, e))
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Result<ServiceAccount, ClusterError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        api.get(name).await.map_err(|e| error("serviceaccount", name, e))
    }

    async fn token(&self, wish: &TokenWish) -> Result<Token, ClusterError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &wish.namespace);
        let fail = |e| error("serviceaccount", &wish.service_account, e);
        let request = token_request(wish);
        let answer =
            api.create_token_request(&wish.service_account, &PostParams::default(), &request).await.map_err(fail)?;
        let token = answer.status.and_then(|s| Some(Token { token: s.token?, expires: s.expiration_timestamp?.0 }));
        match token {
            Some(token) => Ok(token),
            None => Err(ClusterError::Api("the TokenRequest came back without a token".to_owned())),
        }
    }

    fn services(&self, namespace: &str) -> Vec<Arc<Service>> {
        let mut out = self.services.list_namespace(namespace);
        if namespace != "default" {
            out.extend(self.services.get("default", "kubernetes"));
        }
        out
    }

    async fn patch_status(&self, pod: &Pod, patch: &Value) -> Result<Pod, ClusterError> {
        let mut patch = patch.clone();
        if pod.is_static() {
            // The mirror at the apiserver has a UID of its own.
            patch["metadata"] = Value::Object(serde_json::Map::new());
        }
        let params = PatchParams::default();
        let answer = self.pods(pod.namespace()).patch_status(pod.name(), &params, &Patch::Strategic(patch)).await;
        answer.map_err(|e| error("pod", pod.name(), e))
    }

    async fn delete_pod(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ClusterError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
        match self.pods(namespace).delete(name, &params).await {
            Ok(_) => Ok(()),
            // Another pod of this name: ours is gone.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(e) => Err(error("pod", name, e)),
        }
    }

    async fn create_pod(&self, pod: &Pod) -> Result<(), ClusterError> {
        match self.pods(pod.namespace()).create(&PostParams::default(), pod).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(e) => Err(error("pod", pod.name(), e)),
        }
    }
}

fn token_request(wish: &TokenWish) -> TokenRequest {
    TokenRequest {
        metadata: ObjectMeta { uid: wish.service_account_uid.clone(), ..ObjectMeta::default() },
        spec: Some(TokenRequestSpec {
            audiences: Some(wish.audience.iter().cloned().collect()),
            expiration_seconds: Some(wish.seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(wish.pod_name.clone()),
                uid: Some(wish.pod_uid.clone()),
            }),
        }),
        ..TokenRequest::default()
    }
}

pub(super) fn error(kind: &'static str, name: &str, e: kube::Error) -> ClusterError {
    match e {
        kube::Error::Api(status) if status.code == 404 => ClusterError::NotFound { kind, name: name.to_owned() },
        kube::Error::Api(status) => ClusterError::Api(status.message.clone()),
        other => ClusterError::Api(other.to_string()),
    }
}
