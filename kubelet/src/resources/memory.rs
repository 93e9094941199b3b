//! What containers get of swap, and whether running out of memory ends all of their processes. Pure.
//!
//! Upstream: `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`.

use super::QosClass;
use super::requests::{self, Side};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How pods may use the node's swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwapBehavior {
    /// As upstream's file has it when nothing is said: none.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// None.
    NoSwap,
    /// Burstable pods as much of the swap as they request of the memory.
    LimitedSwap,
}

/// The node's part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRules {
    /// Whether control groups are of version 2.
    pub unified: bool,
    /// Whether the kernel limits swap at all.
    pub limits_swap: bool,
    pub swap: SwapBehavior,
    /// Whether the kernel ends only the process that needed too much.
    pub single_process_oom: bool,
    /// Bytes.
    pub node_memory: i64,
    /// Bytes.
    pub node_swap: i64,
}

/// What a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Files of version 2 and their values.
    pub unified: BTreeMap<String, String>,
    /// Memory and swap together, of version 1: no more than the memory alone.
    pub no_swap_above_memory: bool,
}

impl MemoryRules {
    /// Of one container.
    pub fn of(&self, pod: &Pod, container: &Container) -> Extra {
        let mut extra = Extra::default();
        if !self.unified {
            extra.no_swap_above_memory = self.limits_swap;
            return extra;
        }
        if !self.single_process_oom {
            extra.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
        }
        if self.limits_swap {
            let swap = if self.may_swap(pod, container) { self.share(container) } else { 0 };
            extra.unified.insert("memory.swap.max".to_owned(), swap.to_string());
        }
        extra
    }

    fn may_swap(&self, pod: &Pod, container: &Container) -> bool {
        let (request, limit) = (memory(container, Side::Requests), memory(container, Side::Limits));
        self.swap == SwapBehavior::LimitedSwap
            && !pod.is_critical()
            && QosClass::of(pod) == QosClass::Burstable
            && (request, limit) != (0, 0)
            && request != limit
    }

    /// Bytes of swap for a container: the part of it that it requests of the memory.
    fn share(&self, container: &Container) -> i64 {
        let request = memory(container, Side::Requests);
        if self.node_memory <= 0 || request > self.node_memory {
            return 0;
        }
        (request as f64 / self.node_memory as f64 * self.node_swap as f64) as i64
    }
}

fn memory(container: &Container, side: Side) -> i64 {
    requests::amount(container, side, "memory").unwrap_or_default().value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    const RULES: MemoryRules = MemoryRules {
        unified: true,
        limits_swap: true,
        swap: SwapBehavior::LimitedSwap,
        single_process_oom: false,
        node_memory: 1000,
        node_swap: 500,
    };

    fn swap(rules: MemoryRules, requests: &[(&str, &str)], limits: &[(&str, &str)], critical: bool) -> Option<String> {
        let container = fixture::container("c", requests, limits);
        let mut pod = fixture::pod(vec![], vec![container.clone()]);
        pod.spec.as_mut().unwrap().priority = critical.then_some(crate::pod::CRITICAL_PRIORITY);
        rules.of(&pod, &container).unified.get("memory.swap.max").cloned()
    }

    #[test]
    fn burstable_containers_get_their_share_of_swap() {
        let (some, more) = ([("memory", "100")], [("memory", "200")]);
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(swap(RULES, &some, &more, false), is("50"));
        assert_eq!(swap(RULES, &some, &[], false), is("50"));
        for (what, requests, limits, critical) in [
            ("a critical pod", &some[..], &more[..], true),
            ("a guaranteed pod", &some, &some, false),
            ("best effort", &[], &[], false),
            ("more than there is", &[("memory", "2000")], &[("memory", "3000")], false),
        ] {
            assert_eq!(swap(RULES, requests, limits, critical), is("0"), "{what}");
        }
        assert_eq!(swap(MemoryRules { swap: SwapBehavior::NoSwap, ..RULES }, &some, &more, false), is("0"));
        assert_eq!(swap(MemoryRules { limits_swap: false, ..RULES }, &some, &more, false), None);
    }

    #[test]
    fn running_out_of_memory_ends_all_processes_unless_one_is_enough() {
        let container = fixture::container("c", &[], &[]);
        let pod = fixture::pod(vec![], vec![container.clone()]);
        let group = |rules: MemoryRules| rules.of(&pod, &container).unified.contains_key("memory.oom.group");
        assert!(group(RULES));
        assert!(!group(MemoryRules { single_process_oom: true, ..RULES }));
        let v1 = MemoryRules { unified: false, ..RULES };
        assert_eq!(v1.of(&pod, &container), Extra { no_swap_above_memory: true, ..Extra::default() });
    }
}
