//! Which pods end when the node shuts down, in what order, and how long each may take. Pure.
//!
//! Upstream: `groupByPriority` and `migrateConfig` of `pkg/kubelet/nodeshutdown/nodeshutdown_manager.go`.

use crate::config::KubeletConfiguration;
use crate::config::shutdown::PriorityPeriod;
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Duration;

/// From this priority on pods are critical to the system.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Pods that end at the same time.
#[derive(Clone, Debug)]
pub struct Group {
    pub period: PriorityPeriod,
    pub pods: Vec<Arc<Pod>>,
}

/// The periods from the lowest priority to the highest; none if the node's shutdown is nothing to the kubelet.
pub fn periods(config: &KubeletConfiguration) -> Vec<PriorityPeriod> {
    let mut periods = config.shutdown_grace_period_by_pod_priority.clone();
    if periods.is_empty() {
        periods = of_two(config.shutdown_grace_period.0, config.shutdown_grace_period_critical_pods.0);
    }
    periods.sort_by_key(|period| period.priority);
    periods
}

/// What `shutdownGracePeriod` and `shutdownGracePeriodCriticalPods` mean as periods.
fn of_two(all: Duration, critical: Duration) -> Vec<PriorityPeriod> {
    let Some(others) = all.checked_sub(critical).filter(|_| !all.is_zero()) else { return Vec::new() };
    let period = |priority, length: Duration| PriorityPeriod {
        priority,
        shutdown_grace_period_seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
    };
    vec![period(0, others), period(SYSTEM_CRITICAL, critical)]
}

/// How long all of it takes at most.
pub fn requested(periods: &[PriorityPeriod]) -> Duration {
    periods.iter().map(PriorityPeriod::length).sum()
}

/// The pods of each period. One whose priority lies between two belongs to the lower; those below all belong to the lowest.
pub fn groups(periods: &[PriorityPeriod], pods: &[Arc<Pod>]) -> Vec<Group> {
    let mut groups: Vec<Group> = periods.iter().map(|period| Group { period: *period, pods: Vec::new() }).collect();
    for pod in pods {
        let priority = PodExt::spec(pod.as_ref()).priority.unwrap_or(0);
        let above = periods.partition_point(|period| period.priority <= priority);
        if let Some(group) = groups.get_mut(above.saturating_sub(1)) {
            group.pods.push(pod.clone());
        }
    }
    groups.retain(|group| !group.pods.is_empty());
    groups
}

/// Seconds that a pod of a period may take: its own, if these are fewer.
pub fn grace(period: &PriorityPeriod, pod: &Pod) -> i64 {
    let own = PodExt::spec(pod).termination_grace_period_seconds;
    own.filter(|own| *own <= period.shutdown_grace_period_seconds).unwrap_or(period.shutdown_grace_period_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::GoDuration;
    use k8s_openapi::api::core::v1::PodSpec;

    fn period(priority: i32, seconds: i64) -> PriorityPeriod {
        PriorityPeriod { priority, shutdown_grace_period_seconds: seconds }
    }

    fn pod(priority: Option<i32>, grace: Option<i64>) -> Arc<Pod> {
        let spec = PodSpec { priority, termination_grace_period_seconds: grace, ..PodSpec::default() };
        Arc::new(Pod { spec: Some(spec), ..Pod::default() })
    }

    #[test]
    fn two_fields_are_two_periods() {
        let of = |all, critical| {
            let config = KubeletConfiguration {
                shutdown_grace_period: GoDuration::from_secs(all),
                shutdown_grace_period_critical_pods: GoDuration::from_secs(critical),
                ..KubeletConfiguration::default()
            };
            periods(&config)
        };
        assert_eq!(of(30, 10), [period(0, 20), period(SYSTEM_CRITICAL, 10)]);
        assert_eq!(of(30, 0), [period(0, 30), period(SYSTEM_CRITICAL, 0)]);
        assert_eq!(of(0, 0), []);
        assert_eq!(requested(&of(30, 10)), Duration::from_secs(30));
    }

    #[test]
    fn periods_are_taken_from_low_to_high() {
        let config = KubeletConfiguration {
            shutdown_grace_period_by_pod_priority: vec![period(100, 1), period(-5, 2)],
            ..KubeletConfiguration::default()
        };
        assert_eq!(periods(&config), [period(-5, 2), period(100, 1)]);
    }

    #[test]
    fn a_priority_between_two_belongs_to_the_lower() {
        let periods = [period(0, 1), period(10, 2), period(20, 3)];
        for (priority, want) in
            [(None, 0), (Some(-1), 0), (Some(0), 0), (Some(9), 0), (Some(10), 10), (Some(19), 10), (Some(99), 20)]
        {
            let got = groups(&periods, &[pod(priority, None)]);
            assert_eq!(got.iter().map(|g| g.period.priority).collect::<Vec<_>>(), [want], "{priority:?}");
        }
        assert!(groups(&[], &[pod(None, None)]).is_empty());
    }

    #[test]
    fn a_pods_own_shorter_grace_counts() {
        for (own, want) in [(None, 5), (Some(3), 3), (Some(5), 5), (Some(6), 5)] {
            assert_eq!(grace(&period(0, 5), &pod(None, own)), want, "{own:?}");
        }
    }
}
