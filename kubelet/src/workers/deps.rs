//! Everything that a worker uses.

use crate::cgroups::Cgroups;
use crate::cluster::Cluster;
use crate::devices::Devices;
use crate::dra::Dra;
use crate::events::Events;
use crate::images::Images;
use crate::network::dns::{ClusterDns, Resolver};
use crate::node::NodeFacts;
use crate::placement::Placement;
use crate::probes::Probes;
use crate::resize::Allocations;
use crate::resources::memory::MemoryRules;
use crate::runtime::Runtime;
use crate::status::StatusWriter;
use crate::volumes::{VolumeError, Volumes};
use crate::workers::sysctls;
use k8s_openapi::jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Handles of the other subsystems.
pub struct Deps {
    pub runtime: Runtime,
    pub volumes: Volumes,
    pub cgroups: Cgroups,
    pub cluster: Arc<dyn Cluster>,
    pub events: Events,
    pub statuses: StatusWriter,
    pub probes: Probes,
    pub images: Images,
    pub node: NodeFacts,
    pub allocations: Allocations,
    pub devices: Devices,
    pub dra: Dra,
    pub placement: Placement,
    pub settings: Settings,
}

impl Deps {
    /// Takes away all that the pod's volumes had on the node, and what the runtime kept for them.
    pub async fn remove_volumes(&self, uid: &str) -> Result<(), VolumeError> {
        // In this order, as the folder tells that there are any; what is mounted stays whole without its view.
        if self.volumes.shows_images(uid) {
            self.runtime.release_views(uid).await?;
        }
        self.volumes.tear_down(uid).await
    }
}

/// The configuration as far as it concerns pods.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `podLogsDir`.
    pub logs: PathBuf,
    /// Where every container's log has a link by name.
    pub log_links: PathBuf,
    pub cluster_dns: ClusterDns,
    /// The node's resolv.conf as its pods see it; empty for none.
    pub resolv_conf: PathBuf,
    /// The longest delay of a crashing container.
    pub longest_backoff: Duration,
    /// How often a pod is looked at when nothing happens.
    pub sync_frequency: Duration,
    /// Kernel parameters that pods may set.
    pub sysctls: sysctls::Allowed,
    /// Whether containers that say nothing of seccomp have the runtime's profile.
    pub seccomp_default: bool,
    /// Swap, and what happens to those that need too much memory.
    pub memory: MemoryRules,
    /// When this kubelet started.
    pub started: Timestamp,
}

impl Settings {
    /// The node's resolver as it is now.
    pub fn resolver(&self) -> Resolver {
        std::fs::read_to_string(&self.resolv_conf).map(|text| Resolver::parse(&text)).unwrap_or_default()
    }
}
