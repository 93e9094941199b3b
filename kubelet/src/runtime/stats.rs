//! What containers use.

use super::{Runtime, RuntimeError, labels};
use proto::cri;

/// One container's use of processor and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub uid: String,
    pub pod: String,
    pub namespace: String,
    pub container: String,
    /// Of the container.
    pub id: String,
    pub cpu_nanos: u64,
    /// Billionths of a core, where the runtime measures them.
    pub nano_cores: Option<u64>,
    /// Bytes of the working set.
    pub memory: u64,
    /// What else the runtime counts of memory.
    pub pages: Pages,
    /// Bytes and inodes of its writable layer.
    pub writable: u64,
    pub inodes: u64,
    /// When it was measured, in milliseconds since the epoch.
    pub at_millis: i64,
}

/// Memory beyond the working set; some runtimes count less than others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Bytes below the limit.
    pub available: Option<u64>,
    /// Bytes with those of files.
    pub usage: Option<u64>,
    /// Bytes that belong to no file.
    pub rss: Option<u64>,
    /// Page faults.
    pub faults: Option<u64>,
    /// Page faults that had to read.
    pub major_faults: Option<u64>,
}

impl Runtime {
    /// Usage of all running containers of pods.
    pub async fn usage(&self) -> Result<Vec<Usage>, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ListContainerStatsRequest { filter: None };
        let answer = self.call(self.timeout, "ListContainerStats", client.list_container_stats(request)).await?;
        Ok(answer.stats.into_iter().filter_map(usage).collect())
    }
}

fn usage(s: cri::ContainerStats) -> Option<Usage> {
    let attributes = s.attributes?;
    let of = attributes.labels;
    let text = |key: &str| of.get(key).cloned().unwrap_or_default();
    let layer = s.writable_layer.unwrap_or_default();
    let cpu = s.cpu.unwrap_or_default();
    let memory = s.memory.unwrap_or_default();
    let value = |value: Option<cri::UInt64Value>| value.map(|v| v.value);
    Some(Usage {
        uid: of.get(labels::POD_UID)?.clone(),
        pod: text(labels::POD_NAME),
        namespace: text(labels::POD_NAMESPACE),
        container: text(labels::CONTAINER_NAME),
        id: attributes.id,
        cpu_nanos: value(cpu.usage_core_nano_seconds).unwrap_or_default(),
        nano_cores: value(cpu.usage_nano_cores),
        memory: value(memory.working_set_bytes).unwrap_or_default(),
        pages: Pages {
            available: value(memory.available_bytes),
            usage: value(memory.usage_bytes),
            rss: value(memory.rss_bytes),
            faults: value(memory.page_faults),
            major_faults: value(memory.major_page_faults),
        },
        writable: layer.used_bytes.unwrap_or_default().value,
        inodes: layer.inodes_used.unwrap_or_default().value,
        at_millis: cpu.timestamp / 1_000_000,
    })
}
