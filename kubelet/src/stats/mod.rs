//! What the node, its pods and their containers use: `/stats/summary` and `/metrics/resource`.
//!
//! Containers are measured by the runtime, pods and the node by their control groups, traffic in the pods'
//! network namespaces, volumes and logs by walking their folders.
//!
//! Upstream: `pkg/kubelet/server/stats`, `pkg/kubelet/stats`.

pub mod cadvisor;
mod disk;
mod network;
mod node;
mod rates;
pub mod resource;
pub mod types;

use crate::cgroups::Cgroups;
use crate::cgroups::usage::GroupUsage;
use crate::csi::Csi;
use crate::eviction::measure::Folders;
use crate::node::NodeFacts;
use crate::node::machine;
use crate::pod::PodExt;
use crate::resources::linux;
use crate::runtime::stats::Usage;
use crate::runtime::{Runtime, RuntimeError};
use crate::status::StatusWriter;
use crate::workers::Workers;
use disk::{Found, OnDisk};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use rates::Rates;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use types::{
    ContainerStats, Cpu, FileSystem, Memory, PodReference, PodStats, ProcessCount, RuntimeStats, Summary, Swap, Time,
};

/// What is measured, and what the last look saw. Cheap to clone.
#[derive(Clone)]
pub struct Stats {
    sources: Arc<Sources>,
    rates: Arc<Mutex<Rates>>,
    found: Arc<Mutex<Found>>,
}

/// Where the figures come from.
pub struct Sources {
    pub workers: Workers,
    pub statuses: StatusWriter,
    pub runtime: Runtime,
    pub node: NodeFacts,
    pub cgroups: Cgroups,
    pub csi: Csi,
    pub folders: Folders,
    /// How long what lies in folders is believed.
    pub fresh: Duration,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The runtime does not tell.
    #[error("failed to list pod stats: {0}")]
    Runtime(#[from] RuntimeError),
    /// The kubelet stops.
    #[error("interrupted")]
    Interrupted,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Processor and memory.
    CpuAndMemory,
    /// Everything; folders are walked.
    All,
}

impl Stats {
    /// Nothing was looked at yet.
    pub fn new(sources: Sources) -> Self {
        Self { sources: Arc::new(sources), rates: Arc::default(), found: Arc::default() }
    }

    /// Measures.
    pub async fn summary(&self, extent: Extent) -> Result<Summary, StatsError> {
        let usage = self.sources.runtime.usage().await?;
        let images = match extent {
            Extent::All => self.sources.runtime.image_filesystem().await?,
            Extent::CpuAndMemory => None,
        };
        let own = self.clone();
        let look = move || own.look(&usage, images, extent);
        // Folders are walked and many small files read: not for the runtime's threads.
        tokio::task::spawn_blocking(look).await.map_err(|_| StatsError::Interrupted)
    }

    /// `/metrics/cadvisor`.
    pub async fn cadvisor(&self) -> Result<String, StatsError> {
        let summary = self.summary(Extent::All).await?;
        let outlines = self.sources.runtime.relist().await?;
        let images = self.sources.runtime.image_filesystem().await?.map(|(path, _)| path).unwrap_or_default();
        let sources = &self.sources;
        let facts = |pod: &PodStats| {
            let reference = &pod.pod_ref;
            let found = sources.workers.find(&reference.namespace, &reference.name)?;
            let boxes = outlines.get(&reference.uid).map(|outline| &outline.sandboxes);
            let sandbox = boxes.and_then(|boxes| boxes.iter().find(|(_, ready)| **ready)).map(|(id, _)| id.clone());
            Some(self.pod_facts(&found, sandbox))
        };
        let rows = cadvisor::rows(&summary, &disk::device_name(&images), facts);
        let of = |name: &str| u64::try_from(machine::memory_info(name)).unwrap_or(0);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let machine = cadvisor::Machine { cores, memory: of("MemTotal"), swap: of("SwapTotal") };
        Ok(cadvisor::text(&rows, machine, Timestamp::now()))
    }

    fn pod_facts(&self, pod: &Pod, sandbox: Option<String>) -> cadvisor::PodFacts {
        let cgroups = &self.sources.cgroups;
        let limits = |container: &Container| linux::of_container(container, cgroups.enforces_quota());
        let spec = PodExt::spec(pod);
        let all = spec.containers.iter().chain(pod.init_containers());
        cadvisor::PodFacts {
            group: cgroups.parent(pod),
            limits: linux::of_pod(pod, cgroups.enforces_quota()),
            containers: all.map(|c| (c.name.clone(), c.image.clone().unwrap_or_default(), limits(c))).collect(),
            sandbox,
            group_of: cgroups.group_of_container(),
        }
    }

    fn look(&self, usage: &[Usage], images: Option<(String, u64)>, extent: Extent) -> Summary {
        let now = Timestamp::now();
        let mut by_pod: BTreeMap<&str, Vec<&Usage>> = BTreeMap::new();
        for u in usage {
            by_pod.entry(&u.uid).or_default().push(u);
        }
        let pods: Vec<Arc<Pod>> =
            self.sources.workers.pods().into_iter().filter(|pod| by_pod.contains_key(pod.uid())).collect();
        if extent == Extent::All {
            let sources = &self.sources;
            self.found.lock().refresh(&pods, &sources.folders, sources.fresh, Time(Some(now)));
        }
        let look = Look { stats: self, now, extent, images };
        let node = look.node();
        let mut pods: Vec<PodStats> = pods.iter().map(|pod| look.pod(pod, &by_pod[pod.uid()])).collect();
        pods.sort_by(|a, b| (&a.pod_ref.namespace, &a.pod_ref.name).cmp(&(&b.pod_ref.namespace, &b.pod_ref.name)));
        let uid_of = |key: &str| key.split('/').next().unwrap_or_default().to_owned();
        self.rates.lock().keep(|key| key.starts_with('.') || by_pod.contains_key(uid_of(key).as_str()));
        Summary { node, pods }
    }
}

/// One look at everything.
struct Look<'a> {
    stats: &'a Stats,
    now: Timestamp,
    extent: Extent,
    /// Where images lie, and their bytes.
    images: Option<(String, u64)>,
}

impl Look<'_> {
    fn time(&self) -> Time {
        Time(Some(self.now))
    }

    fn pod(&self, pod: &Pod, usage: &[&Usage]) -> PodStats {
        let sources = &self.stats.sources;
        let status = sources.statuses.get(pod.uid()).or_else(|| pod.status.clone()).unwrap_or_default();
        let on_disk = match self.extent {
            Extent::All => self.stats.found.lock().of(pod.uid()),
            Extent::CpuAndMemory => OnDisk::default(),
        };
        let containers: Vec<ContainerStats> =
            usage.iter().map(|u| self.container(u, started(&status, &u.container), &on_disk)).collect();
        let group = self.whole(sources.cgroups.usage_of(pod), usage);
        let shares_network = PodExt::spec(pod).host_network == Some(true);
        PodStats {
            pod_ref: PodReference {
                name: pod.name().to_owned(),
                namespace: pod.namespace().to_owned(),
                uid: pod.uid().to_owned(),
            },
            start_time: Time(status.start_time.map(|time| time.0)),
            cpu: self.cpu(pod.uid(), &group),
            memory: self.memory(&group, None),
            swap: self.swap(&group),
            process_stats: group.pids.map(|process_count| ProcessCount { process_count }),
            network: match self.extent {
                Extent::All if !shares_network => {
                    sources.cgroups.a_process_of(pod).and_then(|pid| network::of_process(pid, self.time()))
                }
                _ => None,
            },
            ephemeral_storage: (self.extent == Extent::All).then(|| self.ephemeral(&containers, &on_disk)),
            volumes: match self.extent {
                Extent::All => on_disk.volumes.into_iter().chain(sources.csi.volume_stats(pod.uid())).collect(),
                Extent::CpuAndMemory => Vec::new(),
            },
            containers,
        }
    }

    /// A pod without a group of its own uses what its containers do.
    fn whole(&self, group: GroupUsage, usage: &[&Usage]) -> GroupUsage {
        let sum = |field: fn(&Usage) -> u64| Some(usage.iter().map(|u| field(u)).sum());
        GroupUsage {
            cpu_nanos: group.cpu_nanos.or_else(|| sum(|u| u.cpu_nanos)),
            working_set: group.working_set.or_else(|| sum(|u| u.memory)),
            ..group
        }
    }

    fn container(&self, usage: &Usage, started: Option<Timestamp>, on_disk: &OnDisk) -> ContainerStats {
        let at = Timestamp::from_millisecond(usage.at_millis).unwrap_or(self.now);
        let time = Time(Some(at));
        let rate = self.rate(&format!("{}/{}", usage.uid, usage.container), at, usage.cpu_nanos);
        let memory = Memory {
            time,
            available_bytes: usage.pages.available,
            usage_bytes: usage.pages.usage,
            working_set_bytes: Some(usage.memory),
            rss_bytes: usage.pages.rss,
            page_faults: usage.pages.faults,
            major_page_faults: usage.pages.major_faults,
        };
        ContainerStats {
            name: usage.container.clone(),
            id: usage.id.clone(),
            start_time: Time(started),
            cpu: Some(Cpu {
                time,
                usage_nano_cores: usage.nano_cores.or(rate),
                usage_core_nano_seconds: usage.cpu_nanos,
            }),
            memory: Some(memory),
            rootfs: (self.extent == Extent::All).then(|| FileSystem {
                used_bytes: Some(usage.writable),
                inodes_used: Some(usage.inodes),
                ..self.image_fs()
            }),
            logs: on_disk.logs.get(&usage.container).copied(),
            swap: None,
        }
    }

    /// Writable layers, logs, and volumes on the node's own disk.
    fn ephemeral(&self, containers: &[ContainerStats], on_disk: &OnDisk) -> FileSystem {
        let parts = || containers.iter().flat_map(|c| [&c.rootfs, &c.logs]).flatten();
        let bytes: u64 = parts().filter_map(|fs| fs.used_bytes).sum();
        let inodes: u64 = parts().filter_map(|fs| fs.inodes_used).sum();
        FileSystem {
            used_bytes: Some(bytes + on_disk.local.0),
            inodes_used: Some(inodes + on_disk.local.1),
            ..self.root_fs()
        }
    }

    fn cpu(&self, key: &str, group: &GroupUsage) -> Option<Cpu> {
        let usage = group.cpu_nanos?;
        let usage_nano_cores = self.rate(key, self.now, usage);
        Some(Cpu { time: self.time(), usage_nano_cores, usage_core_nano_seconds: usage })
    }

    /// `capacity` is what there could be at most.
    fn memory(&self, group: &GroupUsage, capacity: Option<u64>) -> Option<Memory> {
        let working_set = group.working_set?;
        Some(Memory {
            time: self.time(),
            available_bytes: capacity.map(|capacity| capacity.saturating_sub(working_set)),
            usage_bytes: group.memory,
            working_set_bytes: Some(working_set),
            rss_bytes: group.rss,
            page_faults: group.faults,
            major_page_faults: group.major_faults,
        })
    }

    fn swap(&self, group: &GroupUsage) -> Option<Swap> {
        group.swap.map(|used| Swap { time: self.time(), swap_available_bytes: None, swap_usage_bytes: used })
    }

    fn rate(&self, key: &str, at: Timestamp, value: u64) -> Option<u64> {
        self.stats.rates.lock().look(key, at.as_nanosecond(), value)
    }

    fn root_fs(&self) -> FileSystem {
        self.file_system(self.stats.sources.folders.root.clone())
    }

    fn image_fs(&self) -> FileSystem {
        match &self.images {
            Some((path, _)) => self.file_system(path.into()),
            None => FileSystem { time: self.time(), ..FileSystem::default() },
        }
    }

    fn file_system(&self, path: PathBuf) -> FileSystem {
        match machine::disk(&path) {
            Some(found) => disk::whole(&found, self.time()),
            None => FileSystem { time: self.time(), ..FileSystem::default() },
        }
    }

    fn runtime(&self) -> RuntimeStats {
        let whole = self.image_fs();
        let image_fs = FileSystem { used_bytes: self.images.as_ref().map(|(_, bytes)| *bytes), ..whole };
        RuntimeStats { image_fs, container_fs: whole }
    }
}

/// When a container started.
fn started(status: &PodStatus, container: &str) -> Option<Timestamp> {
    let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let found = all.into_iter().flatten().flatten().find(|c| c.name == container)?;
    running_since(found)
}

fn running_since(status: &ContainerStatus) -> Option<Timestamp> {
    status.state.as_ref()?.running.as_ref()?.started_at.as_ref().map(|time| time.0)
}
