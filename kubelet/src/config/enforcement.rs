//! `enforceNodeAllocatable`: on whom the node's reservations are enforced.
//!
//! Upstream: `pkg/kubelet/apis/config/validation`, `enforceNodeAllocatableCgroups` of `pkg/kubelet/cm`.

use super::{ConfigError, KubeletConfiguration};
use crate::resources::Amount;
use crate::resources::linux::{self, LinuxResources};
use std::collections::{BTreeMap, BTreeSet};

const KINDS: [&str; 6] =
    ["pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible", "none"];

/// A control group that somebody else has made, and what it is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// As messages name whose it is.
    pub whose: &'static str,
    pub group: String,
    pub limits: LinuxResources,
}

/// The groups to limit.
pub fn reserved(config: &KubeletConfiguration) -> Vec<Reserved> {
    let one = |kind: &str, whose, group: &str, amounts: &BTreeMap<String, String>, compressible| {
        let is_wanted = config.enforce_node_allocatable.iter().any(|wanted| wanted == kind);
        is_wanted.then(|| Reserved { whose, group: group.to_owned(), limits: limits(amounts, compressible) })
    };
    let (system, kube) = (&config.system_reserved_cgroup, &config.kube_reserved_cgroup);
    let all = [
        one("system-reserved", "System Reserved", system, &config.system_reserved, false),
        one("kube-reserved", "Kube Reserved", kube, &config.kube_reserved, false),
        one("system-reserved-compressible", "System Reserved Compressible", system, &config.system_reserved, true),
        one("kube-reserved-compressible", "Kube Reserved Compressible", kube, &config.kube_reserved, true),
    ];
    all.into_iter().flatten().collect()
}

fn limits(amounts: &BTreeMap<String, String>, compressible: bool) -> LinuxResources {
    let get = |name: &str| amounts.get(name).and_then(|amount| Amount::parse(amount));
    let shares = get("cpu").map(|cpu| linux::shares(cpu.milli_value()));
    if compressible {
        return LinuxResources { shares, ..LinuxResources::default() };
    }
    LinuxResources {
        shares,
        memory: get("memory").map(Amount::value),
        pids: get("pid").map(Amount::value),
        ..LinuxResources::default()
    }
}

/// Whether what is to be enforced can be.
pub(super) fn validate(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    const FIELD: &str = "enforceNodeAllocatable";
    const FLAG: &str = "(--enforce-node-allocatable)";
    let fail = |why: String| Err(ConfigError::Value { field: FIELD, why });
    let has = |kind: &str| config.enforce_node_allocatable.iter().any(|wanted| wanted == kind);
    for whose in ["system-reserved", "kube-reserved"] {
        let compressible = format!("{whose}-compressible");
        if has(whose) && has(&compressible) {
            return fail(format!("both {whose:?} and {compressible:?} cannot be specified together in {FIELD} {FLAG}"));
        }
    }
    let mut seen = BTreeSet::new();
    for kind in &config.enforce_node_allocatable {
        if !seen.insert(kind) {
            return fail(format!("duplicated enforcements {kind:?} in {FIELD} {FLAG}"));
        }
        let missing = |whose: &str| {
            let (field, flag) = (format!("{whose}ReservedCgroup"), format!("--{whose}-reserved-cgroup"));
            format!(
                "{field} ({flag}) must be specified when \"{whose}-reserved\" or \"{whose}-reserved-compressible\" \
                 included in {FIELD} {FLAG}"
            )
        };
        match kind.as_str() {
            "pods" => {}
            "system-reserved" | "system-reserved-compressible" if config.system_reserved_cgroup.is_empty() => {
                return fail(missing("system"));
            }
            "kube-reserved" | "kube-reserved-compressible" if config.kube_reserved_cgroup.is_empty() => {
                return fail(missing("kube"));
            }
            "none" if config.enforce_node_allocatable.len() > 1 => {
                return fail(format!(
                    "{FIELD} {FLAG} may not contain additional enforcements when \"none\" is specified"
                ));
            }
            "none" => continue,
            known if KINDS.contains(&known) => {}
            other => {
                let known = KINDS.map(|kind| format!("{kind:?}"));
                let (last, first) = known.split_last().map_or(("", &[][..]), |(last, first)| (last.as_str(), first));
                return fail(format!(
                    "option {other:?} specified for {FIELD} {FLAG}. Valid options are {} or {last}",
                    first.join(", ")
                ));
            }
        }
        if !config.cgroups_per_qos {
            return fail(format!(
                "cgroupsPerQOS (--cgroups-per-qos) must be set to true when {kind:?} contained in {FIELD} {FLAG}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enforcing(kinds: &[&str], group: &str) -> KubeletConfiguration {
        KubeletConfiguration {
            enforce_node_allocatable: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            kube_reserved_cgroup: group.to_owned(),
            kube_reserved: [("cpu", "500m"), ("memory", "1Gi"), ("pid", "100")]
                .map(|(name, amount)| (name.to_owned(), amount.to_owned()))
                .into(),
            ..KubeletConfiguration::default()
        }
    }

    #[test]
    fn what_cannot_be_enforced_is_refused() {
        for (kinds, group, good) in [
            (&["pods"][..], "", true),
            (&["none"], "", true),
            (&[], "", true),
            (&["none", "pods"], "", false),
            (&["pods", "pods"], "", false),
            (&["everything"], "", false),
            (&["kube-reserved"], "", false),
            (&["kube-reserved"], "/kube.slice", true),
            (&["kube-reserved", "kube-reserved-compressible"], "/kube.slice", false),
            (&["system-reserved"], "/kube.slice", false),
        ] {
            assert_eq!(validate(&enforcing(kinds, group)).is_ok(), good, "{kinds:?} {group}");
        }
        let no_groups = KubeletConfiguration { cgroups_per_qos: false, ..KubeletConfiguration::default() };
        assert!(validate(&no_groups).is_err());
    }

    #[test]
    fn groups_are_limited_to_what_is_reserved() {
        assert!(reserved(&KubeletConfiguration::default()).is_empty());
        let all = LinuxResources { shares: Some(512), quota: None, memory: Some(1 << 30), pids: Some(100) };
        let of = |kind: &str| reserved(&enforcing(&[kind], "/kube.slice")).remove(0);
        let whole = Reserved { whose: "Kube Reserved", group: "/kube.slice".into(), limits: all };
        assert_eq!(of("kube-reserved"), whole);
        let compressible = LinuxResources { shares: Some(512), ..LinuxResources::default() };
        assert_eq!(of("kube-reserved-compressible").limits, compressible);
    }
}
