//! Whether, and for whom, what a pod gets is to be close together: `topologyManagerPolicy`, its scope and its options.
//!
//! Upstream: `pkg/kubelet/cm/topologymanager/{topology_manager,policy_options}.go`.

use super::merge::{Merger, Policy};
use super::numa::Node;
use component::gates::go_bool;
use std::collections::BTreeMap;

/// The policies.
pub const POLICIES: [&str; 4] = ["none", "best-effort", "restricted", "single-numa-node"];
/// The scopes.
pub const SCOPES: [&str; 2] = ["container", "pod"];

const CLOSEST: &str = "prefer-closest-numa-nodes";
const MOST: &str = "max-allowable-numa-nodes";
/// From more nodes than this on there are too many combinations.
const MOST_NODES: usize = 8;

/// What is brought close together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What one container gets.
    Container,
    /// What all containers of a pod get.
    Pod,
}

/// The manager.
#[derive(Clone, Debug)]
pub enum Alignment {
    /// Nobody asks where things are.
    None,
    To(Scope, Merger),
}

/// A configuration or machine with which the kubelet does not start; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlignmentError {
    #[error("unknown Topology Manager Policy option: {0:?}")]
    Option(String),
    #[error("bad value for option {option:?}: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Value { option: &'static str, value: String },
    #[error("unable to convert policy option to integer {option:?}: strconv.Atoi: parsing {value:?}: invalid syntax")]
    Number { option: &'static str, value: String },
    #[error("the minimum value of {MOST:?} should not be less than {MOST_NODES}")]
    TooFew,
    #[error("cannot discover NUMA topology: error getting NUMA distances from cadvisor")]
    Distances,
    #[error("unsupported on machines with more than {0} NUMA Nodes")]
    Nodes(usize),
    #[error("unknown policy: {0:?}")]
    Policy(String),
    #[error("unknown scope: {0:?}")]
    Scope(String),
}

impl Alignment {
    /// Reads the configuration for a machine with these nodes.
    ///
    /// # Errors
    /// Something in it is not known, or the machine has too many nodes.
    pub fn new(
        policy: &str,
        scope: &str,
        options: &BTreeMap<String, String>,
        nodes: Vec<Node>,
    ) -> Result<Self, AlignmentError> {
        if policy == POLICIES[0] {
            return Ok(Self::None);
        }
        let (closest, most) = read(options)?;
        if closest && nodes.iter().any(|node| node.distances.is_empty()) {
            return Err(AlignmentError::Distances);
        }
        if nodes.len() > most {
            return Err(AlignmentError::Nodes(most));
        }
        let policy = match policy {
            "best-effort" => Policy::BestEffort,
            "restricted" => Policy::Restricted,
            "single-numa-node" => Policy::SingleNode,
            other => return Err(AlignmentError::Policy(other.to_owned())),
        };
        let scope = match scope {
            "container" => Scope::Container,
            "pod" => Scope::Pod,
            other => return Err(AlignmentError::Scope(other.to_owned())),
        };
        Ok(Self::To(scope, Merger { policy, closest, nodes }))
    }
}

/// Whether near nodes are preferred, and how many nodes the machine may have.
fn read(options: &BTreeMap<String, String>) -> Result<(bool, usize), AlignmentError> {
    let (mut closest, mut most) = (false, MOST_NODES);
    for (option, value) in options {
        match option.as_str() {
            CLOSEST => {
                let bad = || AlignmentError::Value { option: CLOSEST, value: value.clone() };
                closest = go_bool(value).ok_or_else(bad)?;
            }
            MOST => {
                let bad = |_| AlignmentError::Number { option: MOST, value: value.clone() };
                let number: i64 = value.parse().map_err(bad)?;
                most = usize::try_from(number).ok().filter(|n| *n >= MOST_NODES).ok_or(AlignmentError::TooFew)?;
                if most > MOST_NODES {
                    tracing::warn!(most, "more NUMA nodes than {MOST_NODES} are allowed: admissions may take long");
                }
            }
            other => return Err(AlignmentError::Option(other.to_owned())),
        }
    }
    Ok((closest, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(policy: &str, scope: &str, options: &[(&str, &str)], nodes: usize) -> Option<String> {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let nodes = (0..nodes).map(|id| Node { id, ..Node::default() }).collect();
        Alignment::new(policy, scope, &options, nodes).err().map(|e| e.to_string())
    }

    #[test]
    fn configurations() {
        for (policy, scope, options, nodes, want) in [
            ("none", "x", &[("x", "y")][..], 99, None),
            ("restricted", "pod", &[("max-allowable-numa-nodes", "9")], 9, None),
            ("restricted", "pod", &[], 9, Some("unsupported on machines with more than 8 NUMA Nodes")),
            ("best-effort", "x", &[], 1, Some("unknown scope: \"x\"")),
            ("x", "pod", &[], 1, Some("unknown policy: \"x\"")),
            ("restricted", "pod", &[("x", "y")], 1, Some("unknown Topology Manager Policy option: \"x\"")),
            (
                "restricted",
                "pod",
                &[("max-allowable-numa-nodes", "7")],
                1,
                Some("the minimum value of \"max-allowable-numa-nodes\" should not be less than 8"),
            ),
            (
                "restricted",
                "pod",
                &[("prefer-closest-numa-nodes", "maybe")],
                1,
                Some(
                    "bad value for option \"prefer-closest-numa-nodes\": strconv.ParseBool: parsing \"maybe\": invalid syntax",
                ),
            ),
            (
                "restricted",
                "pod",
                &[("prefer-closest-numa-nodes", "true")],
                1,
                Some("cannot discover NUMA topology: error getting NUMA distances from cadvisor"),
            ),
        ] {
            assert_eq!(error(policy, scope, options, nodes).as_deref(), want, "{policy} {options:?}");
        }
    }
}
