//! An apiserver in memory, a node's folder and a driver on real sockets.

use async_trait::async_trait;
use component::Supervisor;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, VolumeAttachment};
use k8s_openapi::jiff::Timestamp;
use kubelet::cluster::storage::Storage;
use kubelet::cluster::{Cluster, ClusterError, Token, TokenWish};
use kubelet::csi::{Csi, names};
use kubelet::env::fields::PodFacts;
use kubelet::events::{Events, LogOnly};
use kubelet::plugins::watcher;
use kubelet::volumes::{Mounted, VolumeError, Volumes};
use parking_lot::Mutex;
use proto::csi::node_service_capability::rpc::Type as Capability;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::csi::{FakeCsi, Options};

/// The driver of all tests.
pub(crate) const DRIVER: &str = "dirs.example.com";

/// Objects by kind and name, and the patches that came.
#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) all: Mutex<BTreeMap<(&'static str, String), Value>>,
    pub(crate) patches: Mutex<Vec<Value>>,
    csi_node: Mutex<Option<CSINode>>,
}

impl Objects {
    pub(crate) fn put(&self, kind: &'static str, name: &str, object: Value) {
        self.all.lock().insert((kind, name.to_owned()), object);
    }

    fn get<T: serde::de::DeserializeOwned>(&self, kind: &'static str, name: &str) -> Result<T, ClusterError> {
        let found = self.all.lock().get(&(kind, name.to_owned())).cloned();
        let found = found.ok_or_else(|| ClusterError::NotFound { kind, name: name.to_owned() })?;
        serde_json::from_value(found).map_err(|e| ClusterError::Api(e.to_string()))
    }

    /// The drivers that the node's object tells of.
    pub(crate) fn drivers(&self) -> Vec<String> {
        let node = self.csi_node.lock();
        node.iter().flat_map(|node| &node.spec.drivers).map(|driver| driver.name.clone()).collect()
    }
}

#[async_trait]
impl Cluster for Objects {
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ClusterError> {
        self.get("configmap", name).map(Arc::new)
    }

    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ClusterError> {
        self.get("secret", name).map(Arc::new)
    }

    async fn claim(&self, _: &str, name: &str) -> Result<PersistentVolumeClaim, ClusterError> {
        self.get("persistentvolumeclaim", name)
    }

    async fn volume(&self, name: &str) -> Result<PersistentVolume, ClusterError> {
        self.get("persistentvolume", name)
    }

    async fn token(&self, wish: &TokenWish) -> Result<Token, ClusterError> {
        let expires = Timestamp::from_second(4_000_000_000).expect("a time");
        Ok(Token { token: format!("token for {}", wish.audience.clone().unwrap_or_default()), expires })
    }
}

#[async_trait]
impl Storage for Objects {
    async fn driver(&self, name: &str) -> Result<Option<CSIDriver>, ClusterError> {
        Ok(self.get("csidriver", name).ok())
    }

    async fn attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError> {
        self.get("volumeattachment", name)
    }

    async fn node(&self) -> Result<Node, ClusterError> {
        self.get("node", "n")
    }

    async fn patch_node(&self, patch: &Value) -> Result<(), ClusterError> {
        self.patches.lock().push(patch.clone());
        Ok(())
    }

    async fn csi_node(&self) -> Result<Option<CSINode>, ClusterError> {
        Ok(self.csi_node.lock().clone())
    }

    async fn write_csi_node(&self, node: &CSINode) -> Result<(), ClusterError> {
        let mut node = node.clone();
        node.metadata.resource_version = Some("1".into());
        *self.csi_node.lock() = Some(node);
        Ok(())
    }

    async fn delete_csi_node(&self) -> Result<(), ClusterError> {
        *self.csi_node.lock() = None;
        Ok(())
    }

    async fn patch_claim(&self, _: &str, _: &str, patch: &Value) -> Result<(), ClusterError> {
        self.patches.lock().push(patch.clone());
        Ok(())
    }
}

/// A node with a driver.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) objects: Arc<Objects>,
    pub(crate) csi: Csi,
    pub(crate) volumes: Volumes,
    pub(crate) driver: FakeCsi,
    pub(crate) supervisor: Supervisor,
}

impl World {
    /// With a driver that can do this, registered. Its `CSIDriver` is `spec`.
    pub(crate) async fn start(capabilities: &[Capability], spec: Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = Arc::new(Objects::default());
        objects.put("node", "n", json!({"metadata": {"name": "n", "uid": "node-uid"}}));
        let mut spec = spec;
        if spec["volumeLifecycleModes"].is_null() {
            // As the apiserver does.
            spec["volumeLifecycleModes"] = json!(["Persistent"]);
        }
        objects.put("csidriver", DRIVER, json!({"metadata": {"name": DRIVER}, "spec": spec}));
        let root = folder.path().to_owned();
        let options = Options {
            name: DRIVER.into(),
            node_id: "node-id".into(),
            limit: 7,
            topology: [("example.com/rack".to_owned(), "r1".to_owned())].into(),
            capabilities: capabilities.to_vec(),
            volumes: None,
        };
        let registry = root.join("plugins_registry");
        let driver =
            FakeCsi::start(options, &root.join("driver.sock"), &registry.join("dirs-reg.sock")).expect("a driver");
        let (csi, volumes, supervisor) = kubelet(root, &objects);
        let world = Self { folder, objects, csi, volumes, driver, supervisor };
        until("registered", || world.driver.state().registrations == [Ok(())]).await;
        world
    }

    /// The kubelet of this node starts anew.
    pub(crate) async fn restart(&mut self) {
        self.supervisor.stop();
        let known = self.driver.state().registrations.len();
        (self.csi, self.volumes, self.supervisor) = kubelet(self.root(), &self.objects);
        until("registered again", || self.driver.state().registrations.len() > known).await;
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A bound claim named `data`, of a volume `pv` with this `spec`.
    pub(crate) fn claim(&self, spec: Value) {
        let mut spec = spec;
        spec["csi"]["driver"] = DRIVER.into();
        spec["csi"]["volumeHandle"] = "h".into();
        spec["claimRef"] = json!({"uid": "claim-uid"});
        spec["capacity"] = json!({"storage": "1Gi"});
        self.objects.put("persistentvolume", "pv", json!({"metadata": {"name": "pv"}, "spec": spec}));
        let claim = json!({
            "metadata": {"name": "data", "namespace": "ns", "uid": "claim-uid"}, "spec": {"volumeName": "pv"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
        });
        self.objects.put("persistentvolumeclaim", "data", claim);
    }

    /// The controller attaches it.
    pub(crate) fn attach(&self) {
        let name = names::attachment("h", DRIVER, "n");
        let spec = json!({"attacher": DRIVER, "nodeName": "n", "source": {"persistentVolumeName": "pv"}});
        let status = json!({"attached": true, "attachmentMetadata": {"slot": "3"}});
        self.objects.put("volumeattachment", &name, json!({"spec": spec, "status": status}));
        let volume = json!({"name": names::unique(DRIVER, "h"), "devicePath": ""});
        let node = json!({"metadata": {"name": "n", "uid": "node-uid"}, "status": {"volumesAttached": [volume]}});
        self.objects.put("node", "n", node);
    }

    pub(crate) async fn ensure(&self, pod: &Pod) -> Result<Mounted, VolumeError> {
        self.volumes.ensure(&PodFacts::new(pod)).await
    }

    /// Tries until what failed before may be tried again, and succeeds.
    pub(crate) async fn mount(&self, pod: &Pod) -> PathBuf {
        let tried = async {
            loop {
                match self.ensure(pod).await {
                    Ok(mounted) => return mounted["v"].clone(),
                    Err(VolumeError::Later { wait, .. }) => pass(wait).await,
                    Err(e) => panic!("{e}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(600), tried).await.expect("mounted in time")
    }

    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.driver.state().names()
    }
}

/// Lets time go by without waiting for it.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn kubelet(root: PathBuf, objects: &Arc<Objects>) -> (Csi, Volumes, Supervisor) {
    let (supervisor, events) = (Supervisor::new(), Events::new(Arc::new(LogOnly)));
    let csi = Csi::new(root.clone(), "n".into(), objects.clone(), objects.clone(), events);
    let volumes = Volumes::new(root.clone(), objects.clone(), csi.clone());
    let watch = watcher::run(root.join("plugins_registry"), vec![Box::new(csi.clone())]);
    supervisor.spawn_until_stop("watcher", watch);
    let in_use = csi.in_use();
    supervisor.spawn_until_stop("node", async move {
        loop {
            in_use.differs().await;
            in_use.set_reported(in_use.wanted());
        }
    });
    supervisor.spawn_until_stop("stats", csi.clone().measure(Duration::from_secs(60)));
    (csi, volumes, supervisor)
}

/// A pod whose container uses the volume `v`, which is this.
pub(crate) fn pod(uid: &str, volume: Value) -> Pod {
    using(uid, volume, json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
}

/// The same with another container.
pub(crate) fn using(uid: &str, volume: Value, container: Value) -> Pod {
    let (mut volume, mut container) = (volume, container);
    volume["name"] = "v".into();
    container["name"] = "c".into();
    serde_json::from_value(json!({
        "metadata": {"name": format!("pod-{uid}"), "namespace": "ns", "uid": uid},
        "spec": {"serviceAccountName": "sa", "containers": [container], "volumes": [volume]},
    }))
    .expect("a pod")
}

/// The claim of all tests, as a volume of a pod.
pub(crate) fn claimed() -> Value {
    json!({"persistentVolumeClaim": {"claimName": "data"}})
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !is() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
