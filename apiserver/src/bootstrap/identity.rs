//! A Lease for each API server, so that others can see which ones there are.
//!
//! Upstream: `component-helpers/apimachinery/lease`, `pkg/controlplane/controller/apiserverleasegc`,
//! `apiserver/pkg/server/config.go` (the name).

use super::{BootstrapError, body, context, create};
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use apimachinery::status::Reason;
use apimachinery::{Value, time};
use apiserver_registry::{Registry, Verb};
use apiserver_storage::Selection;
use component::Supervisor;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// How often the lease is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// How long a server is believed to live, in seconds.
const LIFE: i64 = 3600;
/// How often leases of servers that are gone are looked for.
const COLLECT: Duration = Duration::from_secs(3600);
/// Longest time that a server which ends spends on its lease.
const FAREWELL: Duration = Duration::from_secs(2);
/// What marks these leases among all others.
const LABEL: &str = "apiserver.kubernetes.io/identity";
const COMPONENT: &str = "kube-apiserver";
const NAMESPACE: &str = "kube-system";
/// RFC 4648, lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Who this server is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name of its lease, of its host's name.
    name: String,
    hostname: String,
    holder: String,
}

impl Identity {
    /// Of this process.
    pub fn of_this_process() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let name = lease_name(&hostname);
        let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        let holder = format!("{name}_{}", random.trim());
        Self { name, hostname, holder }
    }

    fn lease(&self) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": NAMESPACE,
                "labels": {LABEL: COMPONENT, "kubernetes.io/hostname": self.hostname}},
            "spec": {"holderIdentity": self.holder, "leaseDurationSeconds": LIFE, "renewTime": time::now_micro()},
        })
    }
}

/// `apiserver-` and a hash of host and component, each with its length before it.
fn lease_name(hostname: &str) -> String {
    let mut hash = Sha256::new();
    for part in [hostname, COMPONENT] {
        hash.update(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        hash.update(part);
    }
    format!("apiserver-{}", base32(&hash.finalize()[..16]))
}

fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
    let letter = |at: usize| BASE32[(0..5).fold(0, |letter, offset| letter << 1 | bit(at + offset))];
    (0..bytes.len() * 8).step_by(5).map(|at| char::from(letter(at))).collect()
}

/// Renews the lease of this server until the supervisor stops, and then removes it.
pub async fn keep_identity(registry: Arc<Registry>, identity: Identity, supervisor: Supervisor, done: impl FnOnce()) {
    let mut done = Some(done);
    while !supervisor.is_stopping() {
        match renew(&registry, &identity).await {
            Ok(()) => done.take().into_iter().for_each(|done| done()),
            Err(error) => tracing::warn!(%error, "identity lease"),
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW) => {}
            () = supervisor.stopping() => {}
        }
    }
    match tokio::time::timeout(FAREWELL, delete(&registry, &identity.lease())).await {
        Ok(Err(error)) => tracing::warn!(%error, "cannot remove the identity lease"),
        Err(_) => tracing::warn!("cannot remove the identity lease in time"),
        Ok(Ok(())) => {}
    }
}

async fn renew(registry: &Registry, identity: &Identity) -> Result<(), BootstrapError> {
    let wanted = identity.lease();
    let cx = context(&wanted, Verb::Update)?;
    let Some(current) = registry.store.cached(&cx.resource, &cx.resource.key(NAMESPACE, &identity.name)) else {
        return create(registry, wanted).await;
    };
    let mut lease = current.value();
    for member in ["holderIdentity", "leaseDurationSeconds", "renewTime"] {
        lease["spec"][member] = wanted["spec"][member].clone();
    }
    for label in [LABEL, "kubernetes.io/hostname"] {
        lease["metadata"]["labels"][label] = wanted["metadata"]["labels"][label].clone();
    }
    let renewed = registry.update(&cx, body(&lease)).await;
    renewed.map(drop).map_err(|source| BootstrapError::Refused { name: identity.name.clone(), source })
}

/// Removes leases of servers that have not renewed them, for ever.
pub async fn collect_identities(registry: Arc<Registry>) {
    loop {
        if let Err(error) = collect(&registry, jiff::Timestamp::now()).await {
            tracing::warn!(%error, "cannot remove the lease of a server that is gone");
        }
        tokio::time::sleep(COLLECT).await;
    }
}

async fn collect(registry: &Registry, now: jiff::Timestamp) -> Result<(), BootstrapError> {
    let kind = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"});
    let resource = context(&kind, Verb::Create)?.resource;
    let labels = LabelSelector::parse(&format!("{LABEL}={COMPONENT}")).unwrap_or_default();
    let selection = Selection { namespace: Some(NAMESPACE.to_owned()), labels, ..Selection::default() };
    for lease in registry.store.cached_matching(&resource, &selection) {
        let lease = lease.value();
        if is_expired(&lease, now) {
            tracing::info!(lease = lease.name(), "removing the lease of a server that is gone");
            delete(registry, &lease).await?;
        }
    }
    Ok(())
}

/// One that does not say how long it is good for is not.
fn is_expired(lease: &Value, now: jiff::Timestamp) -> bool {
    let renewed = lease.pointer("/spec/renewTime").and_then(Value::as_str).and_then(|text| time::parse(text).ok());
    let life = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64);
    match renewed.zip(life) {
        Some((renewed, life)) => renewed.as_second().saturating_add(life) < now.as_second(),
        None => true,
    }
}

async fn delete(registry: &Registry, lease: &Value) -> Result<(), BootstrapError> {
    let cx = context(lease, Verb::Delete)?;
    match registry.delete(&cx, &json!({})).await {
        Ok(_) => Ok(()),
        // Another server was faster.
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        Err(source) => Err(BootstrapError::Refused { name: lease.name().to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_upstream_makes() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(&[0xff; 16]), format!("{}4", "7".repeat(25)));
        let name = lease_name("host");
        assert_eq!((name.len(), &name[..10]), (36, "apiserver-"));
        assert_ne!(name, lease_name("other"));
    }

    #[test]
    fn leases_that_are_not_renewed_expire() {
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        for (spec, want) in [
            (json!({"renewTime": "2026-01-01T00:30:00.000000Z", "leaseDurationSeconds": 3600}), false),
            (json!({"renewTime": "2025-12-31T23:59:59.000000Z", "leaseDurationSeconds": 3600}), true),
            (json!({"renewTime": "2026-01-01T00:30:00.000000Z"}), true),
            (json!({"leaseDurationSeconds": 3600}), true),
        ] {
            assert_eq!(is_expired(&json!({"spec": spec}), now), want, "{spec}");
        }
    }
}
