//! Wires the proxy: configuration, caches, the sync loop, and the two small servers.

use crate::config::{KIND, ProxyConfig};
use crate::iptables::{Iptables, Options as RuleOptions};
use crate::model::{Family, Plan};
use crate::options::{self, Options};
use crate::sync::{BY_SERVICE, Caches, Progress, Syncer, families};
use anyhow::Context;
use client::informer::{Builder, Scope};
use component::Supervisor;
use component::daemon::Daemon;
use component::serve::{Access, Endpoints, Protocol, Router, Server, router};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Services without the label of another proxy, and no headless ones, as upstream selects them.
const SERVICES: &str = "!service.kubernetes.io/service-proxy-name";
const SLICES: &str = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";

/// Runs until the supervisor stops; with `--cleanup` only removes the rules.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    if daemon.options.cleanup {
        return cleanup().await;
    }
    let config = options::configuration(&daemon)?;
    if !matches!(config.mode.as_str(), "" | "iptables") {
        tracing::warn!(mode = config.mode, "proxy mode is not built; using iptables instead");
    }
    let bind: IpAddr = config.bind_address.parse().context("bindAddress")?;
    kernel_settings(&config);
    let kubeconfig = Some(config.client_connection.kubeconfig.as_str()).filter(|k| !k.is_empty());
    let client = client::connect(kubeconfig.map(Path::new), &component::version::user_agent("kube-proxy")).await?;
    let node_name = node_name(&config)?;
    let progress = Arc::new(Progress::default());
    for family in families(bind) {
        let changed = Arc::new(Notify::new());
        let caches = caches(&client, &node_name, &changed, &progress, &daemon.supervisor);
        let syncer = Syncer {
            caches,
            node_name: node_name.clone(),
            options: rule_options(&config, family),
            kernel: Iptables::new(family),
            applied: Plan::default(),
            progress: progress.clone(),
        };
        let (min, most) = (config.iptables.min_sync_period.0, config.iptables.sync_period.0);
        daemon.supervisor.spawn_until_stop("rule sync", syncer.run(changed, min, most));
    }
    serve(&config, &progress, &daemon).await?;
    daemon.supervisor.stopping().await;
    Ok(())
}

async fn cleanup() -> anyhow::Result<()> {
    for family in [Family::V4, Family::V6] {
        Iptables::new(family).cleanup().await.with_context(|| format!("cleaning up {family:?}"))?;
    }
    Ok(())
}

fn node_name(config: &ProxyConfig) -> anyhow::Result<String> {
    let name = match config.hostname_override.trim() {
        "" => std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?,
        name => name.to_owned(),
    };
    Ok(name.trim().to_ascii_lowercase())
}

fn rule_options(config: &ProxyConfig, family: Family) -> RuleOptions {
    let own = |cidr: &&str| cidr.parse::<ipnet::IpNet>().is_ok_and(|net| family.has(&net.addr()));
    let cluster_cidr = match config.detect_local_mode.as_str() {
        "" | "ClusterCIDR" => config.cluster_cidr.split(',').map(str::trim).find(own).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let node_port_addresses = config.node_port_addresses.iter().flatten().map(String::as_str).filter(own);
    RuleOptions {
        family,
        masquerade_all: config.iptables.masquerade_all,
        masquerade_mark: 1 << config.iptables.masquerade_bit,
        random_fully: true,
        cluster_cidr,
        node_port_addresses: node_port_addresses.map(str::to_owned).collect(),
        localhost_node_ports: config.iptables.localhost_node_ports,
        drop_invalid: true,
    }
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

fn caches(
    client: &kube::Client,
    node_name: &str,
    changed: &Arc<Notify>,
    progress: &Arc<Progress>,
    supervisor: &Supervisor,
) -> Caches {
    let selected = |labels: &str| Scope { label_selector: Some(labels.to_owned()), ..Scope::default() };
    let notify = || {
        let (changed, progress) = (changed.clone(), progress.clone());
        move || {
            progress.queue();
            changed.notify_one();
        }
    };
    let (services, run) = {
        let notify = notify();
        Builder::<Service>::new(client.clone(), selected(SERVICES)).on_change(move |_| notify()).build()
    };
    supervisor.spawn_until_stop("services", run);
    let (slices, run) = {
        let notify = notify();
        Builder::<EndpointSlice>::new(client.clone(), selected(SLICES))
            .index(BY_SERVICE, service_key)
            .on_change(move |_| notify())
            .build()
    };
    supervisor.spawn_until_stop("endpoint slices", run);
    let own = Scope { field_selector: Some(format!("metadata.name={node_name}")), ..Scope::default() };
    let (node, run) = Builder::<Node>::new(client.clone(), own).trim(|node: &mut Node| node.status = None).build();
    supervisor.spawn_until_stop("node", run);
    Caches { services, slices, node }
}

fn service_key(slice: &EndpointSlice) -> Vec<String> {
    let service = slice.metadata.labels.as_ref().and_then(|l| l.get("kubernetes.io/service-name"));
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    service.map(|service| format!("{namespace}/{service}")).into_iter().collect()
}

async fn serve(config: &ProxyConfig, progress: &Arc<Progress>, daemon: &Daemon<Options>) -> anyhow::Result<()> {
    let period = config.iptables.sync_period.0;
    let health = progress.clone();
    let live = progress.clone();
    let healthz = Router::new()
        .get("/healthz", move |_| health_answer(&health, period))
        .get("/livez", move |_| health_answer(&live, period));
    plain(&config.healthz_bind_address, healthz, &daemon.supervisor).await?;
    let mut endpoints = Endpoints::new("kube-proxy");
    endpoints.configz = Some(("kubeproxy.config.k8s.io", component::kinds::show(config, &KIND)));
    endpoints.flags = daemon.shown.clone();
    let metrics = endpoints.router().get("/proxyMode", |_| router::text(http_ok(), "iptables"));
    plain(&config.metrics_bind_address, metrics, &daemon.supervisor).await
}

fn http_ok() -> http::StatusCode {
    http::StatusCode::OK
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

/// Upstream's body: when the rules were last right, and now.
fn health_answer(progress: &Progress, period: Duration) -> component::serve::Response {
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).map(|t| t.to_string()).unwrap_or_default();
    let body = serde_json::json!({
        "lastUpdated": time(progress.last_synced()), "currentTime": jiff::Timestamp::now().to_string(), "nodeEligible": true,
    });
    let code = if progress.is_stuck(period) { http::StatusCode::SERVICE_UNAVAILABLE } else { http_ok() };
    router::json(code, &body)
}
