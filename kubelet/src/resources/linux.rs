//! From amounts to the kernel's numbers: shares, quota, memory limit, OOM score.

use super::requests::{self, Side};
use super::{Amount, QosClass};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{Container, Pod};

const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
const MIN_QUOTA: i64 = 1000;
/// Microseconds; the kernel's default and the only one the API lets a pod have.
pub const CPU_PERIOD: i64 = 100_000;

const GUARANTEED_SCORE: i64 = -997;
const BEST_EFFORT_SCORE: i64 = 1000;

/// What a cgroup is told. `None` leaves the kernel's value alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinuxResources {
    pub shares: Option<i64>,
    /// Microseconds of `CPU_PERIOD`; -1 means no limit.
    pub quota: Option<i64>,
    /// Bytes; -1 means no limit.
    pub memory: Option<i64>,
    pub pids: Option<i64>,
}

/// CPU shares of cgroup v1 for so many thousandths of a core.
pub fn shares(milli: i64) -> i64 {
    (milli.saturating_mul(1024) / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// Microseconds per period for so many thousandths of a core; 0 means no limit.
pub fn quota(milli: i64) -> i64 {
    if milli == 0 { 0 } else { (milli.saturating_mul(CPU_PERIOD) / 1000).max(MIN_QUOTA) }
}

/// cgroup v2's `cpu.weight` for shares of v1.
///
/// The curve that runc and crun use: 2 → 1, 1024 → 100, 262144 → 10000.
pub fn weight(shares: i64) -> i64 {
    if shares <= MIN_SHARES {
        return 1;
    }
    if shares >= MAX_SHARES {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10_f64.powf(exponent).ceil() as i64).clamp(1, 10_000)
}

/// What the pod's own cgroup gets.
pub fn of_pod(pod: &Pod, enforce_quota: bool) -> LinuxResources {
    let want = requests::of_pod(pod, Side::Requests);
    let most = requests::of_pod(pod, Side::Limits);
    let get = |of: &requests::Amounts, name| of.get(name).copied().unwrap_or_default();
    let limited = |name| {
        let spec = PodExt::spec(pod);
        let all = |c: &Container| requests::amount(c, Side::Limits, name).is_some_and(|a| !a.is_zero());
        spec.containers.iter().chain(pod.init_containers()).all(all)
    };
    let cpu_limit = enforce_quota.then(|| quota(get(&most, "cpu").milli_value()));
    match QosClass::of(pod) {
        QosClass::BestEffort => LinuxResources { shares: Some(MIN_SHARES), ..LinuxResources::default() },
        _ => LinuxResources {
            shares: Some(shares(get(&want, "cpu").milli_value())),
            quota: cpu_limit.filter(|q| limited("cpu") && *q > 0),
            memory: Some(get(&most, "memory").value()).filter(|m| limited("memory") && *m > 0),
            pids: None,
        },
    }
}

/// What one container gets, apart from its OOM score.
pub fn of_container(container: &Container, enforce_quota: bool) -> LinuxResources {
    let get = |side, name| requests::amount(container, side, name).unwrap_or_default();
    let limit = get(Side::Limits, "cpu").milli_value();
    LinuxResources {
        shares: Some(shares(get(Side::Requests, "cpu").milli_value())),
        quota: enforce_quota.then(|| quota(limit)),
        memory: Some(get(Side::Limits, "memory").value()),
        pids: None,
    }
}

/// The container's `oom_score_adj`: the more of the node's memory it requested, the safer it is.
pub fn oom_score(pod: &Pod, container: &Container, node_memory: Amount) -> i64 {
    if pod.is_critical() {
        return GUARANTEED_SCORE;
    }
    match QosClass::of(pod) {
        QosClass::Guaranteed => GUARANTEED_SCORE,
        QosClass::BestEffort => BEST_EFFORT_SCORE,
        QosClass::Burstable => {
            let request = requests::amount(container, Side::Requests, "memory").unwrap_or_default().value();
            let share = i128::from(request) * 1000 / i128::from(node_memory.value().max(1));
            let score = BEST_EFFORT_SCORE - i64::try_from(share).unwrap_or(BEST_EFFORT_SCORE);
            score.clamp(BEST_EFFORT_SCORE + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests::{container, pod};

    #[test]
    fn kernel_numbers() {
        for (milli, want_shares, want_quota) in
            [(0, 2, 0), (1, 2, 1000), (100, 102, 10_000), (1000, 1024, 100_000), (999_999_999, 262_144, 99_999_999_900)]
        {
            assert_eq!((shares(milli), quota(milli)), (want_shares, want_quota), "{milli}");
        }
        assert_eq!([2, 1024, 262_144].map(weight), [1, 100, 10_000]);
    }

    #[test]
    fn the_pod_is_limited_only_if_all_its_containers_are() {
        let both = [("cpu", "1"), ("memory", "1Mi")];
        let one = of_pod(&pod(vec![], vec![container("a", &[], &both)]), true);
        assert_eq!((one.shares, one.quota, one.memory), (Some(1024), Some(100_000), Some(1 << 20)));
        let two = of_pod(&pod(vec![], vec![container("a", &[], &both), container("b", &[], &[])]), true);
        assert_eq!((two.shares, two.quota, two.memory), (Some(1024), None, None));
    }

    #[test]
    fn oom_scores() {
        let node = Amount::whole(1000);
        let best = pod(vec![], vec![container("a", &[], &[])]);
        assert_eq!(oom_score(&best, &best.spec().containers[0], node), 1000);
        for (memory, want) in [("500", 500), ("1000", 3), ("0.1", 999)] {
            let p = pod(vec![], vec![container("a", &[("memory", memory), ("cpu", "1")], &[])]);
            assert_eq!(oom_score(&p, &p.spec().containers[0], node), want, "{memory}");
        }
    }
}
