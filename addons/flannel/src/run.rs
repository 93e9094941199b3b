//! Wires the daemon: configuration, the node's object, the loop, the health endpoint.

use crate::config::{Backend, Config, Family};
use crate::interface::{Choice, choose};
use crate::kernel::Kernel;
use crate::lease::{self, Annotations, Lease};
use crate::options::Options;
use crate::policy;
use crate::rules::Kind;
use crate::sync::{Network, Own, Settings};
use anyhow::{Context, bail, ensure};
use client::informer::{Builder, Change, Scope};
use client::{Informer, ObjectKey};
use component::Supervisor;
use component::daemon::Daemon;
use component::serve::{Access, Protocol, Router, Server, router};
use http::StatusCode;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Least time between two rounds: nodes that come together are taken in together.
const GATHER: Duration = Duration::from_millis(100);
/// Most bytes of `net-conf.json`.
const LONGEST: u64 = 1 << 20;

/// Runs until the supervisor stops. What was made in the kernel stays: pods go on talking.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let Daemon { options, supervisor, .. } = daemon;
    ensure!(options.kube_subnet_mgr, "a subnet manager on etcd is not built: give --kube-subnet-mgr");
    let config = configuration(&options)?;
    let names = Annotations::new(&options.kube_annotation_prefix)?;
    let is_ready = Arc::new(AtomicBool::new(false));
    health(&options, is_ready.clone(), &supervisor).await?;
    let kubeconfig = options.kubeconfig_file.clone().filter(|path| !path.as_os_str().is_empty());
    let client = client::connect(kubeconfig.as_deref(), &component::version::user_agent("flanneld")).await?;
    let node_name = node_name(&client).await?;
    let changed = Arc::new(Notify::new());
    let nodes = nodes(&client, &names, &changed, &supervisor);
    let start = async {
        nodes.synced().await;
        own_node(&nodes, &node_name, &changed).await
    };
    let node = tokio::select! {
        node = start => node,
        () = supervisor.stopping() => return Ok(()),
    };
    let kernel = Kernel::open(&supervisor).context("opening netlink")?;
    let settings = settings(&options, config, names, &kernel, &node).await?;
    let families: Vec<Family> = settings.networks.iter().map(|(family, _)| *family).collect();
    match options.network_policies {
        true => policy::start(&client, &node_name, &families, &supervisor),
        false => policy::remove(&families).await,
    }
    let keeper = Keeper {
        network: Network::new(kernel, settings),
        client,
        nodes,
        node_name,
        changed,
        subnet_file: options.subnet_file,
        period: Duration::from_secs(options.iptables_resync),
        says_so: options.set_node_network_unavailable,
        is_ready,
        leases: Vec::new(),
        said_for: None,
    };
    supervisor.spawn_until_stop("network", keeper.run());
    supervisor.stopping().await;
    Ok(())
}

fn configuration(options: &Options) -> anyhow::Result<Config> {
    use std::io::Read as _;
    let path = &options.net_config_path;
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(LONGEST).read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
    let config = Config::parse(&text)?;
    for key in &config.unknown {
        tracing::warn!(key, "net-conf.json: {key} means nothing here");
    }
    Ok(config)
}

/// The node's name: given, or that of the node of this pod.
async fn node_name(client: &kube::Client) -> anyhow::Result<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(name) = variable("NODE_NAME") {
        return Ok(name);
    }
    let (Some(pod), Some(namespace)) = (variable("POD_NAME"), variable("POD_NAMESPACE")) else {
        bail!("env variables POD_NAME and POD_NAMESPACE, or NODE_NAME, must be set");
    };
    let found: Pod = Api::namespaced(client.clone(), &namespace)
        .get(&pod)
        .await
        .with_context(|| format!("retrieving pod {namespace}/{pod}"))?;
    let name = found.spec.and_then(|spec| spec.node_name);
    name.with_context(|| format!("pod {namespace}/{pod} is on no node"))
}

/// All nodes, without what this daemon does not look at.
fn nodes(client: &kube::Client, names: &Annotations, changed: &Arc<Notify>, supervisor: &Supervisor) -> Informer<Node> {
    let (changed, names) = (changed.clone(), names.clone());
    let (nodes, run) = Builder::<Node>::new(client.clone(), Scope::default())
        .trim(|node: &mut Node| {
            node.status = None;
            node.metadata.labels = None;
        })
        .on_change(move |change| {
            if !matches!(change, Change::Updated(old, new) if lease::same(old, new, &names)) {
                changed.notify_one();
            }
        })
        .build();
    supervisor.spawn_until_stop("nodes", run);
    nodes
}

async fn own_node(nodes: &Informer<Node>, name: &str, changed: &Notify) -> Arc<Node> {
    loop {
        if let Some(node) = nodes.get("", name) {
            return node;
        }
        tracing::info!(node = name, "waiting for the node to register");
        changed.notified().await;
    }
}

async fn settings(
    options: &Options,
    config: Config,
    names: Annotations,
    kernel: &Kernel,
    node: &Node,
) -> anyhow::Result<Settings> {
    let families: Vec<Family> = config.networks.iter().map(|(family, _)| *family).collect();
    let given = |family| match family {
        Family::V4 => options.public_ip.map(IpAddr::V4),
        Family::V6 => options.public_ipv6.map(IpAddr::V6),
    };
    let public = |family: &Family| {
        let ip = lease::decided_public_ip(node, &names, *family).or_else(|| given(*family));
        ip.map(|ip| (*family, ip))
    };
    let public: Vec<(Family, IpAddr)> = families.iter().filter_map(public).collect();
    let patterns = options.iface_regex.iter().map(|pattern| regex::Regex::new(pattern));
    let choice = Choice {
        names: &options.iface,
        patterns: patterns.collect::<Result<_, _>>().context("--iface-regex")?,
        towards: match options.iface_can_reach {
            Some(address) => kernel.towards(address).await?,
            None => None,
        },
        public: public.iter().map(|(_, ip)| *ip).collect(),
        default: kernel.default_interface(families[0]).await?,
    };
    let external = choose(&kernel.interfaces().await?, &choice, &families)?;
    for (family, ip) in public.iter().filter(|_| config.backend == Backend::HostGw) {
        let own = external.address(*family);
        ensure!(own == Some(*ip), "host-gw: others must reach the interface's own address, not {ip}");
    }
    tracing::info!(interface = external.interface.name, addresses = ?external.addresses, ?public, "to other nodes");
    Ok(Settings {
        networks: config.networks,
        backend: config.backend,
        names,
        external,
        public,
        rules: if config.nftables { Kind::Nftables } else { Kind::Iptables },
        ip_masq: options.ip_masq,
        random: !options.ip_masq_fully_random_disable,
        forward: options.iptables_forward_rules,
        blackhole: options.ip_blackhole_route,
    })
}

async fn health(options: &Options, is_ready: Arc<AtomicBool>, supervisor: &Supervisor) -> anyhow::Result<()> {
    if options.healthz_port == 0 {
        return Ok(());
    }
    let routes = Router::new().get("/healthz", |_| router::text(StatusCode::OK, "flanneld is running")).get(
        "/readyz",
        move |_| match is_ready.load(Ordering::Relaxed) {
            true => router::text(StatusCode::OK, "flanneld is ready"),
            false => router::text(StatusCode::SERVICE_UNAVAILABLE, "flanneld is not ready yet"),
        },
    );
    let server = Server::bind((options.healthz_ip, options.healthz_port).into()).await?;
    supervisor.spawn("health endpoint", server.run(Protocol::Plain, routes, Access::Open, supervisor.clone()));
    Ok(())
}

/// The loop.
struct Keeper {
    network: Network,
    client: kube::Client,
    nodes: Informer<Node>,
    node_name: String,
    changed: Arc<Notify>,
    subnet_file: PathBuf,
    period: Duration,
    says_so: bool,
    is_ready: Arc<AtomicBool>,
    /// This node's part that rules were written for.
    leases: Vec<Lease>,
    /// The node object whose condition was set.
    said_for: Option<String>,
}

impl Keeper {
    async fn run(mut self) {
        let (mut complaint, mut looked) = (String::new(), None::<Instant>);
        loop {
            let started = Instant::now();
            let is_due = looked.is_none_or(|looked| started.duration_since(looked) >= self.period);
            let next = match self.once(is_due).await {
                Ok(()) => {
                    looked = if is_due { Some(started) } else { looked };
                    complaint.clear();
                    self.period
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    // The same trouble every second is said once.
                    if text != complaint {
                        tracing::error!("the network is not complete: {text}");
                        complaint = text;
                    }
                    RETRY
                }
            };
            if tokio::time::timeout(next, self.changed.notified()).await.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// One round; the packet filter's rules are looked at only if they are due, or this node's part is
    /// another one.
    async fn once(&mut self, are_rules_due: bool) -> anyhow::Result<()> {
        let node = self.nodes.get("", &self.node_name).context("the node is not registered")?;
        let own = self.network.settle(&node).await?;
        self.annotate(&node, &own).await?;
        let leases: Vec<Lease> = own.iter().map(|own| own.lease.clone()).collect();
        if are_rules_due || self.leases != leases {
            self.network.ensure_rules(&own).await?;
            self.leases = leases;
        }
        let file = self.network.settings().subnet_file(&own);
        let is_new =
            file.write(&self.subnet_file).with_context(|| format!("writing {}", self.subnet_file.display()))?;
        if is_new {
            tracing::info!(file = %self.subnet_file.display(), "the node's part is written");
        }
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            component::notify::ready();
        }
        let failed = self.network.connect(&own, &self.nodes.list()).await?;
        self.say_so(&node).await?;
        match failed.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Tells the others how to reach this node.
    async fn annotate(&self, node: &Node, own: &[Own]) -> anyhow::Result<()> {
        let leases: Vec<_> = own.iter().map(|own| (own.family, own.lease.clone())).collect();
        let Some(patch) = lease::missing_annotations(node, &self.network.settings().names, &leases) else {
            return Ok(());
        };
        let written = self.patch(&patch).await.context("annotating the node")?;
        tracing::info!(?leases, "the node is annotated");
        let version = written.metadata.resource_version.unwrap_or_default();
        self.nodes.seen(&ObjectKey::of(node), &version).await;
        Ok(())
    }

    /// Takes the condition away that keeps pods off a node without a network.
    async fn say_so(&mut self, node: &Node) -> anyhow::Result<()> {
        if !self.says_so || (self.said_for.is_some() && self.said_for == node.metadata.uid) {
            return Ok(());
        }
        let now = Time(jiff::Timestamp::now());
        let condition = json!({
            "type": "NetworkUnavailable", "status": "False", "reason": "FlannelIsUp",
            "message": "Flannel is running on this node", "lastTransitionTime": now, "lastHeartbeatTime": now,
        });
        self.patch(&json!({"status": {"conditions": [condition]}})).await.context("setting the node's condition")?;
        self.said_for.clone_from(&node.metadata.uid);
        Ok(())
    }

    async fn patch(&self, patch: &serde_json::Value) -> kube::Result<Node> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.patch_status(&self.node_name, &PatchParams::default(), &Patch::Strategic(patch)).await
    }
}
