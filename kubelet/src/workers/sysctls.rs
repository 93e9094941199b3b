//! Which kernel parameters pods may set: those that a pod cannot harm others with, and those that the node's
//! configuration adds.
//!
//! Upstream: `pkg/kubelet/sysctl`.

use super::admission::Rejection;
use crate::pod::PodExt;
use apimachinery::sysctl::{LONGEST, Namespace, SAFE, dotted, is_pattern};
use k8s_openapi::api::core::v1::Pod;

const FORM: &str = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]";

/// An entry of `allowedUnsafeSysctls` that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlError {
    /// No name of a parameter, and no start of one with a star.
    #[error("sysctl {0:?} must have at most {LONGEST} characters and match regex {FORM}")]
    Form(String),
    /// A parameter of the whole node.
    #[error("the sysctls {0:?} are not known to be namespaced")]
    OfNode(String),
}

/// The parameters that are allowed.
#[derive(Clone, Debug)]
pub struct Allowed {
    names: Vec<(String, Namespace)>,
    /// What names may begin with.
    starts: Vec<(String, Namespace)>,
}

impl Default for Allowed {
    fn default() -> Self {
        let names = SAFE.iter().filter_map(|name| Some(((*name).to_owned(), Namespace::of(name)?)));
        Self { names: names.collect(), starts: Vec::new() }
    }
}

impl Allowed {
    /// The safe ones, and `more`: names, or starts of names with a star behind.
    pub fn with(more: &[String]) -> Result<Self, SysctlError> {
        let mut all = Self::default();
        for pattern in more {
            if !is_pattern(pattern) {
                return Err(SysctlError::Form(pattern.clone()));
            }
            let dotted = dotted(pattern);
            let (name, list) = match dotted.split_once('*') {
                Some((start, _)) => (start, &mut all.starts),
                None => (&*dotted, &mut all.names),
            };
            let namespace = Namespace::of(name).ok_or_else(|| SysctlError::OfNode(name.to_owned()))?;
            list.push((name.to_owned(), namespace));
        }
        Ok(all)
    }

    /// Refuses a pod that sets anything else, or what it would set for the whole node.
    pub(super) fn admit(&self, pod: &Pod) -> Result<(), Rejection> {
        let spec = PodExt::spec(pod);
        let sysctls = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
        for sysctl in sysctls {
            let name = dotted(&sysctl.name);
            let named = self.names.iter().find(|(allowed, _)| *allowed == name);
            let found = named.or_else(|| self.starts.iter().find(|(start, _)| name.starts_with(start.as_str())));
            let why = match found {
                None => format!("{name:?} not allowlisted"),
                Some((_, namespace)) if is_of_host(*namespace, pod) => {
                    format!("{name:?} not allowed with host {namespace} enabled")
                }
                Some(_) => continue,
            };
            return Err(Rejection { reason: "SysctlForbidden".into(), message: format!("forbidden sysctl: {why}") });
        }
        Ok(())
    }
}

fn is_of_host(namespace: Namespace, pod: &Pod) -> bool {
    match namespace {
        Namespace::Ipc => PodExt::spec(pod).host_ipc == Some(true),
        Namespace::Net => pod.is_host_network(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, Sysctl};

    fn pod(name: &str, host: bool) -> Pod {
        let sysctls = Some(vec![Sysctl { name: name.into(), value: "1".into() }]);
        let security_context = Some(PodSecurityContext { sysctls, ..PodSecurityContext::default() });
        let spec = PodSpec { security_context, host_ipc: Some(host), host_network: Some(host), ..PodSpec::default() };
        Pod { spec: Some(spec), ..Pod::default() }
    }

    #[test]
    fn pods_set_what_is_theirs_alone() {
        let more = ["net.core.*", "kernel.msgmax", "net/ipv6/conf/all.1/mtu"].map(str::to_owned);
        let allowed = Allowed::with(&more).unwrap();
        let not_listed = |name: &str| Some(format!("forbidden sysctl: {name:?} not allowlisted"));
        let of_host =
            |name: &str, of: &str| Some(format!("forbidden sysctl: {name:?} not allowed with host {of} enabled"));
        for (name, host, why) in [
            ("kernel.shm_rmid_forced", false, None),
            ("net/ipv4/tcp_syncookies", false, None),
            ("net.core.somaxconn", false, None),
            ("net.ipv6.conf.all/1.mtu", false, None),
            ("kernel.msgmax", false, None),
            ("kernel.msgmnb", false, not_listed("kernel.msgmnb")),
            ("kernel.panic", false, not_listed("kernel.panic")),
            ("kernel.msgmax", true, of_host("kernel.msgmax", "IPC")),
            ("net.core.somaxconn", true, of_host("net.core.somaxconn", "Net")),
        ] {
            let message = allowed.admit(&pod(name, host)).err().map(|rejection| rejection.message);
            assert_eq!(message, why, "{name}");
        }
        let refused = Allowed::default().admit(&pod("kernel.msgmax", false)).unwrap_err();
        assert_eq!(refused.reason, "SysctlForbidden");
    }

    #[test]
    fn only_parameters_of_namespaces_can_be_allowed() {
        let error = |pattern: &str| Allowed::with(&[pattern.to_owned()]).unwrap_err();
        assert_eq!(error("kernel.panic"), SysctlError::OfNode("kernel.panic".into()));
        assert_eq!(error("vm.*"), SysctlError::OfNode("vm.".into()));
        for pattern in ["", "net..core", "Net.core", "net.*.x", "net.core-", "net.**"] {
            assert_eq!(error(pattern), SysctlError::Form(pattern.into()), "{pattern}");
        }
    }
}
