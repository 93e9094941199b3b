//! What a lease says and what to write into it: pure.

use super::LeaderConfig;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::time::Duration;
use tokio::time::Instant;

/// A lease, and when this process saw its present content first.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    lease: Lease,
    since: Instant,
}

/// What a candidate may do.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Wait: the holder's time is not over.
    HeldByAnother,
    /// Write this.
    Write(Box<Lease>),
}

/// The lease of its first holder.
pub(super) fn first(config: &LeaderConfig, now: jiff::Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(config.name.clone()),
            namespace: Some(config.namespace.clone()),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(config.identity.clone()),
            lease_duration_seconds: Some(seconds(config.lease_duration)),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(0),
            ..Default::default()
        }),
    }
}

impl Observed {
    pub(super) fn new(lease: Lease, since: Instant) -> Self {
        Self { lease, since }
    }

    /// Notes a read: its time counts anew only if the content changed.
    pub(super) fn note(before: Option<Self>, lease: Lease, now: Instant) -> Self {
        match before {
            Some(before) if before.lease.spec == lease.spec => Self { lease, since: before.since },
            _ => Self { lease, since: now },
        }
    }

    /// Whether the lease is `config.identity`'s and its time is not over.
    pub(super) fn is_held(&self, config: &LeaderConfig, now: Instant) -> bool {
        let spec = self.lease.spec.as_ref();
        spec.is_some_and(|spec| {
            spec.holder_identity.as_ref() == Some(&config.identity) && now < self.since + duration(spec, config)
        })
    }

    /// What `config.identity` may do with the lease now.
    pub(super) fn judge(&self, config: &LeaderConfig, now: Instant, wall: jiff::Timestamp) -> Verdict {
        let old = self.lease.spec.clone().unwrap_or_default();
        let holder = old.holder_identity.clone().unwrap_or_default();
        let ours = holder == config.identity;
        if !holder.is_empty() && !ours && now < self.since + duration(&old, config) {
            return Verdict::HeldByAnother;
        }
        let transitions = old.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(config.identity.clone()),
            lease_duration_seconds: Some(seconds(config.lease_duration)),
            acquire_time: if ours { old.acquire_time.clone() } else { Some(MicroTime(wall)) },
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..old
        };
        Verdict::Write(Box::new(Lease { spec: Some(spec), ..self.lease.clone() }))
    }

    /// The lease without a holder, if it is `identity`'s; the next candidate need not wait.
    pub(super) fn released(&self, identity: &str, wall: jiff::Timestamp) -> Option<Lease> {
        let old = self.lease.spec.clone()?;
        if old.holder_identity.as_deref() != Some(identity) {
            return None;
        }
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            ..old
        };
        Some(Lease { spec: Some(spec), ..self.lease.clone() })
    }
}

/// The holder's own lease duration; ours if it has none.
fn duration(spec: &LeaseSpec, config: &LeaderConfig) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    seconds.map_or(config.lease_duration, Duration::from_secs)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
