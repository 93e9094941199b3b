//! The `--leader-elect*` flags and their part of a configuration file.
//!
//! Upstream: `component-base/config.LeaderElectionConfiguration`.

use crate::GoDuration;
use crate::layers::FieldFlag;
use client::leader::LeaderConfig;
use serde::{Deserialize, Serialize};

/// The flags; their values reach [`LeaderElection`] by [`FIELDS`].
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LeaderFlags {
    /// Start a leader election client and gain leadership before executing the main loop.
    #[arg(long)]
    pub leader_elect: Option<bool>,
    /// How long candidates wait after the last renewal before they take over.
    #[arg(long)]
    pub leader_elect_lease_duration: Option<GoDuration>,
    /// How long the leader tries to renew before it gives up.
    #[arg(long)]
    pub leader_elect_renew_deadline: Option<GoDuration>,
    /// The pause between attempts.
    #[arg(long)]
    pub leader_elect_retry_period: Option<GoDuration>,
    /// The kind of lock; only leases.
    #[arg(long)]
    pub leader_elect_resource_lock: Option<String>,
    /// The lease's name.
    #[arg(long)]
    pub leader_elect_resource_name: Option<String>,
    /// The lease's namespace.
    #[arg(long)]
    pub leader_elect_resource_namespace: Option<String>,
}

/// The fields of a configuration whose `leaderElection` is a [`LeaderElection`].
pub const FIELDS: [FieldFlag; 7] = [
    FieldFlag { flag: "leader-elect", path: "leaderElection.leaderElect" },
    FieldFlag { flag: "leader-elect-lease-duration", path: "leaderElection.leaseDuration" },
    FieldFlag { flag: "leader-elect-renew-deadline", path: "leaderElection.renewDeadline" },
    FieldFlag { flag: "leader-elect-retry-period", path: "leaderElection.retryPeriod" },
    FieldFlag { flag: "leader-elect-resource-lock", path: "leaderElection.resourceLock" },
    FieldFlag { flag: "leader-elect-resource-name", path: "leaderElection.resourceName" },
    FieldFlag { flag: "leader-elect-resource-namespace", path: "leaderElection.resourceNamespace" },
];

/// `LeaderElectionConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct LeaderElection {
    pub leader_elect: bool,
    pub lease_duration: GoDuration,
    pub renew_deadline: GoDuration,
    pub retry_period: GoDuration,
    pub resource_lock: String,
    pub resource_name: String,
    pub resource_namespace: String,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: GoDuration::from_secs(15),
            renew_deadline: GoDuration::from_secs(10),
            retry_period: GoDuration::from_secs(2),
            resource_lock: "leases".to_owned(),
            resource_name: String::new(),
            resource_namespace: "kube-system".to_owned(),
        }
    }
}

impl LeaderElection {
    /// The defaults with a lease of this name.
    pub fn named(name: &str) -> Self {
        Self { resource_name: name.to_owned(), ..Self::default() }
    }

    /// Checks the times against each other; upstream's words.
    pub fn validate(&self) -> Result<(), String> {
        if self.lease_duration <= self.renew_deadline {
            return Err("leaseDuration must be greater than renewDeadline".to_owned());
        }
        // Upstream's jitter factor of 1.2 on the retry period.
        if self.renew_deadline.0 <= self.retry_period.0.mul_f64(1.2) {
            return Err("renewDeadline must be greater than retryPeriod*JitterFactor".to_owned());
        }
        if self.retry_period.0.is_zero() {
            return Err("retryPeriod must be greater than zero".to_owned());
        }
        if self.resource_lock != "leases" {
            return Err(format!("unsupported resourceLock {:?}: must be \"leases\"", self.resource_lock));
        }
        Ok(())
    }

    /// For `client::leader::run`, as the candidate `identity`.
    pub fn config(&self, identity: String) -> LeaderConfig {
        LeaderConfig {
            name: self.resource_name.clone(),
            namespace: self.resource_namespace.clone(),
            identity,
            lease_duration: self.lease_duration.0,
            renew_deadline: self.renew_deadline.0,
            retry_period: self.retry_period.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_times_are_refused() {
        assert_eq!(LeaderElection::named("x").validate(), Ok(()));
        let short = LeaderElection { lease_duration: GoDuration::from_secs(5), ..LeaderElection::default() };
        assert!(short.validate().unwrap_err().starts_with("leaseDuration must be greater"));
        let slow = LeaderElection { retry_period: GoDuration::from_secs(9), ..LeaderElection::default() };
        assert!(slow.validate().unwrap_err().starts_with("renewDeadline must be greater"));
        let lock = LeaderElection { resource_lock: "endpoints".into(), ..LeaderElection::default() };
        assert!(lock.validate().unwrap_err().contains("endpoints"));
    }

    #[test]
    fn the_configuration_becomes_a_candidate() {
        let config = LeaderElection::named("kube-scheduler").config("host_1".into());
        assert_eq!((config.name.as_str(), config.identity.as_str()), ("kube-scheduler", "host_1"));
    }
}
