//! The scale of any object that has one.

use crate::scaffold::error::message;
use crate::scaffold::is_conflict;
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use parking_lot::Mutex;
use std::collections::HashMap;

/// How often a lost race for a scale is tried again.
const ATTEMPTS: usize = 5;

pub(super) struct Scales {
    client: kube::Client,
    /// How kinds are reached that were looked up before.
    known: Mutex<HashMap<(String, String), ApiResource>>,
}

/// A scale as it was read.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    object: DynamicObject,
    resource: ApiResource,
    namespace: String,
    name: String,
}

impl Scale {
    /// How many pods are asked for.
    pub(super) fn wanted(&self) -> i32 {
        self.number("/spec/replicas")
    }

    /// How many there are.
    pub(super) fn present(&self) -> i32 {
        self.number("/status/replicas")
    }

    /// Which pods they are.
    pub(super) fn selector(&self) -> &str {
        self.object.data.pointer("/status/selector").and_then(|text| text.as_str()).unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> i32 {
        let number = self.object.data.pointer(pointer).and_then(serde_json::Value::as_i64);
        number.and_then(|number| number.try_into().ok()).unwrap_or(0)
    }
}

impl Scales {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The scale of what is referred to; why there is none.
    pub(super) async fn get(&self, namespace: &str, target: &CrossVersionObjectReference) -> Result<Scale, String> {
        let resource = self.resource(target.api_version.as_deref().unwrap_or_default(), &target.kind).await?;
        let name = target.name.clone();
        let object = self.api(namespace, &resource).get_subresource("scale", &name).await;
        let object = object.map_err(|error| message(&error))?;
        Ok(Scale { object, resource, namespace: namespace.to_owned(), name })
    }

    /// Asks for so many pods, also if somebody else changed the scale meanwhile.
    pub(super) async fn set(&self, scale: Scale, replicas: i32) -> Result<(), String> {
        let Scale { mut object, resource, namespace, name } = scale;
        let api = self.api(&namespace, &resource);
        for _ in 0..ATTEMPTS {
            object.data["spec"]["replicas"] = replicas.into();
            match api.replace_subresource("scale", &name, &PostParams::default(), &object).await {
                Err(error) if is_conflict(&error) => {
                    object = api.get_subresource("scale", &name).await.map_err(|error| message(&error))?;
                }
                done => return done.map(drop).map_err(|error| message(&error)),
            }
        }
        Err(format!("the scale of {name} changes too often"))
    }

    /// How a kind is reached, such as `deployments.apps`.
    pub(super) async fn resource(&self, api_version: &str, kind: &str) -> Result<ApiResource, String> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(known.clone());
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let found = kube::discovery::pinned_kind(&self.client, &GroupVersionKind::gvk(group, version, kind)).await;
        let (resource, _) = found.map_err(|error| match error {
            kube::Error::Discovery(_) => format!("no matches for kind {kind:?} in group {group:?}"),
            kube::Error::Api(status) if status.code == 404 => {
                format!("no matches for kind {kind:?} in group {group:?}")
            }
            error => message(&error),
        })?;
        self.known.lock().insert(key, resource.clone());
        Ok(resource)
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }
}
