//! In which order groups and their versions are listed.
//!
//! Upstream: `pkg/controlplane/apiserver/aggregator.go` (`DefaultGenericAPIServicePriorities`),
//! `apimachinery/pkg/version/helpers.go`.

use std::cmp::{Ordering, Reverse};

/// `groupPriorityMinimum` and `versionPriority`: higher ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority {
    /// Of the group among groups.
    pub group: i64,
    /// Of the version in its group.
    pub version: i64,
}

/// The group of `APIService` itself, which has none and is always first.
pub const OWN: &str = "apiregistration.k8s.io";

/// Priorities of groups that are built in.
const GROUPS: &[(&str, i64)] = &[
    (OWN, 20001),
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("certificates.k8s.io", 17300),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("node.k8s.io", 16300),
    ("discovery.k8s.io", 16200),
    ("resource.k8s.io", 16200),
    ("flowcontrol.apiserver.k8s.io", 16100),
];

/// The priority of a group version that this server serves: built in, or of custom resources.
pub fn local(group: &str, version: &str) -> Priority {
    let Some((_, priority)) = GROUPS.iter().find(|(name, _)| *name == group) else {
        return Priority { group: 1000, version: 100 };
    };
    let version = match (group, version) {
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io" | "resource.k8s.io", "v1") => 21,
        _ => 15,
    };
    Priority { group: *priority, version }
}

/// Whether a group is built in.
pub fn is_builtin(group: &str) -> bool {
    GROUPS.iter().any(|(name, _)| *name == group)
}

/// Stable versions before betas before alphas, newer before older, all else by name.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => Reverse(a).cmp(&Reverse(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability (alpha 0, beta 1, stable 2), major, minor of `v1`, `v1beta2`, …
fn parts(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let major = rest[..digits].parse().ok()?;
    let stage = |prefix: &str, rank| rest[digits..].strip_prefix(prefix).map(|minor| (rank, minor));
    match (stage("alpha", 0), stage("beta", 1)) {
        (Some((rank, minor)), _) | (None, Some((rank, minor))) => Some((rank, major, minor.parse().ok()?)),
        (None, None) if digits == rest.len() => Some((2, major, 0)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let mut versions = ["foo1", "v1alpha2", "v11beta2", "v3beta1", "v10", "v1", "v2", "v12alpha1", "v10beta3"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v1alpha2", "foo1"]);
    }

    #[test]
    fn priorities() {
        assert_eq!(local("autoscaling", "v2"), Priority { group: 17500, version: 30 });
        assert_eq!(local("example.com", "v1"), Priority { group: 1000, version: 100 });
        assert!(is_builtin("apps") && !is_builtin("example.com"));
    }
}
