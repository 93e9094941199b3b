//! Wires the proxy: configuration, caches, one sync loop per family, and the small servers.

use crate::backend::{self, Mode, NodePorts, node_addresses};
use crate::caches::{self, Caches};
use crate::config::{KIND, ProxyConfig};
use crate::health::{self, Health};
use crate::iptables;
use crate::ipvs;
use crate::kernel;
use crate::metrics::Metrics;
use crate::model::{Family, NodeFacts, Plan, Planner};
use crate::node::{self, Facts};
use crate::options::{self, Options};
use crate::pending::Pending;
use crate::service_health::ServiceHealth;
use crate::sync::{Periods, Syncer};
use anyhow::Context;
use client::Recorder;
use component::Supervisor;
use component::daemon::Daemon;
use component::serve::{Access, Endpoints, Protocol, Router, Server, router};
use k8s_openapi::api::core::v1::ObjectReference;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Pause before a port that is taken is tried again.
const PORT_RETRY: Duration = Duration::from_secs(5);

/// Runs until the supervisor stops; with `--cleanup`, `--write-config-to` and `--init-only` does that.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let mut watch =
        component::files::Watch::new(Some(daemon.options.config.clone()).filter(|c| !c.is_empty()).map(Into::into));
    let config = options::configuration(&daemon)?;
    component::logging::reconfigure(&options::logging(&config, &daemon.common));
    if !daemon.options.write_config_to.is_empty() {
        return write_config(&config, &daemon.options.write_config_to);
    }
    if daemon.options.cleanup {
        return backend::cleanup(None).await.context("encountered an error while tearing down rules");
    }
    let mode = Mode::choose(&config.mode, config.ipvs_scheduler()).await?;
    if let Err(error) = backend::cleanup(Some(mode)).await {
        tracing::warn!(%error, "cannot remove the rules of another proxy mode");
    }
    initialize(&config, mode);
    if daemon.options.init_only {
        tracing::info!("system initialized and --init-only specified");
        return Ok(());
    }
    let ended = Arc::new(Notify::new());
    let proxy = tokio::select! {
        started = Proxy::start(&daemon, config, mode, &ended) => started?,
        // The apiserver or the node may keep us waiting.
        () = daemon.supervisor.stopping() => return Ok(()),
    };
    tokio::select! {
        served = proxy.serve(&daemon) => served,
        () = watch.changed() => anyhow::bail!("content of the proxy server's configuration file was updated"),
        () = ended.notified() => anyhow::bail!("the node's PodCIDRs changed"),
    }
}

fn write_config(config: &ProxyConfig, file: &str) -> anyhow::Result<()> {
    let text = serde_saphyr::to_string(&component::kinds::show(&config.shown(), &KIND)).context("writing YAML")?;
    std::fs::write(file, text).with_context(|| file.to_owned())?;
    tracing::info!(file, "wrote configuration");
    Ok(())
}

/// What needs all of root's rights. A refusal costs a feature, not the proxy.
fn initialize(config: &ProxyConfig, mode: Mode) {
    let warn = |error: &kernel::KernelError| {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, source, "cannot change a kernel setting");
    };
    kernel::set_conntrack(&config.conntrack).iter().for_each(warn);
    if mode == Mode::Ipvs {
        kernel::set_ipvs(config.ipvs.strict_arp).iter().for_each(warn);
        if let Err(error) = ipvs::set_timeouts(&config.ipvs) {
            tracing::error!(%error, "failed to configure IPVS timeouts");
        }
    }
    let ranges = config.node_port_addresses.as_deref().unwrap_or_default();
    let parsed: Vec<_> = ranges.iter().filter_map(|range| range.parse().ok()).collect();
    let has_loopback =
        ranges.iter().all(|range| range != "primary") && NodePorts::of(Family::V4, &parsed).has_loopback();
    if mode == Mode::Iptables && config.iptables.localhost_node_ports && has_loopback {
        kernel::route_localnet().err().iter().for_each(warn);
    }
}

/// A proxy at work.
struct Proxy {
    config: ProxyConfig,
    mode: Mode,
    node_name: String,
    caches: Caches,
    health: Arc<Health>,
    metrics: Metrics,
    recorder: Recorder,
}

impl Proxy {
    async fn start(
        daemon: &Daemon<Options>,
        config: ProxyConfig,
        mode: Mode,
        ended: &Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let supervisor = &daemon.supervisor;
        kernel::set_oom_score(config.oom_score_adj);
        let client = connect(&config, &daemon.options.master).await?;
        let node_name = node_name(&config)?;
        let (recorder, send) = Recorder::new(client.clone(), "kube-proxy", &node_name);
        supervisor.spawn_until_stop("events", send);
        let node = caches::node(&client, &node_name, supervisor);
        node.synced().await;
        let facts = node::wait(&node, &node_name, bind_address(&config), &config).await?;
        if config.detect_local_mode == "NodeCIDR" {
            node::watch_ranges(&node, facts.ranges.clone(), Arc::clone(ended));
        }
        let metrics = Metrics::default();
        let health = Arc::new(Health::new(config.of_mode().sync_period));
        let families = families(&config, mode, &facts).await?;
        let pending: Vec<_> =
            families.iter().map(|family| Arc::new(Pending::new(*family, health.clone(), metrics.clone()))).collect();
        let gates = component::Gates::from_map(config.feature_gates.clone())?;
        let external_ips = gates.enabled("AllowServiceExternalIPs");
        let caches = caches::open(&client, node, &pending, external_ips, &metrics, supervisor);
        let proxy = Self { config, mode, node_name, caches, health, metrics, recorder };
        for (family, pending) in families.into_iter().zip(pending) {
            proxy.keep(family, pending, &facts, supervisor);
        }
        Ok(proxy)
    }

    /// Keeps the rules of one family.
    fn keep(&self, family: Family, pending: Arc<Pending>, facts: &Facts, supervisor: &Supervisor) {
        let bind = bind_address(&self.config);
        let mut settings = node::settings(&self.config, facts, family, bind, kernel::is_liberal());
        settings.counters = self.mode == Mode::Iptables && iptables::ensure_counters();
        let addresses = settings.node_ports.select(|| node_addresses(family));
        let service_health = ServiceHealth::new(
            family,
            self.node_name.clone(),
            addresses,
            self.health.clone(),
            Some(self.recorder.clone()),
            supervisor.clone(),
        );
        let syncer = Syncer {
            family,
            caches: self.caches.clone(),
            pending,
            node_name: self.node_name.clone(),
            planner: Planner::new(family, NodeFacts { name: self.node_name.clone(), zone: String::new() }),
            backend: backend::open(self.mode, settings, self.metrics.clone()),
            applied: Plan::default(),
            health: self.health.clone(),
            service_health,
            metrics: self.metrics.clone(),
        };
        let of_mode = self.config.of_mode();
        let periods = Periods { least: of_mode.min_sync_period, most: of_mode.sync_period };
        supervisor.spawn_until_stop("rule sync", syncer.run(periods));
    }

    /// Serves until the supervisor stops, or a port cannot be had that is needed.
    async fn serve(self, daemon: &Daemon<Options>) -> anyhow::Result<()> {
        self.recorder.normal(&self.reference(), "Starting", "");
        let healthz =
            health::router(self.health.clone(), self.caches.node.clone(), self.node_name.clone(), self.metrics.clone());
        let mut endpoints = Endpoints::new("kube-proxy");
        endpoints.configz = Some(("kubeproxy.config.k8s.io", component::kinds::show(&self.config.shown(), &KIND)));
        endpoints.flags = daemon.shown.clone();
        self.metrics.register(&mut endpoints.registry, self.mode);
        if self.mode == Mode::Iptables {
            iptables::register(&mut endpoints.registry);
        }
        let mode = self.mode;
        let own = endpoints.router().get("/proxyMode", move |_| router::text(http::StatusCode::OK, mode.to_string()));
        let servers = [
            (&self.config.healthz_bind_address, healthz, "FailedToStartProxierHealthcheck"),
            (&self.config.metrics_bind_address, own, "FailedToStartMetricServer"),
        ];
        let [first, second] =
            servers.map(|(address, router, reason)| self.serve_one(address, router, reason, &daemon.supervisor));
        let served = async { tokio::try_join!(first, second).map(drop) };
        tokio::select! {
            Err(error) = served => Err(error),
            () = daemon.supervisor.stopping() => Ok(()),
        }
    }

    /// Serves on one port once it can be had.
    async fn serve_one(
        &self,
        address: &str,
        router: Router,
        reason: &str,
        supervisor: &Supervisor,
    ) -> anyhow::Result<()> {
        if address.is_empty() {
            return Ok(());
        }
        let address: SocketAddr = address.parse().with_context(|| format!("{address}: not IP:port"))?;
        let server = loop {
            match Server::bind(address).await {
                Ok(server) => break server,
                Err(error) if self.config.bind_address_hard_fail => {
                    self.recorder.warning(&self.reference(), reason, error.to_string());
                    return Err(error.into());
                }
                Err(error) => tracing::error!(%error, "cannot listen; trying again"),
            }
            tokio::time::sleep(PORT_RETRY).await;
        };
        supervisor.spawn("plain endpoint", server.run(Protocol::Plain, router, Access::Open, supervisor.clone()));
        Ok(())
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(self.node_name.clone()),
            ..ObjectReference::default()
        }
    }
}

async fn connect(config: &ProxyConfig, master: &str) -> anyhow::Result<kube::Client> {
    let connection = &config.client_connection;
    if !matches!(connection.content_type.as_str(), "application/json" | "application/vnd.kubernetes.protobuf") {
        tracing::warn!(content_type = connection.content_type, "the client speaks JSON only");
    }
    let kubeconfig = Some(connection.kubeconfig.as_str()).filter(|k| !k.is_empty());
    let tuning = client::config::Tuning {
        server: Some(master).filter(|master| !master.is_empty()).map(str::to_owned),
        rate: client::config::Rate::of(connection.qps, connection.burst),
    };
    let agent = component::version::user_agent("kube-proxy");
    Ok(client::config::connect_tuned(kubeconfig.map(Path::new), &agent, &tuning).await?)
}

/// The families to keep rules for. The primary one has to be among those that can.
async fn families(config: &ProxyConfig, mode: Mode, facts: &Facts) -> anyhow::Result<Vec<Family>> {
    let primary = facts.primary(bind_address(config));
    let families = backend::families(mode).await;
    if !families.contains(&primary) {
        anyhow::bail!("no support for primary IP family {:?}", primary.as_str());
    }
    if config.node_port_addresses.as_ref().is_none_or(Vec::is_empty) {
        tracing::warn!(
            "nodePortAddresses is unset; NodePort connections will be accepted on all local IPs. Consider using `--nodeport-addresses primary`"
        );
    }
    tracing::info!(%mode, primary = primary.as_str(), families = families.len(), "keeping rules");
    Ok(families)
}

fn bind_address(config: &ProxyConfig) -> IpAddr {
    // It was validated.
    config.bind_address.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

fn node_name(config: &ProxyConfig) -> anyhow::Result<String> {
    let name = match config.hostname_override.as_str() {
        "" => std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?,
        name => name.to_owned(),
    };
    Ok(name.trim().to_ascii_lowercase())
}
