//! The node's heartbeat: a Lease, renewed every quarter of its duration.
//!
//! A write that gets no answer in time is given up, and with it its connection: the next one goes
//! over another, which a network that has come back lets through at once.
//!
//! Upstream: `component-helpers/apimachinery/lease`.

use super::heartbeat::Heartbeat;
use crate::clock;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, PostParams};
use std::time::Duration;

const NAMESPACE: &str = "kube-node-lease";
const RETRY: Duration = Duration::from_secs(1);

/// Renews the lease for ever; give it to the supervisor.
pub async fn run(client: kube::Client, node: String, seconds: u32, heartbeat: Heartbeat) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let nodes: Api<Node> = Api::all(client);
    let period = Duration::from_secs(u64::from(seconds)) / 4;
    let mut held = None;
    loop {
        match heartbeat.within(renew(&leases, &nodes, held.take(), &node, seconds)).await {
            Ok(lease) => {
                held = Some(lease);
                tokio::time::sleep(period).await;
            }
            Err(e) => {
                tracing::warn!(error = %e, "cannot renew the node's lease yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Tries on the lease as last seen; without one, reads or creates it.
async fn renew(
    leases: &Api<Lease>,
    nodes: &Api<Node>,
    held: Option<Lease>,
    node: &str,
    seconds: u32,
) -> kube::Result<Lease> {
    let current = match held {
        Some(lease) => Some(lease),
        None => leases.get_opt(node).await?,
    };
    let Some(mut lease) = current else {
        return leases.create(&PostParams::default(), &fresh(node, owner(nodes, node).await, seconds)).await;
    };
    lease.spec = Some(spec(node, seconds));
    if lease.metadata.owner_references.as_ref().is_none_or(Vec::is_empty) {
        lease.metadata.owner_references = owner(nodes, node).await;
    }
    leases.replace(node, &PostParams::default(), &lease).await
}

/// The lease goes with its node.
async fn owner(nodes: &Api<Node>, name: &str) -> Option<Vec<OwnerReference>> {
    let node = nodes.get_opt(name).await.ok()??;
    Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.to_owned(),
        uid: node.metadata.uid?,
        ..OwnerReference::default()
    }])
}

fn fresh(node: &str, owner: Option<Vec<OwnerReference>>, seconds: u32) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(node.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            owner_references: owner,
            ..ObjectMeta::default()
        },
        spec: Some(spec(node, seconds)),
    }
}

fn spec(node: &str, seconds: u32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(node.to_owned()),
        lease_duration_seconds: i32::try_from(seconds).ok(),
        renew_time: Some(clock::now_micro()),
        ..LeaseSpec::default()
    }
}
