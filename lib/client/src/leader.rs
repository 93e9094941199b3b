//! Leader election on a `coordination.k8s.io/v1` Lease.
//!
//! Invariant: a candidate takes a lease over only after it has itself watched the lease stand
//! still for its whole duration; clocks of other machines are never compared.
//!
//! Upstream: `client-go/tools/leaderelection`.

mod lease;

use crate::metrics::set_leading;
use futures::future::{Either, select};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use lease::{Observed, Verdict};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

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

/// Why leadership, or waiting for it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `stop` resolved; the lease was released if it was held.
    Stopped,
    /// The lease could not be renewed in time or was taken by another candidate.
    Lost,
    /// `lead` returned by itself; the lease was released.
    LeadReturned,
}

/// Waits to be leader, then runs `lead`; returns when leadership is lost or `stop` resolves.
/// On `stop` the lease is released, so that the next candidate need not wait.
pub async fn run<Lead, Stop>(client: kube::Client, config: LeaderConfig, lead: Lead, stop: Stop) -> Ended
where
    Lead: Future<Output = ()> + Send,
    Stop: Future<Output = ()> + Send,
{
    let leases = Api::namespaced(client, &config.namespace);
    let mut candidate = Candidate { leases, config, observed: None };
    let mut stop = pin!(stop);
    set_leading(&candidate.config.name, false);
    if let Either::Right(_) = select(pin!(candidate.acquire()), stop.as_mut()).await {
        return Ended::Stopped;
    }
    set_leading(&candidate.config.name, true);
    tracing::info!(lease = candidate.config.name, identity = candidate.config.identity, "became leader");
    let ended = {
        let lead = pin!(lead);
        tokio::select! {
            biased;
            () = stop => Ended::Stopped,
            () = candidate.keep() => Ended::Lost,
            () = lead => Ended::LeadReturned,
        }
    };
    set_leading(&candidate.config.name, false);
    match ended {
        Ended::Lost => tracing::error!(lease = candidate.config.name, "leader election lost"),
        Ended::Stopped | Ended::LeadReturned => candidate.release().await,
    }
    ended
}

struct Candidate {
    leases: Api<Lease>,
    config: LeaderConfig,
    /// The lease as last seen, and when it was seen to change.
    observed: Option<Observed>,
}

impl Candidate {
    /// Returns once the lease is ours.
    async fn acquire(&mut self) {
        tracing::info!(lease = self.config.name, "attempting to acquire leader lease");
        while !self.try_once().await {
            tokio::time::sleep(self.config.retry_period.mul_f64(rand::random_range(1.0..2.2))).await;
        }
    }

    /// Renews the lease; returns when that has failed for the renew deadline.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.config.retry_period).await;
            let deadline = renewed + self.config.renew_deadline;
            match tokio::time::timeout_at(deadline, self.try_once()).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// One attempt to take or renew the lease. It may take half the renew deadline, so that a hung
    /// connection leaves time for another one.
    async fn try_once(&mut self) -> bool {
        match tokio::time::timeout(self.config.renew_deadline / 2, self.attempt()).await {
            Ok(Ok(ours)) => ours,
            Ok(Err(error)) => {
                tracing::warn!(lease = self.config.name, %error, "cannot take or renew the leader lease");
                false
            }
            Err(_) => {
                tracing::warn!(lease = self.config.name, "no answer about the leader lease in time");
                false
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        if self.renew_unread().await {
            return Ok(true);
        }
        let Some(lease) = self.leases.get_opt(&self.config.name).await? else {
            let lease = lease::first(&self.config, jiff::Timestamp::now());
            let created = self.leases.create(&PostParams::default(), &lease).await?;
            self.observed = Some(Observed::new(created, Instant::now()));
            return Ok(true);
        };
        let observed = Observed::note(self.observed.take(), lease, Instant::now());
        let verdict = observed.judge(&self.config, Instant::now(), jiff::Timestamp::now());
        let lease = match verdict {
            Verdict::HeldByAnother => {
                self.observed = Some(observed);
                return Ok(false);
            }
            Verdict::Write(lease) => *lease,
        };
        self.observed = Some(observed);
        self.write(&lease).await?;
        Ok(true)
    }

    /// Who holds the lease writes on what it wrote last: nobody else writes while its time is not over. Whether that
    /// worked; if not, somebody did.
    async fn renew_unread(&mut self) -> bool {
        let held = self.observed.as_ref().filter(|observed| observed.is_held(&self.config, Instant::now()));
        let Some(Verdict::Write(lease)) =
            held.map(|observed| observed.judge(&self.config, Instant::now(), jiff::Timestamp::now()))
        else {
            return false;
        };
        match self.write(&lease).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(lease = self.config.name, %error, "reading the leader lease, as it cannot be renewed unread");
                false
            }
        }
    }

    async fn write(&mut self, lease: &Lease) -> Result<(), kube::Error> {
        let written = self.leases.replace(&self.config.name, &PostParams::default(), lease).await?;
        self.observed = Some(Observed::new(written, Instant::now()));
        Ok(())
    }

    /// Gives the lease up, if it is still ours.
    async fn release(&mut self) {
        let Some(observed) = &self.observed else { return };
        let Some(lease) = observed.released(&self.config.identity, jiff::Timestamp::now()) else { return };
        let params = PostParams::default();
        let written = self.leases.replace(&self.config.name, &params, &lease);
        match tokio::time::timeout(self.config.renew_deadline, written).await {
            Ok(Ok(_)) => tracing::info!(lease = self.config.name, "released leader lease"),
            Ok(Err(error)) => tracing::warn!(lease = self.config.name, %error, "cannot release leader lease"),
            Err(_) => tracing::warn!(lease = self.config.name, "releasing the leader lease took too long"),
        }
    }
}

#[cfg(test)]
#[path = "leader/tests.rs"]
mod tests;
