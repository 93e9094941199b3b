//! What `/stats/summary` answers, field by field. What is not measured is left out.
//!
//! Upstream: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// The node and its pods.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub node: NodeStats,
    pub pods: Vec<PodStats>,
}

/// The whole machine.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    pub node_name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_containers: Vec<ContainerStats>,
    /// When it booted.
    pub start_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs: Option<FileSystem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit: Option<Processes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

/// The runtime's file systems.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeStats {
    pub image_fs: FileSystem,
    pub container_fs: FileSystem,
}

/// Process numbers of the node.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Processes {
    pub time: Time,
    /// How many there can be.
    pub maxpid: i64,
    /// How many there are.
    pub curproc: i64,
}

/// One pod.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStats {
    pub pod_ref: PodReference,
    pub start_time: Time,
    pub containers: Vec<ContainerStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    #[serde(rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStats>,
    #[serde(rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<FileSystem>,
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    pub process_stats: Option<ProcessCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

/// Which pod.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PodReference {
    pub name: String,
    pub namespace: String,
    pub uid: String,
}

/// Processes of a pod.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(clippy::struct_field_names, reason = "the wire's name")]
pub struct ProcessCount {
    pub process_count: u64,
}

/// One container, or a part of the system that is like one.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStats {
    pub name: String,
    /// The runtime's.
    #[serde(skip)]
    pub id: String,
    pub start_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Its writable layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<FileSystem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<FileSystem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

/// Use of the processor.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    pub time: Time,
    /// Billionths of a core, between two looks; absent after the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_nano_cores: Option<u64>,
    /// Nanoseconds of a core, ever since.
    pub usage_core_nano_seconds: u64,
}

/// Use of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    pub time: Time,
    /// What is left below the limit, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
}

/// Use of swap, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    pub time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_available_bytes: Option<u64>,
    pub swap_usage_bytes: u64,
}

/// What went through network interfaces; the main one's counts stand for the whole.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Network {
    pub time: Time,
    #[serde(flatten)]
    pub main: Interface,
    pub interfaces: Vec<Interface>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
    #[serde(skip)]
    pub packets: Packets,
}

/// Packets of an interface, of which only cAdvisor's metrics tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    pub rx: u64,
    pub rx_dropped: u64,
    pub tx: u64,
    pub tx_dropped: u64,
}

/// A file system, and what somebody uses of it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSystem {
    pub time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_used: Option<u64>,
}

/// A pod's volume.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStats {
    #[serde(flatten)]
    pub fs: FileSystem,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc_ref: Option<ClaimReference>,
}

/// The claim that a volume belongs to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClaimReference {
    pub name: String,
    pub namespace: String,
}

/// A moment, in whole seconds as the API shows them; unknown ones are null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time(pub Option<Timestamp>);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ")),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_named_as_on_the_wire() {
        let time = Time(Timestamp::from_second(0).ok());
        let pod = PodStats {
            pod_ref: PodReference { name: "p".into(), namespace: "n".into(), uid: "u".into() },
            start_time: time,
            cpu: Some(Cpu { time, usage_nano_cores: None, usage_core_nano_seconds: 5 }),
            network: Some(Network {
                time,
                main: Interface { name: "eth0".into(), rx_bytes: 1, ..Interface::default() },
                interfaces: Vec::new(),
            }),
            volumes: vec![VolumeStats {
                name: "v".into(),
                fs: FileSystem { time, used_bytes: Some(3), ..FileSystem::default() },
                pvc_ref: None,
            }],
            ephemeral_storage: Some(FileSystem::default()),
            process_stats: Some(ProcessCount { process_count: 2 }),
            ..PodStats::default()
        };
        let epoch = "1970-01-01T00:00:00Z";
        assert_eq!(
            serde_json::to_value(pod).expect("JSON"),
            json!({
                "podRef": {"name": "p", "namespace": "n", "uid": "u"}, "startTime": epoch, "containers": [],
                "cpu": {"time": epoch, "usageCoreNanoSeconds": 5},
                "network": {"time": epoch, "name": "eth0", "rxBytes": 1, "rxErrors": 0, "txBytes": 0, "txErrors": 0, "interfaces": []},
                "volume": [{"time": epoch, "usedBytes": 3, "name": "v"}],
                "ephemeral-storage": {"time": null}, "process_stats": {"process_count": 2},
            })
        );
    }
}
