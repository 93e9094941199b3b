//! `/metrics/cadvisor`: what control groups use, in the names of cAdvisor. What is not measured is not told of.
//!
//! Upstream: `google/cadvisor` `lib/metrics/prometheus.go`, `containerPrometheusLabelsFunc` of `pkg/kubelet/server`.

use super::types::{ContainerStats, Cpu, FileSystem, Interface, Memory, Network, PodStats, Summary, Swap, Time};
use crate::resources::linux::{CPU_PERIOD, LinuxResources};
use k8s_openapi::jiff::Timestamp;
use std::fmt::Write as _;

/// The same labels for every family, or queries could not join them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    pub container: String,
    /// The control group.
    pub id: String,
    pub image: String,
    /// The runtime's id of the container.
    pub name: String,
    pub namespace: String,
    pub pod: String,
}

/// A control group.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub labels: Labels,
    pub start: Option<Timestamp>,
    pub cpu: Option<Cpu>,
    pub memory: Option<Memory>,
    pub swap: Option<Swap>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    pub limits: Option<LinuxResources>,
    /// What it uses of the file system below it, and the device of that.
    pub fs: Option<(String, FileSystem)>,
    pub network: Option<Network>,
}

/// The machine itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    pub cores: u64,
    pub memory: u64,
    pub swap: u64,
}

/// What a pod's and its containers' rows need beside the figures.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// Its control group, with a slash before it.
    pub group: String,
    /// What the kubelet allows the pod.
    pub limits: LinuxResources,
    /// Name of a container to its image and what it may have.
    pub containers: Vec<(String, String, LinuxResources)>,
    /// The sandbox, in whose network the containers are.
    pub sandbox: Option<String>,
    /// The control group of a container.
    pub group_of: fn(&str, &str) -> String,
}

/// The rows of the whole node.
pub fn rows(summary: &Summary, device: &str, facts: impl Fn(&PodStats) -> Option<PodFacts>) -> Vec<Row> {
    let node = &summary.node;
    let group = |id: &str| Labels { id: id.to_owned(), ..Labels::default() };
    let mut all = vec![Row {
        labels: group("/"),
        start: node.start_time.0,
        cpu: node.cpu,
        memory: node.memory,
        swap: node.swap,
        fs: node.fs.map(|fs| (device.to_owned(), fs)),
        network: node.network.clone(),
        ..Row::default()
    }];
    for pod in &summary.pods {
        let Some(facts) = facts(pod) else { continue };
        all.extend(of_pod(pod, &facts, device));
    }
    all
}

fn of_pod(pod: &PodStats, facts: &PodFacts, device: &str) -> Vec<Row> {
    let labels = |id: String| Labels {
        id,
        namespace: pod.pod_ref.namespace.clone(),
        pod: pod.pod_ref.name.clone(),
        ..Labels::default()
    };
    let mut all = vec![Row {
        labels: labels(facts.group.clone()),
        start: pod.start_time.0,
        cpu: pod.cpu,
        memory: pod.memory,
        swap: pod.swap,
        tasks: pod.process_stats.as_ref().map(|stats| stats.process_count),
        limits: Some(facts.limits),
        ..Row::default()
    }];
    if let Some(sandbox) = &facts.sandbox {
        let labels = Labels { name: sandbox.clone(), ..labels((facts.group_of)(&facts.group, sandbox)) };
        all.push(Row { labels, start: pod.start_time.0, network: pod.network.clone(), ..Row::default() });
    }
    all.extend(pod.containers.iter().map(|container| {
        let (image, limits) = facts.of(container);
        Row {
            labels: Labels {
                container: container.name.clone(),
                image,
                name: container.id.clone(),
                ..labels((facts.group_of)(&facts.group, &container.id))
            },
            start: container.start_time.0,
            cpu: container.cpu,
            memory: container.memory,
            swap: container.swap,
            limits,
            fs: container.rootfs.map(|fs| (device.to_owned(), fs)),
            ..Row::default()
        }
    }));
    all
}

impl PodFacts {
    fn of(&self, container: &ContainerStats) -> (String, Option<LinuxResources>) {
        let found = self.containers.iter().find(|(name, ..)| *name == container.name);
        found.map(|(_, image, limits)| (image.clone(), Some(*limits))).unwrap_or_default()
    }
}

/// A value with the labels of its own and the time at which it was measured.
type Sample = (String, f64, Option<Timestamp>);

struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Row) -> Vec<Sample>,
}

/// The text that is answered.
pub fn text(rows: &[Row], machine: Machine, now: Timestamp) -> String {
    let mut out = String::new();
    for family in FAMILIES {
        let mut head = Some(family);
        for row in rows {
            for (more, value, time) in (family.samples)(row) {
                if let Some(Family { name, kind, help, .. }) = head.take() {
                    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
                }
                let _ = write!(out, "{}{{{}}} {value}", family.name, labels(&row.labels, &more));
                if let Some(time) = time {
                    let _ = write!(out, " {}", time.as_millisecond());
                }
                out.push('\n');
            }
        }
    }
    let (name, help) = ("container_last_seen", "Last time a container was seen by the exporter");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for row in rows {
        let (labels, second, milli) = (labels(&row.labels, ""), now.as_second(), now.as_millisecond());
        let _ = writeln!(out, "{name}{{{labels}}} {second} {milli}");
    }
    for (name, help, value) in [
        ("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", 0),
        ("machine_cpu_cores", "Number of logical CPU cores.", machine.cores),
        ("machine_memory_bytes", "Amount of memory installed on the machine.", machine.memory),
        ("machine_scrape_error", "1 if there was an error while getting machine metrics, 0 otherwise.", 0),
        ("machine_swap_bytes", "Amount of swap memory available on the machine.", machine.swap),
    ] {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    out
}

/// By name, as the client library of upstream writes them; `more` begins with a comma and comes last.
fn labels(l: &Labels, more: &str) -> String {
    let [container, id, image, name, namespace, pod] =
        [&l.container, &l.id, &l.image, &l.name, &l.namespace, &l.pod].map(|value| escaped(value));
    format!(
        "container=\"{container}\",id=\"{id}\",image=\"{image}\",name=\"{name}\",namespace=\"{namespace}\",pod=\"{pod}\"{more}"
    )
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn one(value: Option<u64>, time: Time) -> Vec<Sample> {
    value.map(|value| (String::new(), value as f64, time.0)).into_iter().collect()
}

fn of_memory(row: &Row, value: fn(&Memory) -> Option<u64>) -> Vec<Sample> {
    row.memory.as_ref().map(|memory| one(value(memory), memory.time)).unwrap_or_default()
}

fn of_fs(row: &Row, value: fn(&FileSystem) -> Option<u64>) -> Vec<Sample> {
    let Some((device, fs)) = &row.fs else { return Vec::new() };
    let sample = |value: u64| (format!(",device=\"{}\"", escaped(device)), value as f64, fs.time.0);
    value(fs).map(sample).into_iter().collect()
}

fn of_network(row: &Row, value: fn(&Interface) -> u64) -> Vec<Sample> {
    let Some(network) = &row.network else { return Vec::new() };
    let sample = |i: &Interface| (format!(",interface=\"{}\"", escaped(&i.name)), value(i) as f64, network.time.0);
    network.interfaces.iter().map(sample).collect()
}

fn of_limits(row: &Row, value: fn(&LinuxResources) -> Option<i64>) -> Vec<Sample> {
    let value = row.limits.as_ref().and_then(value);
    value.map(|value| (String::new(), value as f64, None)).into_iter().collect()
}

fn failures(row: &Row) -> Vec<Sample> {
    let Some(memory) = &row.memory else { return Vec::new() };
    let kinds = [("pgfault", memory.page_faults), ("pgmajfault", memory.major_page_faults)];
    let sample = |(kind, count): (&str, Option<u64>)| {
        Some((format!(",failure_type=\"{kind}\",scope=\"hierarchy\""), count? as f64, memory.time.0))
    };
    kinds.into_iter().filter_map(sample).collect()
}

const FAMILIES: &[Family] = &[
    Family {
        name: "container_cpu_usage_seconds_total",
        kind: "counter",
        help: "Cumulative cpu time consumed in seconds.",
        samples: |row| {
            let sample =
                |cpu: &Cpu| (",cpu=\"total\"".to_owned(), cpu.usage_core_nano_seconds as f64 / 1e9, cpu.time.0);
            row.cpu.as_ref().map(sample).into_iter().collect()
        },
    },
    Family {
        name: "container_fs_inodes_free",
        kind: "gauge",
        help: "Number of available Inodes",
        samples: |row| of_fs(row, |fs| fs.inodes_free),
    },
    Family {
        name: "container_fs_inodes_total",
        kind: "gauge",
        help: "Number of Inodes",
        samples: |row| of_fs(row, |fs| fs.inodes),
    },
    Family {
        name: "container_fs_limit_bytes",
        kind: "gauge",
        help: "Number of bytes that can be consumed by the container on this filesystem.",
        samples: |row| of_fs(row, |fs| fs.capacity_bytes),
    },
    Family {
        name: "container_fs_usage_bytes",
        kind: "gauge",
        help: "Number of bytes that are consumed by the container on this filesystem.",
        samples: |row| of_fs(row, |fs| fs.used_bytes),
    },
    Family {
        name: "container_memory_failures_total",
        kind: "counter",
        help: "Cumulative count of memory allocation failures.",
        samples: failures,
    },
    Family {
        name: "container_memory_rss",
        kind: "gauge",
        help: "Size of RSS in bytes.",
        samples: |row| of_memory(row, |memory| memory.rss_bytes),
    },
    Family {
        name: "container_memory_swap",
        kind: "gauge",
        help: "Container swap usage in bytes.",
        samples: |row| row.swap.as_ref().map(|swap| one(Some(swap.swap_usage_bytes), swap.time)).unwrap_or_default(),
    },
    Family {
        name: "container_memory_usage_bytes",
        kind: "gauge",
        help: "Current memory usage in bytes, including all memory regardless of when it was accessed",
        samples: |row| of_memory(row, |memory| memory.usage_bytes),
    },
    Family {
        name: "container_memory_working_set_bytes",
        kind: "gauge",
        help: "Current working set in bytes.",
        samples: |row| of_memory(row, |memory| memory.working_set_bytes),
    },
    Family {
        name: "container_network_receive_bytes_total",
        kind: "counter",
        help: "Cumulative count of bytes received",
        samples: |row| of_network(row, |i| i.rx_bytes),
    },
    Family {
        name: "container_network_receive_errors_total",
        kind: "counter",
        help: "Cumulative count of errors encountered while receiving",
        samples: |row| of_network(row, |i| i.rx_errors),
    },
    Family {
        name: "container_network_receive_packets_dropped_total",
        kind: "counter",
        help: "Cumulative count of packets dropped while receiving",
        samples: |row| of_network(row, |i| i.packets.rx_dropped),
    },
    Family {
        name: "container_network_receive_packets_total",
        kind: "counter",
        help: "Cumulative count of packets received",
        samples: |row| of_network(row, |i| i.packets.rx),
    },
    Family {
        name: "container_network_transmit_bytes_total",
        kind: "counter",
        help: "Cumulative count of bytes transmitted",
        samples: |row| of_network(row, |i| i.tx_bytes),
    },
    Family {
        name: "container_network_transmit_errors_total",
        kind: "counter",
        help: "Cumulative count of errors encountered while transmitting",
        samples: |row| of_network(row, |i| i.tx_errors),
    },
    Family {
        name: "container_network_transmit_packets_dropped_total",
        kind: "counter",
        help: "Cumulative count of packets dropped while transmitting",
        samples: |row| of_network(row, |i| i.packets.tx_dropped),
    },
    Family {
        name: "container_network_transmit_packets_total",
        kind: "counter",
        help: "Cumulative count of packets transmitted",
        samples: |row| of_network(row, |i| i.packets.tx),
    },
    Family {
        name: "container_spec_cpu_period",
        kind: "gauge",
        help: "CPU period of the container.",
        samples: |row| of_limits(row, |_| Some(CPU_PERIOD)),
    },
    Family {
        name: "container_spec_cpu_quota",
        kind: "gauge",
        help: "CPU quota of the container.",
        samples: |row| of_limits(row, |limits| limits.quota.filter(|quota| *quota > 0)),
    },
    Family {
        name: "container_spec_cpu_shares",
        kind: "gauge",
        help: "CPU share of the container.",
        samples: |row| of_limits(row, |limits| limits.shares),
    },
    Family {
        name: "container_spec_memory_limit_bytes",
        kind: "gauge",
        help: "Memory limit for the container.",
        samples: |row| of_limits(row, |limits| Some(limits.memory.unwrap_or(0).max(0))),
    },
    Family {
        name: "container_start_time_seconds",
        kind: "gauge",
        help: "Start time of the container since unix epoch in seconds.",
        samples: |row| row.start.map(|start| (String::new(), start.as_second() as f64, None)).into_iter().collect(),
    },
    Family {
        name: "container_threads",
        kind: "gauge",
        help: "Number of threads running inside the container",
        samples: |row| one(row.tasks, row.memory.map(|memory| memory.time).unwrap_or_default()),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::types::{NodeStats, PodReference};

    fn summary() -> Summary {
        let time = Time(Timestamp::from_second(10).ok());
        let cpu = Some(Cpu { time, usage_nano_cores: None, usage_core_nano_seconds: 1_500_000_000 });
        let memory = Memory { time, working_set_bytes: Some(5), rss_bytes: Some(4), ..Memory::default() };
        let eth0 = Interface { name: "eth0".into(), rx_bytes: 7, ..Interface::default() };
        let rootfs = FileSystem { time, used_bytes: Some(8), capacity_bytes: Some(9), ..FileSystem::default() };
        let container = ContainerStats {
            name: "c".into(),
            id: "abc".into(),
            start_time: time,
            cpu,
            memory: Some(memory),
            rootfs: Some(rootfs),
            ..ContainerStats::default()
        };
        let pod = PodStats {
            pod_ref: PodReference { name: "p".into(), namespace: "ns".into(), uid: "u".into() },
            start_time: time,
            cpu,
            network: Some(Network { time, main: eth0.clone(), interfaces: vec![eth0] }),
            containers: vec![container],
            ..PodStats::default()
        };
        Summary { node: NodeStats { cpu, start_time: time, ..NodeStats::default() }, pods: vec![pod] }
    }

    #[test]
    fn names_and_labels_are_cadvisors() {
        let limits = LinuxResources { shares: Some(102), quota: Some(20_000), memory: Some(1 << 20), pids: None };
        let facts = PodFacts {
            group: "/kubepods/podu".into(),
            limits,
            containers: vec![("c".into(), "x:1".into(), limits)],
            sandbox: Some("box".into()),
            group_of: |group, id| format!("{group}/{id}"),
        };
        let rows = rows(&summary(), "/dev/vda", |_| Some(facts.clone()));
        let machine = Machine { cores: 2, memory: 100, swap: 0 };
        let text = text(&rows, machine, Timestamp::from_second(20).unwrap());
        let of_container =
            "container=\"c\",id=\"/kubepods/podu/abc\",image=\"x:1\",name=\"abc\",namespace=\"ns\",pod=\"p\"";
        let of_pod = "container=\"\",id=\"/kubepods/podu\",image=\"\",name=\"\",namespace=\"ns\",pod=\"p\"";
        let of_box = "container=\"\",id=\"/kubepods/podu/box\",image=\"\",name=\"box\",namespace=\"ns\",pod=\"p\"";
        let of_node = "container=\"\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"";
        for line in [
            format!("container_cpu_usage_seconds_total{{{of_container},cpu=\"total\"}} 1.5 10000"),
            format!("container_cpu_usage_seconds_total{{{of_pod},cpu=\"total\"}} 1.5 10000"),
            format!("container_cpu_usage_seconds_total{{{of_node},cpu=\"total\"}} 1.5 10000"),
            format!("container_memory_working_set_bytes{{{of_container}}} 5 10000"),
            format!("container_memory_rss{{{of_container}}} 4 10000"),
            format!("container_fs_usage_bytes{{{of_container},device=\"/dev/vda\"}} 8 10000"),
            format!("container_fs_limit_bytes{{{of_container},device=\"/dev/vda\"}} 9 10000"),
            format!("container_network_receive_bytes_total{{{of_box},interface=\"eth0\"}} 7 10000"),
            format!("container_spec_cpu_quota{{{of_container}}} 20000"),
            format!("container_spec_memory_limit_bytes{{{of_pod}}} 1048576"),
            format!("container_start_time_seconds{{{of_container}}} 10"),
            format!("container_last_seen{{{of_container}}} 20 20000"),
            "machine_cpu_cores 2".to_owned(),
            "machine_memory_bytes 100".to_owned(),
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
        let heads: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let mut once = heads.clone();
        once.dedup();
        assert_eq!(heads, once);
        assert!(!text.contains("container_memory_swap"), "nothing was measured of it");
    }
}
