//! Wires the proxy: configuration, caches, one sync loop per family, and the small servers.

use crate::backend::{self, LocalTraffic, Mode, NodePorts, Settings, node_addresses};
use crate::caches;
use crate::config::{KIND, ProxyConfig};
use crate::health::{self, Health};
use crate::metrics::Metrics;
use crate::model::{Family, NodeFacts, Plan, Planner};
use crate::options::{self, Options};
use crate::pending::Pending;
use crate::service_health::ServiceHealth;
use crate::sync::{Periods, Syncer};
use anyhow::Context;
use component::Supervisor;
use component::daemon::Daemon;
use component::serve::{Access, Endpoints, Protocol, Router, Server, router};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Runs until the supervisor stops; with `--cleanup` only removes the rules.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    if daemon.options.cleanup {
        return backend::cleanup(None).await.context("encountered an error while tearing down rules");
    }
    let config = options::configuration(&daemon)?;
    let mode = Mode::choose(&config.mode).await?;
    if let Err(error) = backend::cleanup(Some(mode)).await {
        tracing::warn!(error = %error, "cannot remove the rules of another proxy mode");
    }
    let bind: IpAddr = config.bind_address.parse().context("bindAddress")?;
    kernel_settings(&config);
    let kubeconfig = Some(config.client_connection.kubeconfig.as_str()).filter(|k| !k.is_empty());
    let client = client::connect(kubeconfig.map(Path::new), &component::version::user_agent("kube-proxy")).await?;
    let node_name = node_name(&config)?;
    let metrics = Metrics::default();
    let health = Arc::new(Health::new(config.iptables.sync_period.0));
    let node = caches::node(&client, &node_name, &daemon.supervisor);
    let families = backend::families(mode).await;
    let pending: Vec<_> =
        families.iter().map(|family| Arc::new(Pending::new(*family, health.clone(), metrics.clone()))).collect();
    let caches = caches::open(&client, node.clone(), &pending, &metrics, &daemon.supervisor);
    for (family, pending) in families.into_iter().zip(pending) {
        let settings = settings(&config, family, Some(bind));
        let addresses = settings.node_ports.select(|| node_addresses(family));
        let syncer = Syncer {
            family,
            caches: caches.clone(),
            pending,
            node_name: node_name.clone(),
            planner: Planner::new(family, NodeFacts { name: node_name.clone(), zone: String::new() }),
            backend: backend::open(mode, settings, metrics.clone()),
            applied: Plan::default(),
            health: health.clone(),
            service_health: ServiceHealth::new(
                family,
                node_name.clone(),
                addresses,
                health.clone(),
                None,
                daemon.supervisor.clone(),
            ),
            metrics: metrics.clone(),
        };
        let periods = Periods { least: config.iptables.min_sync_period.0, most: config.iptables.sync_period.0 };
        daemon.supervisor.spawn_until_stop("rule sync", syncer.run(periods));
    }
    plain(&config.healthz_bind_address, health::router(health, node, node_name, metrics.clone()), &daemon.supervisor)
        .await?;
    let mut endpoints = Endpoints::new("kube-proxy");
    endpoints.configz = Some(("kubeproxy.config.k8s.io", component::kinds::show(&config, &KIND)));
    endpoints.flags = daemon.shown.clone();
    metrics.register(&mut endpoints.registry, mode);
    let own = endpoints.router().get("/proxyMode", move |_| router::text(http::StatusCode::OK, mode.to_string()));
    plain(&config.metrics_bind_address, own, &daemon.supervisor).await?;
    daemon.supervisor.stopping().await;
    Ok(())
}

fn settings(config: &ProxyConfig, family: Family, node_ip: Option<IpAddr>) -> Settings {
    let own = |cidr: &&str| cidr.parse::<ipnet::IpNet>().is_ok_and(|net| family.has(&net.addr()));
    let local = match config.detect_local_mode.as_str() {
        "" | "ClusterCIDR" => config.cluster_cidr.split(',').map(str::trim).find(own).and_then(|c| c.parse().ok()),
        _ => None,
    };
    let ranges: Vec<_> = config.node_port_addresses.iter().flatten().filter_map(|r| r.parse().ok()).collect();
    Settings {
        family,
        masquerade_all: config.iptables.masquerade_all,
        masquerade_mark: 1 << config.iptables.masquerade_bit,
        local: local.map_or(LocalTraffic::Unknown, LocalTraffic::Cidr),
        node_ports: NodePorts::of(family, &ranges),
        localhost_node_ports: config.iptables.localhost_node_ports,
        drop_invalid: true,
        node_ip: node_ip.filter(|ip| family.has(ip)),
    }
}

fn node_name(config: &ProxyConfig) -> anyhow::Result<String> {
    let name = match config.hostname_override.trim() {
        "" => std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?,
        name => name.to_owned(),
    };
    Ok(name.trim().to_ascii_lowercase())
}

/// Settings of the kernel that rules depend on. A refusal costs a feature, not the proxy.
fn kernel_settings(config: &ProxyConfig) {
    let set = |path: &str, value: &str| {
        if let Err(error) = std::fs::write(Path::new("/proc/sys").join(path), value) {
            tracing::warn!(%error, setting = path, "cannot change a kernel setting");
        }
    };
    if config.iptables.localhost_node_ports {
        set("net/ipv4/conf/all/route_localnet", "1");
    }
    let cores = u32::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)).unwrap_or(1);
    let connections = config.conntrack.max_per_core.saturating_mul(cores).max(config.conntrack.min);
    if connections > 0 {
        set("net/netfilter/nf_conntrack_max", &connections.to_string());
    }
}

async fn plain(address: &str, router: Router, supervisor: &Supervisor) -> anyhow::Result<()> {
    if address.is_empty() {
        return Ok(());
    }
    let address: SocketAddr = address.parse().with_context(|| format!("{address}: not IP:port"))?;
    let server = Server::bind(address).await?;
    supervisor.spawn("plain endpoint", server.run(Protocol::Plain, router, Access::Open, supervisor.clone()));
    Ok(())
}
