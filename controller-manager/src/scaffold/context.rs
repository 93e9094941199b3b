//! What a controller's constructor gets.

use crate::manager::options::Options;
use crate::scaffold::Informers;
use client::Recorder;
use component::Supervisor;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource};
use std::sync::Arc;

/// Shared by all controllers. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The connection to the apiserver.
    pub client: kube::Client,
    /// The caches.
    pub informers: Arc<Informers>,
    /// What the flags say.
    pub options: Arc<Options>,
    /// Owner of all tasks.
    pub supervisor: Supervisor,
}

impl Context {
    /// The connection that caches are fed by: the process' own, which may list everything.
    pub fn caches(&self) -> kube::Client {
        self.informers.client()
    }

    /// Events of this component name; its sender runs under the supervisor.
    pub fn recorder(&self, component: &'static str) -> Recorder {
        let (recorder, sender) = Recorder::new(self.client.clone(), component, "");
        self.supervisor.spawn_until_stop(component, sender);
        recorder
    }
}

/// The API of a namespaced kind in one namespace.
pub fn namespaced<K>(client: &kube::Client, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}
