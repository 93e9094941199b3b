//! Drivers come and go: what the node's `CSINode` and its object say of them.
//!
//! Upstream: `pkg/volume/csi/csi_plugin.go`, `pkg/volume/csi/nodeinfomanager`.

use super::Csi;
use super::driver::{Driver, DriverError};
use super::node_info;
use crate::cluster::ClusterError;
use crate::plugins::{Handler, HandlerError};
use async_trait::async_trait;
use proto::csi::NodeGetInfoResponse;
use proto::pluginregistration::PluginInfo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The type by which drivers register.
const KIND: &str = "CSIPlugin";
/// A registration answers sooner than a mount: other plugins wait meanwhile.
const INFO_LIMIT: Duration = Duration::from_secs(30);
/// Between the tries to write an object.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(250)];
const RETRY: Duration = Duration::from_secs(1);

/// A driver that may be called.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) socket: PathBuf,
    version: Version,
}

type Version = (u64, u64, u64);

/// What tells of drivers.
#[derive(Clone, Copy, Debug)]
enum Object {
    /// The node, by an annotation and labels.
    Node,
    /// Its `CSINode`.
    Drivers,
}

#[async_trait]
impl Handler for Csi {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn take(&self, info: &PluginInfo, endpoint: &Path) -> Result<(), HandlerError> {
        self.register(&info.name, endpoint, &info.supported_versions).await
    }

    async fn let_go(&self, name: &str, endpoint: &Path) {
        self.unregister(name, endpoint).await;
    }
}

impl Csi {
    /// A driver is there: it may be called, and the node's objects tell of it.
    async fn register(&self, driver: &str, endpoint: &Path, versions: &[String]) -> Result<(), HandlerError> {
        let registered = self.validate(driver, endpoint, versions)?;
        let before = self.0.drivers.lock().insert(driver.to_owned(), registered);
        let done = self.install(driver, endpoint).await;
        if done.is_err() {
            let mut drivers = self.0.drivers.lock();
            match before {
                Some(before) => drop(drivers.insert(driver.to_owned(), before)),
                None => drop(drivers.remove(driver)),
            }
        } else {
            tracing::info!(driver, endpoint = %endpoint.display(), "a storage driver registers");
        }
        done
    }

    fn validate(&self, driver: &str, endpoint: &Path, versions: &[String]) -> Result<Registered, HandlerError> {
        let invalid = |why: String| {
            let endpoint = endpoint.display();
            HandlerError::Invalid(format!("validation failed for CSI Driver {driver} at endpoint {endpoint}: {why}"))
        };
        let call = "kubernetes.io/csi: RegisterPlugin for CSI driver";
        if driver.is_empty() || driver.contains('/') || driver == "." || driver == ".." {
            return Err(invalid(format!("{call} \"{driver}\" failed. That is no name of a driver")));
        }
        if versions.is_empty() {
            let why = format!("{call} \"{driver}\" failed. Plugin returned an empty list for supported versions");
            return Err(invalid(why));
        }
        let version = highest(versions).ok_or_else(|| {
            invalid(format!("{call} \"{driver}\" failed. None of the versions specified {versions:?} are supported."))
        })?;
        match self.0.drivers.lock().get(driver) {
            Some(other) if other.version > version => Err(invalid(format!(
                "{call} \"{driver}\" failed. Another driver with the same name is already registered with a higher \
                 supported version: \"{}.{}.{}\"",
                other.version.0, other.version.1, other.version.2
            ))),
            _ => Ok(Registered { socket: endpoint.to_owned(), version }),
        }
    }

    async fn install(&self, driver: &str, endpoint: &Path) -> Result<(), HandlerError> {
        let failed = |error: DriverError| {
            HandlerError::Refused(format!("failed to get NodeGetInfo from driver \"{driver}\": {error}"))
        };
        let calls = self.0.calls.clone();
        let ask = async { Driver::connect(endpoint, driver, calls).await?.info().await };
        let info = match tokio::time::timeout(INFO_LIMIT, ask).await {
            Ok(info) => info.map_err(failed)?,
            Err(_) => return Err(failed(DriverError::timed_out())),
        };
        let refused = |why: String| HandlerError::Refused(format!("failed to update driver \"{driver}\": {why}"));
        if info.node_id.is_empty() {
            return Err(refused("error adding CSI driver node info: driverNodeID must not be empty".to_owned()));
        }
        for (object, name) in [(Object::Node, "Node"), (Object::Drivers, "CSINode")] {
            let told = self.tell(object, driver, Some(&info)).await;
            told.map_err(|why| refused(format!("error updating {name} object with CSI driver node info: {why}")))?;
        }
        Ok(())
    }

    /// A driver is gone, unless another instance of it has taken its place.
    async fn unregister(&self, driver: &str, endpoint: &Path) {
        {
            let mut drivers = self.0.drivers.lock();
            if drivers.get(driver).is_none_or(|registered| registered.socket != endpoint) {
                return;
            }
            drivers.remove(driver);
        }
        tracing::info!(driver, "a storage driver is gone");
        for object in [Object::Drivers, Object::Node] {
            if let Err(error) = self.tell(object, driver, None).await {
                tracing::error!(driver, error, "the node's objects still tell of a driver that is gone");
            }
        }
    }

    /// Says what a driver is, or that it is gone; tries a few times, as others write the same objects.
    async fn tell(&self, object: Object, driver: &str, info: Option<&NodeGetInfoResponse>) -> Result<(), String> {
        for pause in PAUSES {
            if self.try_tell(object, driver, info).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
        self.try_tell(object, driver, info).await
    }

    async fn try_tell(&self, object: Object, driver: &str, info: Option<&NodeGetInfoResponse>) -> Result<(), String> {
        let (storage, text) = (&self.0.storage, |e: ClusterError| e.to_string());
        let topology: BTreeMap<String, String> =
            info.and_then(|i| i.accessible_topology.clone()).unwrap_or_default().segments.into_iter().collect();
        match (object, info) {
            (Object::Node, _) => {
                let node = storage.node().await.map_err(text)?;
                match node_info::node_patch(&node, driver, info.map(|i| i.node_id.as_str()), &topology)? {
                    Some(patch) => storage.patch_node(&patch).await.map_err(text),
                    None => Ok(()),
                }
            }
            (Object::Drivers, Some(info)) => {
                let (node, keys) = (self.own_csi_node().await?, topology.into_keys().collect::<Vec<_>>());
                match node_info::with_driver(&node, driver, &info.node_id, info.max_volumes_per_node, &keys) {
                    Some(changed) => storage.write_csi_node(&changed).await.map_err(text),
                    None => Ok(()),
                }
            }
            (Object::Drivers, None) => {
                let node = storage.csi_node().await.map_err(text)?;
                match node.and_then(|node| node_info::without_driver(&node, driver)) {
                    Some(changed) => storage.write_csi_node(&changed).await.map_err(text),
                    None => Ok(()),
                }
            }
        }
    }

    /// Makes the node's `CSINode` as soon as there is a node; give it to the supervisor.
    pub async fn introduce_node(self) {
        while let Err(error) = self.own_csi_node().await {
            tracing::debug!(error, "the node has no CSINode yet");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The node's `CSINode`, made or mended where that is needed.
    async fn own_csi_node(&self) -> Result<k8s_openapi::api::storage::v1::CSINode, String> {
        let storage = &self.0.storage;
        let text = |e: ClusterError| e.to_string();
        let node = storage.node().await.map_err(text)?;
        match storage.csi_node().await.map_err(text)? {
            Some(found) if !node_info::is_owned(&found, &node) => {
                storage.delete_csi_node().await.map_err(text)?;
                Err(format!("CSINode {:?} was owned by different node, deleted it", self.0.node))
            }
            Some(found) => match node_info::annotated(&found) {
                Some(changed) => {
                    storage.write_csi_node(&changed).await.map_err(text)?;
                    storage.csi_node().await.map_err(text)?.ok_or_else(|| "it is gone again".to_owned())
                }
                None => Ok(found),
            },
            None => {
                storage.write_csi_node(&node_info::fresh(&node)).await.map_err(text)?;
                storage.csi_node().await.map_err(text)?.ok_or_else(|| "it is gone again".to_owned())
            }
        }
    }
}

/// The highest version that this kubelet speaks, which is any of 0 and 1.
fn highest(versions: &[String]) -> Option<Version> {
    let parse = |text: &String| {
        let mut parts = text.trim_start_matches('v').splitn(3, '.').map(str::parse::<u64>);
        let major = parts.next()?.ok()?;
        let minor = parts.next()?.ok()?;
        let patch = parts.next().and_then(Result::ok).unwrap_or(0);
        (major <= 1).then_some((major, minor, patch))
    };
    versions.iter().filter_map(parse).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_spoken() {
        let of = |all: &[&str]| highest(&all.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["1.0.0", "1.8.0", "2.0.0"]), Some((1, 8, 0)));
        assert_eq!(of(&["v1.2", "0.3.0"]), Some((1, 2, 0)));
        assert_eq!(of(&["2.0.0", "x"]), None);
    }
}
