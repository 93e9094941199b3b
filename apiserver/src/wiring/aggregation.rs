//! Aggregated API servers: from flags to running tasks.

use super::files;
use crate::options::Cluster;
use apiserver_aggregator::{Config, Credentials, registration};
use apiserver_registry::backends::Routing;
use apiserver_server::Server;
use apiserver_server::health::Hook;
use component::Supervisor;
use std::sync::Arc;

/// `--proxy-client-*`, `--enable-aggregator-routing`, `--aggregator-reject-forwarding-redirect`.
pub(super) fn config(options: &Cluster) -> anyhow::Result<Config> {
    let credentials = match (&options.proxy_client_cert_file, &options.proxy_client_key_file) {
        (Some(certificate), Some(key)) => {
            let flags = "--proxy-client-cert-file, --proxy-client-key-file";
            let identity = files::identity(certificate, key, flags)?;
            Credentials::new(identity.certificates, identity.key)
        }
        _ => Credentials::default(),
    };
    Ok(Config {
        credentials,
        routing: if options.enable_aggregator_routing { Routing::Endpoints } else { Routing::Names },
        reject_redirects: options.aggregator_reject_forwarding_redirect,
    })
}

/// Keeps routes, conditions and discovery of aggregated servers; `first_sync` is told when those that were there have routes.
pub(super) fn follow(server: &Arc<Server>, first_sync: Hook, supervisor: &Supervisor) {
    let server = server.clone();
    supervisor.spawn_until_stop("aggregation", async move {
        let routed = || first_sync.done();
        server.aggregator.run(&server.registry, routed, |remote| server.discovery.set_remote(remote)).await;
    });
}

/// Registers what this server serves itself, and keeps it registered.
pub(super) fn register(server: &Arc<Server>, hooks: [Hook; 2]) {
    let server = server.clone();
    server.supervisor.clone().spawn_until_stop("API service registration", async move {
        registration::run(&server.registry, || hooks.iter().for_each(Hook::done)).await;
    });
}
