//! The clients of the apiserver, and what hangs on there being one.

use crate::cluster::api::ApiCluster;
use crate::cluster::storage::{ApiStorage, NoStorage, Storage};
use crate::cluster::{Cluster, Standalone};
use crate::config::KubeletConfiguration;
use crate::credentials::{bootstrap, metrics::ClientMetrics, rotation, store::Store};
use crate::events::{Events, LogOnly, Sink};
use crate::flags::Options;
use crate::node::machine;
use anyhow::Context as _;
use client::Recorder;
use client::config::Rate;
use client::informer::{Builder, Scope};
use component::Supervisor;
use k8s_openapi::api::core::v1::Service;
use std::sync::Arc;

/// Clients of one connection.
pub(super) struct Clients {
    pub(super) client: kube::Client,
    /// For events only.
    pub(super) events: kube::Client,
    /// The certificate that is renewed, and what is counted of that.
    pub(super) certificate: Option<(Store, ClientMetrics)>,
}

/// The clients, with a certificate that is there or asked for, and renewed if that is wanted.
pub(super) async fn connect(
    options: &Options,
    config: &KubeletConfiguration,
    supervisor: &Supervisor,
) -> anyhow::Result<Option<Clients>> {
    let Some(path) = &options.kubeconfig else {
        tracing::warn!("no kubeconfig: only static pods are run");
        return Ok(None);
    };
    let node = machine::node_name(options.hostname_override.as_deref());
    let store = Store::new(&options.cert_dir, "kubelet-client");
    if let Some(first) = &options.bootstrap_kubeconfig {
        bootstrap::ensure(path, first, &store, &node).await.context("get the first client certificate")?;
    }
    let agent = component::version::user_agent("kubelet");
    let (unlimited, renewal) = client::config::connect_renewable(path, &agent, None).await?;
    let client = client::config::limited(&unlimited, Rate::of(config.kube_api_qps as f32, config.kube_api_burst));
    let certificate = config.rotate_certificates.then(|| (store.clone(), ClientMetrics::default()));
    if let Some((store, counts)) = certificate.clone() {
        let rotation = rotation::Rotation { client: client.clone(), renewal, store, node, counts };
        supervisor.spawn_until_stop("certificate-rotation", rotation.run());
    }
    // Events are kept to a limit of their own, so that they hold nothing else up.
    let events = client::config::limited(&unlimited, Rate::of(config.event_record_qps as f32, config.event_burst));
    Ok(Some(Clients { client, events, certificate }))
}

pub(super) fn events(client: Option<&kube::Client>, node: &str, supervisor: &Supervisor) -> Events {
    let Some(client) = client else { return Events::new(Arc::new(LogOnly)) };
    let (recorder, send) = Recorder::new(client.clone(), "kubelet", node);
    supervisor.spawn_until_stop("events", send);
    let sink: Arc<dyn Sink> = Arc::new(recorder);
    Events::new(sink)
}

pub(super) fn cluster(client: Option<&kube::Client>, supervisor: &Supervisor) -> Arc<dyn Cluster> {
    let Some(client) = client else { return Arc::new(Standalone) };
    let (services, feed) = Builder::<Service>::new(client.clone(), Scope::default()).build();
    supervisor.spawn_until_stop("services", feed);
    Arc::new(ApiCluster::new(client.clone(), services))
}

pub(super) fn storage(client: Option<&kube::Client>, node: &str) -> Arc<dyn Storage> {
    match client {
        Some(client) => Arc::new(ApiStorage::new(client.clone(), node.to_owned())),
        None => Arc::new(NoStorage),
    }
}
