//! What of the configuration is about the node's shutdown.
//!
//! Upstream: `pkg/kubelet/apis/config/validation`.

use super::{ConfigError, KubeletConfiguration};
use component::GoDuration;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long pods of a priority may take to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PriorityPeriod {
    pub priority: i32,
    pub shutdown_grace_period_seconds: i64,
}

impl PriorityPeriod {
    pub fn length(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.shutdown_grace_period_seconds).unwrap_or(0))
    }
}

/// Whether the fields agree with each other.
pub(super) fn validate(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let fail = |field, why: String| Err(ConfigError::Value { field, why });
    let (all, critical) = (config.shutdown_grace_period, config.shutdown_grace_period_critical_pods);
    if critical > all {
        let why = format!("shutdownGracePeriodCriticalPods {critical} must be <= shutdownGracePeriod {all}");
        return fail("shutdownGracePeriodCriticalPods", why);
    }
    let too_short = |period: GoDuration| !period.0.is_zero() && period.0 < Duration::from_secs(1);
    for (field, period) in [("shutdownGracePeriod", all), ("shutdownGracePeriodCriticalPods", critical)] {
        if too_short(period) {
            return fail(field, format!("{field} {period} must be either zero or otherwise >= 1 sec"));
        }
    }
    let some = |period: GoDuration| !period.0.is_zero();
    if !config.shutdown_grace_period_by_pod_priority.is_empty() && (some(all) || some(critical)) {
        let why = "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time";
        return fail("shutdownGracePeriodByPodPriority", why.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_that_do_not_fit() {
        let with = |all, critical, by_priority| KubeletConfiguration {
            shutdown_grace_period: GoDuration(Duration::from_millis(all)),
            shutdown_grace_period_critical_pods: GoDuration(Duration::from_millis(critical)),
            shutdown_grace_period_by_pod_priority: by_priority,
            ..KubeletConfiguration::default()
        };
        let one = || vec![PriorityPeriod { priority: 0, shutdown_grace_period_seconds: 5 }];
        for (config, good) in [
            (with(0, 0, vec![]), true),
            (with(30_000, 10_000, vec![]), true),
            (with(10_000, 30_000, vec![]), false),
            (with(500, 0, vec![]), false),
            (with(5000, 500, vec![]), false),
            (with(0, 0, one()), true),
            (with(5000, 0, one()), false),
        ] {
            assert_eq!(validate(&config).is_ok(), good, "{config:?}");
        }
    }
}
