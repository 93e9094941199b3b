//! What `topologyManager*` and `reservedMemory` must be like, in upstream's words.
//!
//! Upstream: `pkg/kubelet/apis/config/validation/{validation,validation_reserved_memory}.go`.

use super::{ConfigError, KubeletConfiguration};
use crate::placement::alignment::{POLICIES, SCOPES};
use crate::placement::memory::demand::is_memory;
use crate::resources::Amount;
use std::collections::BTreeSet;

pub(super) fn validate(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let whole = |why| Err(ConfigError::Whole(why));
    let policy = &config.topology_manager_policy;
    if !POLICIES.contains(&policy.as_str()) {
        let all = POLICIES.map(|policy| format!("{policy:?}")).join(" ");
        return whole(format!("topologyManagerPolicy (--topology-manager-policy) {policy:?} must be one of: [{all}]"));
    }
    let scope = &config.topology_manager_scope;
    if !SCOPES.contains(&scope.as_str()) {
        let all = SCOPES.map(|scope| format!("{scope:?}")).join(", or ");
        return whole(format!("topologyManagerScope (--topology-manager-scope) {scope:?} must be one of: {all}"));
    }
    validate_reserved_memory(config)
}

fn validate_reserved_memory(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for reservation in &config.reserved_memory {
        let node = reservation.numa_node;
        for (resource, text) in &reservation.limits {
            let amount = Amount::parse(text);
            let why = if !is_memory(resource) {
                let kinds = "[memory hugepages-<HugePageSize>]";
                format!("the limit type {resource:?} for NUMA node {node} is not supported, only {kinds} is accepted")
            } else if amount.is_none() {
                format!("reservedMemory of NUMA node {node}: {resource}: {text:?} is no quantity")
            } else if amount.is_some_and(Amount::is_zero) {
                format!("reserved memory may not be zero for NUMA node {node} and resource {resource:?}")
            } else if !seen.insert((node, resource)) {
                format!("the reserved memory has a duplicate value for NUMA node {node} and resource {resource:?}")
            } else {
                continue;
            };
            return Err(ConfigError::Whole(why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::memory::reserved::MemoryReservation;

    fn refusal(change: impl FnOnce(&mut KubeletConfiguration)) -> Option<String> {
        let mut config = KubeletConfiguration::default();
        change(&mut config);
        validate(&config).err().map(|error| error.to_string())
    }

    #[test]
    fn policies_and_scopes() {
        assert_eq!(refusal(|_| ()), None);
        let policy = refusal(|config| config.topology_manager_policy = "x".into());
        let want = "invalid configuration: topologyManagerPolicy (--topology-manager-policy) \"x\" must be one of: [\"none\" \"best-effort\" \"restricted\" \"single-numa-node\"]";
        assert_eq!(policy.as_deref(), Some(want));
        let scope = refusal(|config| config.topology_manager_scope = "x".into());
        let want = "invalid configuration: topologyManagerScope (--topology-manager-scope) \"x\" must be one of: \"container\", or \"pod\"";
        assert_eq!(scope.as_deref(), Some(want));
    }

    #[test]
    fn reservations() {
        let of = |limits: &[(&str, &str)]| MemoryReservation {
            numa_node: 1,
            limits: limits.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        for (all, want) in [
            (vec![of(&[("memory", "1Gi"), ("hugepages-2Mi", "2Mi")])], None),
            (
                vec![of(&[("cpu", "1")])],
                Some(
                    "the limit type \"cpu\" for NUMA node 1 is not supported, only [memory hugepages-<HugePageSize>] is accepted",
                ),
            ),
            (
                vec![of(&[("memory", "0")])],
                Some("reserved memory may not be zero for NUMA node 1 and resource \"memory\""),
            ),
            (
                vec![of(&[("memory", "1")]), of(&[("memory", "2")])],
                Some("the reserved memory has a duplicate value for NUMA node 1 and resource \"memory\""),
            ),
        ] {
            let got = refusal(|config| config.reserved_memory = all);
            assert_eq!(got, want.map(|why| format!("invalid configuration: {why}")));
        }
    }
}
