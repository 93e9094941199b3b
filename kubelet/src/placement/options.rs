//! `cpuManagerPolicyOptions`, and what may not go together.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/policy_options.go`.

use super::topology::Topology;
use component::gates::{Gates, go_bool};
use std::collections::BTreeMap;

const FULL_CORES: &str = "full-pcpus-only";
const ACROSS_NODES: &str = "distribute-cpus-across-numa";
const BY_SOCKET: &str = "align-by-socket";
const ACROSS_CORES: &str = "distribute-cpus-across-cores";
const STRICT: &str = "strict-cpu-reservation";
const BY_CACHE: &str = "prefer-align-cpus-by-uncorecache";
const ALPHA: [&str; 2] = [BY_SOCKET, ACROSS_CORES];
const BETA: [&str; 1] = [ACROSS_NODES];

/// Pairs that exclude each other, in the order in which they are looked at.
const CLASHES: [(&str, &str); 4] =
    [(FULL_CORES, ACROSS_CORES), (ACROSS_NODES, ACROSS_CORES), (BY_CACHE, ACROSS_CORES), (BY_CACHE, ACROSS_NODES)];

/// How the static policy chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only whole cores.
    pub full_cores: bool,
    /// Equal parts of several NUMA nodes.
    pub across_nodes: bool,
    /// From sockets rather than NUMA nodes.
    pub by_socket: bool,
    /// One thread of each core first.
    pub across_cores: bool,
    /// What is reserved is not even shared.
    pub strict: bool,
    /// As few last caches as possible.
    pub by_cache: bool,
}

/// Options that cannot be; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("unknown CPU Manager Policy option: {0:?}")]
    Unknown(String),
    #[error("CPU Manager Policy {level}-level Options not enabled, but option {option:?} provided")]
    Gate { level: &'static str, option: String },
    #[error("bad value for option {option:?}: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Value { option: String, value: String },
    #[error("static policy options {0} and {1} can not be used at the same time")]
    Clash(&'static str, &'static str),
    #[error("Topolgy manager single-numa-node policy is incompatible with CPUManager align-by-socket policy option")]
    SingleNode,
    #[error("Align by socket is not compatible with hardware where number of sockets are more than number of NUMA")]
    Sockets,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// One is unknown, is not enabled by its gate, has no truth value, or does not go with another.
    pub fn new(given: &BTreeMap<String, String>, gates: &Gates) -> Result<Self, OptionsError> {
        let mut out = Self::default();
        for (option, value) in given {
            let place = out.place(option).ok_or_else(|| OptionsError::Unknown(option.clone()))?;
            available(option, gates)?;
            let bad = || OptionsError::Value { option: option.clone(), value: value.clone() };
            *place = go_bool(value).ok_or_else(bad)?;
        }
        let is_on = |option: &str| out.clone().place(option).is_some_and(|on| *on);
        match CLASHES.iter().find(|(one, other)| is_on(one) && is_on(other)) {
            Some((one, other)) => Err(OptionsError::Clash(one, other)),
            None => Ok(out),
        }
    }

    /// Whether the machine and the topology manager's policy go with them.
    ///
    /// # Errors
    /// They do not.
    pub fn check(&self, topology: &Topology, single_node: bool) -> Result<(), OptionsError> {
        match self.by_socket {
            true if single_node => Err(OptionsError::SingleNode),
            true if topology.sockets > topology.nodes => Err(OptionsError::Sockets),
            _ => Ok(()),
        }
    }

    fn place(&mut self, option: &str) -> Option<&mut bool> {
        Some(match option {
            FULL_CORES => &mut self.full_cores,
            ACROSS_NODES => &mut self.across_nodes,
            BY_SOCKET => &mut self.by_socket,
            ACROSS_CORES => &mut self.across_cores,
            STRICT => &mut self.strict,
            BY_CACHE => &mut self.by_cache,
            _ => return None,
        })
    }
}

fn available(option: &str, gates: &Gates) -> Result<(), OptionsError> {
    let refuse = |level| Err(OptionsError::Gate { level, option: option.to_owned() });
    if ALPHA.contains(&option) && !gates.enabled("CPUManagerPolicyAlphaOptions") {
        return refuse("Alpha");
    }
    if BETA.contains(&option) && !gates.enabled("CPUManagerPolicyBetaOptions") {
        return refuse("Beta");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::machine;
    use super::*;

    fn read(options: &[(&str, &str)], gates: &[&str]) -> Result<Options, String> {
        let given = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let gates = Gates::parse(&gates.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()).unwrap();
        Options::new(&given, &gates).map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_read_or_refused() {
        let got = read(&[("full-pcpus-only", "true"), ("strict-cpu-reservation", "0")], &[]).unwrap();
        assert_eq!(got, Options { full_cores: true, ..Options::default() });
        for (options, gates, want) in [
            (&[("x", "true")][..], &[][..], "unknown CPU Manager Policy option: \"x\""),
            (
                &[("align-by-socket", "true")],
                &[],
                "CPU Manager Policy Alpha-level Options not enabled, but option \"align-by-socket\" provided",
            ),
            (
                &[("distribute-cpus-across-numa", "true")],
                &["CPUManagerPolicyBetaOptions=false"],
                "CPU Manager Policy Beta-level Options not enabled, but option \"distribute-cpus-across-numa\" provided",
            ),
            (
                &[("full-pcpus-only", "yes")],
                &[],
                "bad value for option \"full-pcpus-only\": strconv.ParseBool: parsing \"yes\": invalid syntax",
            ),
            (
                &[("full-pcpus-only", "true"), ("distribute-cpus-across-cores", "true")],
                &["CPUManagerPolicyAlphaOptions=true"],
                "static policy options full-pcpus-only and distribute-cpus-across-cores can not be used at the same time",
            ),
        ] {
            assert_eq!(read(options, gates).unwrap_err(), want);
        }
    }

    #[test]
    fn sockets_have_to_go_with_the_machine() {
        let options = Options { by_socket: true, ..Options::default() };
        assert_eq!(options.check(&machine(2, 1, 1, 1), false), Ok(()));
        assert_eq!(options.check(&machine(2, 1, 1, 1), true), Err(OptionsError::SingleNode));
    }
}
