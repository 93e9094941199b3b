//! Rules that came later than objects which break them.
//!
//! Upstream: `GetValidationOptionsFromPodSpecAndMeta` in `pkg/api/pod/util.go`.

use super::super::check::{At, Report};
use super::{affinity, annotations, resources, security, spread, volumes};
use crate::tree::Tree;
use apimachinery::{Map, Value};

/// A rule that an update may break if the stored object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The deletion cost is a number.
    DeletionCost,
    /// Selectors of pod affinity have values that labels can have.
    AffinitySelectors,
    /// Required node affinity has values that labels can have.
    NodeAffinityValues,
    /// The selectors of spread constraints are right.
    SpreadSelectors,
    /// The label keys of spread constraints are not in their selectors.
    SpreadKeys,
    /// Huge pages are asked for in whole pages.
    HugePages,
    /// Tokens are projected to relative paths.
    TokenPaths,
    /// Settings of a namespace of the host's are the host's.
    HostSysctls,
    /// Volumes are labelled recursively.
    SelinuxPolicy,
    /// Tolerations compare no numbers.
    TolerationOperators,
    /// Pods with users of their own have a network of their own.
    HostNetworkUsers,
    /// Pods with users of their own have no block devices.
    DeviceUsers,
    /// Init containers that end are not restarted for their resources.
    InitResizes,
}

const RULES: [Rule; 13] = [
    Rule::DeletionCost,
    Rule::AffinitySelectors,
    Rule::NodeAffinityValues,
    Rule::SpreadSelectors,
    Rule::SpreadKeys,
    Rule::HugePages,
    Rule::TokenPaths,
    Rule::HostSysctls,
    Rule::SelinuxPolicy,
    Rule::TolerationOperators,
    Rule::HostNetworkUsers,
    Rule::DeviceUsers,
    Rule::InitResizes,
];

/// The rules that a stored object breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(u16);

impl Kept {
    /// There is no stored object, or it breaks no rule.
    pub(super) const NOTHING: Self = Self(0);

    /// The stored object breaks this rule only.
    pub(super) const fn only(rule: Rule) -> Self {
        Self(rule.bit())
    }

    /// What the object of these annotations and this specification breaks.
    pub(super) fn of(annotations: Option<&Map>, spec: &Value) -> Self {
        let broken = RULES.into_iter().filter(|rule| breaks(*rule, annotations, spec));
        Self(broken.fold(0, |kept, rule| kept | rule.bit()))
    }

    /// Whether the rule does not count.
    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }
}

impl Rule {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

fn breaks(rule: Rule, annotations: Option<&Map>, spec: &Value) -> bool {
    let at = At::root("");
    let finds = |check: &dyn Fn(&mut Report)| {
        let mut found = Report::default();
        check(&mut found);
        !found.is_empty()
    };
    match rule {
        Rule::DeletionCost => !annotations::is_deletion_cost(annotations),
        Rule::AffinitySelectors => finds(&|out| affinity::selectors(spec, out)),
        Rule::NodeAffinityValues => finds(&|out| affinity::required_node_values(spec, out)),
        Rule::SpreadSelectors => finds(&|out| spread::selectors(spec, out)),
        Rule::SpreadKeys => finds(&|out| spread::keys(spec, out)),
        Rule::HugePages => resources::has_broken_pages(spec),
        Rule::TokenPaths => finds(&|out| volumes::token_paths(&at, spec, out)),
        Rule::HostSysctls => security::has_host_sysctls(spec),
        Rule::SelinuxPolicy => spec.at("securityContext").is_some_and(|c| c.has("seLinuxChangePolicy")),
        Rule::TolerationOperators => {
            spec.items("tolerations").iter().any(|t| matches!(t.text("operator"), "Lt" | "Gt"))
        }
        Rule::HostNetworkUsers => own_users(spec) && spec.flag("hostNetwork"),
        Rule::DeviceUsers => {
            own_users(spec) && all_containers(spec).any(|(_, _, c)| !c.items("volumeDevices").is_empty())
        }
        Rule::InitResizes => spec.items("initContainers").iter().any(|container| {
            let restarts = |p: &Value| p.text("restartPolicy") == "RestartContainer";
            container.text("restartPolicy") != "Always" && container.items("resizePolicy").iter().any(restarts)
        }),
    }
}

/// Whether the users of a pod's containers are not the host's.
pub(super) fn own_users(spec: &Value) -> bool {
    spec.at("hostUsers").and_then(Value::as_bool) == Some(false)
}

/// All containers with the names of their lists and their positions, in the order that upstream visits them.
pub(super) fn all_containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
    LISTS.into_iter().flat_map(|list| spec.items(list).iter().enumerate().map(move |(i, c)| (list, i, c)))
}
