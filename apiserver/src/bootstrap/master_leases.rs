//! Which API servers live: for each a key in etcd below `masterleases`, which goes with its lease
//! when it is not renewed.
//!
//! Upstream: `pkg/controlplane/reconcilers/lease.go`.

use super::BootstrapError;
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_storage::{Change, Decide, ListQuery, Object, StorageError, Store};
use async_trait::async_trait;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

/// How long a server is believed to live after it last said so, in seconds, as upstream.
const LIFE: u64 = 15;

/// The leases of all servers on one etcd, and the one of this server.
#[derive(Clone, Debug)]
pub struct MasterLeases {
    store: Store,
    resource: Arc<ResourceInfo>,
    own: IpAddr,
}

impl MasterLeases {
    /// Begins to follow the leases.
    pub async fn open(store: Store, own: IpAddr) -> Result<Self, BootstrapError> {
        let resource = Arc::new(resource()?);
        store.add_resource(&resource).await?;
        Ok(Self { store, resource, own })
    }

    /// This server lives.
    pub(super) async fn renew(&self) -> Result<(), StorageError> {
        let key = self.key();
        match self.store.decide(&self.resource, &key, None, &mut Renew(self.own)).await {
            Err(StorageError::NotFound { .. }) => {}
            renewed => return renewed.map(drop),
        }
        self.store.create(&self.resource, &key, lease(self.own, 1), Some(LIFE)).await.map(drop)
    }

    /// This server is about to end.
    pub(super) async fn remove(&self) -> Result<(), StorageError> {
        match self.store.decide(&self.resource, &self.key(), None, &mut Remove).await {
            Err(StorageError::NotFound { .. }) => Ok(()),
            removed => removed.map(drop),
        }
    }

    /// The addresses of the servers that live, in order of their text.
    pub(super) async fn live(&self) -> Result<Vec<IpAddr>, StorageError> {
        let page = self.store.list(&self.resource, &ListQuery::default()).await?;
        let mut addresses: Vec<IpAddr> = page.items.iter().filter_map(|lease| address(&lease.value())).collect();
        addresses.sort_by_key(IpAddr::to_string);
        Ok(addresses)
    }

    fn key(&self) -> String {
        self.resource.key("", &self.own.to_string())
    }
}

/// The keys hold Endpoints of one address.
fn resource() -> Result<ResourceInfo, BootstrapError> {
    let kind = GroupVersionKind::new("", "v1", "Endpoints");
    let endpoints = resources::for_kind(&kind).ok_or(BootstrapError::NotServed(kind))?;
    Ok(ResourceInfo {
        group: "".into(),
        version: "v1".into(),
        plural: "masterleases".into(),
        singular: "masterlease".into(),
        kind: "Endpoints".into(),
        list_kind: "EndpointsList".into(),
        namespaced: false,
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: vec!["get".into()],
        subresources: Vec::new(),
        storage_prefix: "masterleases".into(),
        storage_kind: GroupVersionKind::new("", "v1", "Endpoints"),
        schema: endpoints.schema.clone(),
        selectable_fields: Vec::new(),
        custom: None,
    })
}

/// The generation makes each renewal differ from the one before.
fn lease(own: IpAddr, generation: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"generation": generation},
        "subsets": [{"addresses": [{"ip": own.to_string()}]}],
    })
}

fn address(lease: &Value) -> Option<IpAddr> {
    lease.pointer("/subsets/0/addresses/0/ip")?.as_str()?.parse().ok()
}

struct Renew(IpAddr);

#[async_trait]
impl Decide<StorageError> for Renew {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, StorageError> {
        let generation = current.value().pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or_default();
        Ok(Change::PutWithTtl(lease(self.0, generation + 1), LIFE))
    }
}

struct Remove;

#[async_trait]
impl Decide<StorageError> for Remove {
    async fn decide(&mut self, _: &Arc<Object>) -> Result<Change, StorageError> {
        Ok(Change::Delete(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::Supervisor;

    #[tokio::test]
    async fn servers_come_and_go() {
        let supervisor = Supervisor::new();
        let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
        let open = async |own: &str| {
            MasterLeases::open(store.clone(), own.parse().expect("an address")).await.expect("leases")
        };
        let (a, b) = (open("10.0.0.2").await, open("10.0.0.1").await);
        for server in [&a, &a, &b] {
            server.renew().await.expect("renewed");
        }
        let live = async || a.live().await.expect("a list").iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(live().await, ["10.0.0.1", "10.0.0.2"]);
        for _ in 0..2 {
            b.remove().await.expect("removed");
        }
        assert_eq!(live().await, ["10.0.0.2"]);
        supervisor.stop();
    }
}
