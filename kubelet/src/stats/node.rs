//! The whole machine.
//!
//! Upstream: `pkg/kubelet/server/stats/summary.go`.

use super::types::{ContainerStats, NodeStats, Processes, Swap, Time};
use super::{Extent, Look, network};
use crate::cgroups::usage::GroupUsage;
use crate::node::machine;
use k8s_openapi::jiff::Timestamp;

/// The first process is in the machine's own network.
const INIT: u32 = 1;

impl Look<'_> {
    pub(super) fn node(&self) -> NodeStats {
        let sources = &self.stats.sources;
        let group = with_memory_of_machine(sources.cgroups.usage_of_node());
        let capacity = u64::try_from(sources.node.memory().value()).ok();
        let all = self.extent == Extent::All;
        NodeStats {
            node_name: sources.node.name(),
            system_containers: vec![self.pods()],
            start_time: Time(booted()),
            cpu: self.cpu(".node", &group),
            memory: self.memory(&group, capacity),
            network: all.then(|| network::of_process(INIT, self.time())).flatten(),
            fs: all.then(|| self.root_fs()),
            runtime: all.then(|| self.runtime()),
            rlimit: all.then(|| self.processes()).flatten(),
            swap: Some(self.swap_of_machine()),
        }
    }

    /// All pods together.
    fn pods(&self) -> ContainerStats {
        let sources = &self.stats.sources;
        let group = sources.cgroups.usage_of_pods();
        let capacity = u64::try_from(sources.node.memory().value()).ok();
        ContainerStats {
            name: "pods".to_owned(),
            start_time: Time(booted()),
            cpu: self.cpu(".pods", &group),
            memory: self.memory(&group, capacity),
            swap: self.swap(&group),
            ..ContainerStats::default()
        }
    }

    fn swap_of_machine(&self) -> Swap {
        let of = |name: &str| u64::try_from(machine::memory_info(name)).unwrap_or(0);
        let free = of("SwapFree");
        Swap {
            time: self.time(),
            swap_available_bytes: Some(free),
            swap_usage_bytes: of("SwapTotal").saturating_sub(free),
        }
    }

    /// The fourth word of loadavg is `running/all`.
    fn processes(&self) -> Option<Processes> {
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<i64>().ok();
        let maxpid = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
        let load = std::fs::read_to_string("/proc/loadavg").ok()?;
        let curproc = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
        Some(Processes { time: self.time(), maxpid, curproc })
    }
}

/// The topmost group of version 2 counts no memory; the kernel tells of the machine what it tells of no group.
fn with_memory_of_machine(group: GroupUsage) -> GroupUsage {
    let of = |name: &str| u64::try_from(machine::memory_info(name)).unwrap_or(0);
    let used = |free: &str| Some(of("MemTotal").saturating_sub(of(free)));
    GroupUsage {
        cpu_nanos: group.cpu_nanos.or_else(busy_nanos),
        memory: group.memory.or_else(|| used("MemFree")),
        working_set: group.working_set.or_else(|| used("MemAvailable")),
        ..group
    }
}

/// The busy time of all processors since boot; the kernel counts in hundredths of a second.
fn busy_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(ticks.iter().take(8).sum::<u64>().saturating_sub(idle).saturating_mul(10_000_000))
}

fn booted() -> Option<Timestamp> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_booted_and_works() {
        assert!(booted().is_some_and(|time| time < Timestamp::now()));
        let group = with_memory_of_machine(GroupUsage::default());
        assert!(group.cpu_nanos > Some(0) && group.working_set > Some(0) && group.memory >= group.working_set);
        let known = GroupUsage { memory: Some(5), working_set: Some(4), cpu_nanos: Some(3), ..GroupUsage::default() };
        assert_eq!(with_memory_of_machine(known), known);
    }
}
