//! Constructs every subsystem, gives each what it needs, starts its task. Knows nothing else.

mod connection;
mod preparation;
mod servers;

use crate::cgroups::{Cgroups, Naming, Policy as GroupPolicy};
use crate::config::{self, CgroupDriver, KubeletConfiguration};
use crate::credentials::{metrics::ClientMetrics, store::Store};
use crate::csi::Csi;
use crate::devices::{self, Devices, pod_resources, registration};
use crate::dra::{self, Dra};
use crate::events::Severity;
use crate::flags::Options;
use crate::images::access::Access;
use crate::images::node_config::NodeConfig;
use crate::images::providers::Providers;
use crate::images::{Images, gc as image_gc};
use crate::logs::{Rotation, rotate};
use crate::network::dns::ClusterDns;
use crate::network::iptables;
use crate::node::{Heartbeat, NodeFacts, Reporter, Startup, lease, machine, reporter};
use crate::placement;
use crate::pleg::Pleg;
use crate::plugins::{Handlers, watcher};
use crate::pod::PodExt;
use crate::probes::Probes;
use crate::resize::Allocations;
use crate::resources::Amount;
use crate::runtime::record::Outline;
use crate::runtime::{Endpoint, Runtime};
use crate::shutdown;
use crate::sources::{self, files::Files, mirrors::Mirrors, statics::Statics, web::Web};
use crate::status::StatusWriter;
use crate::volumes::{Volumes, mounts};
use crate::workers::{Deps, Nudges, Settings, Workers, sysctls};
use crate::{eviction, gc, rate};
use anyhow::Context;
use client::informer::Informer;
use component::Supervisor;
use component::daemon::Daemon;
use connection::{cluster, connect, events, storage};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where the kernel tells of the machine.
const SYS: &str = "/sys";
const IMAGE_GC_PERIOD: Duration = Duration::from_secs(300);
/// How often a runtime that may be starting is asked for its cgroup driver, and after what time again.
const RUNTIME_TRIES: u32 = 3;
const RUNTIME_RETRY: Duration = Duration::from_secs(2);

/// Runs the kubelet until its supervisor stops.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let config = config::load(&daemon.options, &daemon.given)?;
    let kubelet = Kubelet::build(&daemon, config).await?;
    kubelet.start(&daemon.supervisor, daemon.shown.clone()).await?;
    component::notify::ready();
    daemon.supervisor.stopping().await;
    Ok(())
}

/// All handles, before their tasks run.
struct Kubelet {
    config: KubeletConfiguration,
    options: Options,
    client: Option<kube::Client>,
    deps: Arc<Deps>,
    workers: Workers,
    pleg: Pleg,
    csi: Csi,
    providers: Providers,
    access: Option<Access>,
    certificate: Option<(Store, ClientMetrics)>,
    startup: Startup,
    shutdown: shutdown::state::Record,
}

impl Kubelet {
    async fn build(daemon: &Daemon<Options>, mut config: KubeletConfiguration) -> anyhow::Result<Self> {
        let (options, supervisor) = (daemon.options.clone(), &daemon.supervisor);
        preparation::lower_oom_score(config.oom_score_adj);
        preparation::raise_open_files(config.max_open_files);
        preparation::prepare_kernel(config.protect_kernel_defaults)?;
        std::fs::create_dir_all(&options.root_dir).with_context(|| format!("create {}", options.root_dir.display()))?;
        mounts::share(&options.root_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "mounts of volumes cannot be propagated into running containers");
        });
        placement::reserve_named(&mut config, Path::new(SYS))?;
        let node = node_facts(&options, &config)?;
        let placement = preparation::placement(daemon, &config, &node, Path::new(SYS))?;
        let clients = connect(&options, &config, supervisor).await?;
        let events = events(clients.as_ref().map(|clients| &clients.events), &node.name(), supervisor);
        let (client, certificate) = clients.map(|all| (all.client, all.certificate)).unzip();
        let certificate = certificate.flatten();
        let cluster = cluster(client.as_ref(), supervisor);
        let runtime = runtime(&config)?;
        let naming = naming(&config, &runtime).await?;
        let (statuses, writer) = StatusWriter::new(cluster.clone(), supervisor.clone());
        supervisor.spawn_until_stop("status", writer);
        let nudges = Nudges::default();
        let bell = nudges.clone();
        let probes = Probes::new(runtime.clone(), events.clone(), supervisor.clone(), move |uid| bell.nudge(uid));
        let bell = nudges.clone();
        let devices = Devices::load(&devices_folder(&options.root_dir), supervisor.clone(), move |uid| bell.nudge(uid));
        let dra = dra(client.as_ref(), &options.root_dir, &node.name(), supervisor);
        let parallel = if config.serialize_image_pulls { 1 } else { config.max_parallel_image_pulls.unwrap_or(64) };
        let providers = preparation::providers(&options, cluster.clone())?;
        let access = preparation::access(daemon, &config)?;
        let pulls = rate::Rate::new(config.registry_pull_qps, config.registry_burst);
        let storage = storage(client.as_ref(), &node.name());
        let csi = Csi::new(options.root_dir.clone(), node.name(), cluster.clone(), storage, events.clone());
        let deps = Arc::new(Deps {
            volumes: Volumes::new(options.root_dir.clone(), cluster.clone(), csi.clone()),
            cgroups: cgroups(&config, naming, &node)?,
            images: Images::new(runtime.clone(), events.clone(), parallel, pulls)
                .with_credentials(NodeConfig::new(&options.root_dir), providers.clone())
                .with_access(access.clone()),
            settings: settings(&config, node.memory())?,
            runtime,
            cluster,
            events,
            statuses,
            probes,
            node,
            allocations: Allocations::load(&options.root_dir),
            devices,
            dra,
            placement,
        });
        let workers = Workers::new(deps.clone(), nudges, supervisor.clone());
        let neighbours = workers.clone();
        deps.allocations.follow(move || neighbours.active());
        let shutdown = shutdown::state::Record::load(&options.root_dir);
        let (pleg, startup) = (Pleg::default(), Startup::default());
        Ok(Self {
            config,
            options,
            client,
            deps,
            workers,
            pleg,
            csi,
            providers,
            access,
            certificate,
            startup,
            shutdown,
        })
    }

    async fn start(self, supervisor: &Supervisor, shown: BTreeMap<String, String>) -> anyhow::Result<()> {
        let name = self.deps.node.name();
        self.deps.events.node(&name, Severity::Normal, "Starting", "Starting kubelet.");
        self.start_servers(supervisor, shown).await?;
        self.start_plugins(supervisor);
        self.start_node(supervisor);
        let api_pods = self.client.clone().map(|client| {
            let (pods, feed) = sources::api::watch(client, &name, self.workers.clone());
            supervisor.spawn_until_stop("pods", feed);
            pods
        });
        self.start_static_pods(supervisor, api_pods.clone())?;
        let (deps, workers, pleg) = (self.deps.clone(), self.workers.clone(), self.pleg.clone());
        let housekeeping = housekeeping(deps, workers, pleg, api_pods, self.csi.clone(), supervisor.clone());
        supervisor.spawn_until_stop("housekeeping", housekeeping);
        self.start_log_rotation(supervisor);
        self.start_shutdown(supervisor);
        if self.config.make_iptables_util_chains {
            supervisor.spawn_until_stop("iptables", iptables::keep());
        }
        self.start_placement(supervisor);
        let (deps, workers, root) = (self.deps.clone(), self.workers.clone(), self.options.root_dir.clone());
        let eviction = eviction::Manager::new(deps, workers, &self.config, root);
        supervisor.spawn_until_stop("eviction", eviction.run());
        let thresholds = image_gc::Thresholds {
            high: self.config.image_gc_high_threshold_percent,
            low: self.config.image_gc_low_threshold_percent,
            min_age: self.config.image_minimum_gc_age.0,
            max_age: Some(self.config.image_maximum_gc_age.0).filter(|age| !age.is_zero()),
        };
        let (runtime, access) = (self.deps.runtime.clone(), self.access.clone());
        supervisor.spawn_until_stop("image-gc", image_gc::run(runtime, access, thresholds, IMAGE_GC_PERIOD));
        Ok(())
    }

    /// Pods without devices run also where plugins cannot register.
    fn start_plugins(&self, supervisor: &Supervisor) {
        let devices = &self.deps.devices;
        match registration::listen(devices.folder()) {
            Ok(listener) => {
                supervisor.spawn_until_stop("device-plugins", registration::serve(listener, devices.clone()));
            }
            Err(error) => tracing::error!(%error, "device plugins cannot register"),
        }
        let folder = self.options.root_dir.join("plugins_registry");
        let claims = self.deps.dra.plugins();
        claims.start();
        let handlers: Handlers = vec![Box::new(devices.clone()), Box::new(claims.clone()), Box::new(self.csi.clone())];
        supervisor.spawn_until_stop("plugin-watcher", watcher::run(folder, handlers));
        if self.client.is_some() {
            supervisor.spawn_until_stop("csi-node", self.csi.clone().introduce_node());
        }
        supervisor.spawn_until_stop("volume-stats", self.csi.clone().measure(self.config.stats_lifetime()));
        match pod_resources::listen(&self.options.root_dir) {
            Ok(listener) => {
                let workers = self.workers.clone();
                let serve = {
                    let (dra, placement) = (self.deps.dra.clone(), self.deps.placement.clone());
                    pod_resources::serve(listener, devices.clone(), dra, placement, move || workers.active())
                };
                supervisor.spawn_until_stop("pod-resources", serve);
            }
            Err(error) => tracing::error!(%error, "the pod resources API is not served"),
        }
    }

    fn start_node(&self, supervisor: &Supervisor) {
        let (name, heartbeat) = (self.deps.node.name(), Heartbeat::new(&self.config));
        let connection = self.client.clone().map(|client| {
            let (connection, feed) = reporter::Connection::new(client, &name, heartbeat);
            supervisor.spawn_until_stop("node-watch", feed);
            connection
        });
        let reporter = Reporter {
            connection,
            runtime: self.deps.runtime.clone(),
            pleg: self.pleg.clone(),
            facts: self.deps.node.clone(),
            events: self.deps.events.clone(),
            devices: self.deps.devices.clone(),
            in_use: self.csi.in_use(),
            config: self.config.clone(),
            root_dir: self.options.root_dir.clone(),
            labels: self.options.node_labels.clone(),
            startup: self.startup.clone(),
            provider: Some(self.config.provider_id.clone()).filter(|id| !id.is_empty()),
        };
        supervisor.spawn_until_stop("node", reporter.run());
        if let Some(client) = self.client.clone() {
            let seconds = self.config.node_lease_duration_seconds;
            supervisor.spawn_until_stop("lease", lease::run(client, name, seconds, heartbeat));
        }
    }

    fn start_static_pods(&self, supervisor: &Supervisor, api_pods: Option<Informer<Pod>>) -> anyhow::Result<()> {
        let (config, node) = (&self.config, self.deps.node.name());
        if config.static_pod_path.is_empty() && config.static_pod_url.is_empty() {
            return Ok(());
        }
        let statics = Statics::new(self.workers.clone());
        if !config.static_pod_path.is_empty() {
            let files = Files::new(PathBuf::from(&config.static_pod_path), node.clone(), statics.clone());
            files.look();
            supervisor.spawn_until_stop("static-pods", files.run(config.file_check_frequency.0));
        }
        if !config.static_pod_url.is_empty() {
            let web = Web::new(&config.static_pod_url, &config.static_pod_url_header, node, statics.clone())?;
            supervisor.spawn_until_stop("static-pods-of-url", web.run(config.http_check_frequency.0));
        }
        let Some(seen) = api_pods else { return Ok(()) };
        let mirrors = Mirrors {
            statics: statics.wanted(),
            seen,
            node: self.deps.node.clone(),
            cluster: self.deps.cluster.clone(),
            statuses: self.deps.statuses.clone(),
            counts: self.deps.runtime.metrics().pods.clone(),
        };
        supervisor.spawn_until_stop("mirror-pods", mirrors.run());
        Ok(())
    }

    /// Without a period a shutdown of the node is nothing to the kubelet.
    fn start_shutdown(&self, supervisor: &Supervisor) {
        let periods = shutdown::plan::periods(&self.config);
        if periods.is_empty() {
            return;
        }
        let manager = shutdown::Manager {
            periods,
            place: shutdown::logind::Place::default(),
            workers: self.workers.clone(),
            node: self.deps.node.clone(),
            events: self.deps.events.clone(),
            record: self.shutdown.clone(),
        };
        supervisor.spawn_until_stop("shutdown", manager.run());
    }

    /// Containers that share processors follow what is left for them.
    fn start_placement(&self, supervisor: &Supervisor) {
        let deps = &self.deps;
        if deps.placement.is_static() {
            let (placement, every) = (deps.placement.clone(), self.config.cpu_manager_reconcile_period.0);
            let (statuses, runtime) = (deps.statuses.clone(), deps.runtime.clone());
            let told = placement::reconcile::run(placement, self.workers.clone(), statuses, runtime, every);
            supervisor.spawn_until_stop("cpu-manager", told);
        }
    }

    fn start_log_rotation(&self, supervisor: &Supervisor) {
        let rotation = Rotation {
            runtime: self.deps.runtime.clone(),
            folder: self.deps.settings.logs.clone(),
            policy: rotate::Policy {
                longest: self.config.longest_log().unwrap_or(u64::MAX),
                files: self.config.container_log_max_files,
            },
            every: self.config.container_log_monitor_interval.0,
            workers: self.config.container_log_max_workers,
            supervisor: supervisor.clone(),
        };
        supervisor.spawn_until_stop("log-rotation", rotation.run());
    }
}

/// Where plugins look for the kubelet; below `--root-dir` for a second kubelet on the machine,
/// which must not take the folder from the first.
fn devices_folder(root: &Path) -> PathBuf {
    let folder = Path::new(devices::FOLDER);
    if !registration::is_taken(folder) {
        return folder.to_owned();
    }
    let own = root.join("device-plugins");
    tracing::warn!(folder = %own.display(), "another kubelet serves device plugins; those of this one register here");
    own
}

/// Claims of devices, which only an apiserver has.
fn dra(client: Option<&kube::Client>, root: &Path, node: &str, supervisor: &Supervisor) -> Dra {
    let offers: Arc<dyn dra::api::Offers> = match client {
        Some(client) => Arc::new(dra::api::Server::new(client.clone(), node.to_owned())),
        None => Arc::new(dra::api::Standalone),
    };
    Dra::load(root, offers, supervisor.clone())
}

/// Watches the runtime. Until it is known which pods are wanted, those that nobody seems to ask for
/// are left alone; the apiserver itself may be among the pods that are known already.
async fn housekeeping(
    deps: Arc<Deps>,
    workers: Workers,
    pleg: Pleg,
    api_pods: Option<Informer<Pod>>,
    csi: Csi,
    supervisor: Supervisor,
) {
    if let Some(pods) = &api_pods {
        let workers = workers.clone();
        let known = move |uid: &str, _: &Outline| workers.nudge(uid);
        tokio::select! {
            () = pods.synced() => {}
            () = pleg.clone().run(deps.runtime.clone(), known) => {}
        }
    }
    let here = workers.pods().iter().map(|pod| pod.uid().to_owned()).collect();
    deps.devices.keep_only(&here);
    deps.placement.keep_only(&here);
    supervisor.spawn_until_stop("gc", gc::run(deps.clone(), workers.clone()));
    let here = workers.clone();
    supervisor.spawn_until_stop("claims", deps.dra.clone().reconcile(move |uid| here.knows(uid)));
    supervisor.spawn_until_stop("volumes", csi.reap());
    let changed = move |uid: &str, outline: &Outline| {
        if !workers.knows(uid) && outline.sandboxes.len() + outline.containers.len() > 0 {
            workers.remove_orphan(uid, outline);
        } else {
            workers.nudge(uid);
        }
    };
    pleg.run(deps.runtime.clone(), changed).await;
}

fn node_facts(options: &Options, config: &KubeletConfiguration) -> anyhow::Result<NodeFacts> {
    let name = machine::node_name(options.hostname_override.as_deref());
    let given: Vec<IpAddr> = options.node_ip.iter().copied().filter(|ip| !ip.is_unspecified()).collect();
    let ips = if given.is_empty() { machine::default_address().into_iter().collect() } else { given };
    anyhow::ensure!(!ips.is_empty(), "no address found for the node; give --node-ip");
    let pods = machine::PodLimits { most: config.max_pods, per_core: config.pods_per_core };
    let limit = Cgroups::detect().memory_limit(std::path::Path::new(""));
    let capacity = machine::capacity(&options.root_dir, pods, limit);
    let ips = ips.iter().map(ToString::to_string).collect();
    Ok(NodeFacts::new(reporter::first_facts(&name, ips, capacity, config)))
}

fn runtime(config: &KubeletConfiguration) -> anyhow::Result<Runtime> {
    let endpoint = Endpoint::parse(&config.container_runtime_endpoint)?;
    let images = match config.image_service_endpoint.as_str() {
        "" => endpoint.clone(),
        other => Endpoint::parse(other)?,
    };
    Ok(Runtime::new(&endpoint, &images, config.runtime_request_timeout.0))
}

/// Both have to put a pod into the same group: a runtime that says how it makes them is believed.
///
/// Upstream: `getCgroupDriverFromCRI`.
async fn naming(config: &KubeletConfiguration, runtime: &Runtime) -> anyhow::Result<Naming> {
    let (mut again, mut tries) = (tokio::time::interval(RUNTIME_RETRY), RUNTIME_TRIES);
    let asked = loop {
        again.tick().await;
        tries -= 1;
        match runtime.cgroup_driver().await {
            Err(error) if tries > 0 => tracing::info!(%error, "the runtime does not answer yet"),
            asked => break asked,
        }
    };
    let driver = match asked.context("ask the runtime for its cgroup driver")? {
        Some(driver) => driver,
        None => {
            tracing::info!("the runtime does not say how it makes control groups: cgroupDriver is taken");
            config.cgroup_driver
        }
    };
    tracing::info!(?driver, "control groups");
    Ok(match driver {
        CgroupDriver::Cgroupfs => Naming::Folders,
        CgroupDriver::Systemd => Naming::Slices,
    })
}

fn cgroups(config: &KubeletConfiguration, naming: Naming, node: &NodeFacts) -> anyhow::Result<Cgroups> {
    let driver = Cgroups::driver(naming).context("start talking to systemd")?;
    let policy = GroupPolicy {
        per_qos: config.cgroups_per_qos,
        enforce_quota: config.cpu_cfs_quota,
        pids: Some(config.pod_pids_limit).filter(|limit| *limit > 0),
    };
    let groups = Cgroups::new(driver, naming, &config.cgroup_root, policy);
    let facts = node.get();
    let enforced = config.enforce_node_allocatable.iter().any(|e| e == "pods");
    let cores = facts.capacity.get("cpu").copied().unwrap_or_default();
    let memory = facts.allocatable.get("memory").copied().filter(|_| enforced);
    groups.prepare(cores, memory).context("prepare the pods' control groups")?;
    preparation::enforce(&groups, config)?;
    Ok(groups)
}

fn settings(config: &KubeletConfiguration, node_memory: Amount) -> anyhow::Result<Settings> {
    Ok(Settings {
        logs: PathBuf::from(&config.pod_logs_dir),
        log_links: PathBuf::from("/var/log/containers"),
        cluster_dns: ClusterDns { servers: config.cluster_dns.clone(), domain: config.cluster_domain.clone() },
        resolv_conf: PathBuf::from(&config.resolv_conf),
        longest_backoff: config.crash_loop_back_off.max_container_restart_period.0,
        sync_frequency: config.sync_frequency.0,
        sysctls: sysctls::Allowed::with(&config.allowed_unsafe_sysctls)?,
        seccomp_default: config.seccomp_default,
        memory: preparation::memory_rules(config, node_memory)?,
        started: k8s_openapi::jiff::Timestamp::now(),
    })
}
