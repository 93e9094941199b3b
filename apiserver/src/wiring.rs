//! From options to a running server, and down again: storage first up and last down.
//!
//! Upstream: `cmd/kube-apiserver/app/server.go`, `pkg/controlplane/instance.go`.

mod access;
mod admission;
mod aggregation;
mod audit;
mod authenticator;
mod authorizer;
mod conversion;
mod encryption;
mod fairness;
mod files;
mod hooks;
mod identity;

use crate::bootstrap::{self, Endpoint, MasterLeases, Ports, Trust};
use crate::options::{Options, Served, Serving};
use anyhow::Context as _;
use apimachinery::resources;
use apiserver_aggregator::Aggregator;
use apiserver_auth::Reviews;
use apiserver_auth::authentication::ServiceAccountTokens;
use apiserver_auth::authorization::escalation::Escalation;
use apiserver_auth::authorization::{Mode, Rbac};
use apiserver_registry::{Registry, TokenIssuer};
use apiserver_server::authorization::MayCreate;
use apiserver_server::browsers::Browsers;
use apiserver_server::connect::Kubelets;
use apiserver_server::discovery::Catalog;
use apiserver_server::document::Document;
use apiserver_server::health::Health;
use apiserver_server::serve;
use apiserver_server::server::{Parts, Server};
use apiserver_storage::{Encryption, Store, StoreConfig};
use apiserver_webhook::Means;
use component::daemon::Daemon;
use component::{Gates, Supervisor};
use conversion::Webhooks;
use hooks::Hooks;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted, as far as the kernel allows (`net.core.somaxconn`, as with Go): a client whose
/// turn does not come tries again after a second, and all nodes come at once after a restart.
const BACKLOG: u32 = 65_535;
/// How long connections may take to end once no request is under way.
const DRAIN: Duration = Duration::from_secs(10);
/// How often it is looked whether requests are still under way.
const DRAINED_YET: Duration = Duration::from_millis(20);
/// How long storage, and audit events on their way, may take to end after that.
const CLOSE: Duration = Duration::from_secs(5);
/// Wait before a bootstrap step is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Runs the server until the daemon stops.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let options = daemon.options;
    options.validate()?;
    options.metrics.apply()?;
    if options.etcd.wants_no_cache() {
        tracing::warn!("the watch cache cannot be switched off: --watch-cache=false and sizes of zero have no effect");
    }
    daemon.grace.extend(options.serving.longest_end());
    let owners = Owners {
        signal: daemon.supervisor,
        serving: Supervisor::new(),
        watches: Supervisor::new(),
        storage: Supervisor::new(),
    };
    let started = tokio::select! {
        started = start(&options, &daemon.gates, daemon.shown, &owners) => started?,
        () = owners.signal.stopping() => return Ok(()),
    };
    tracing::info!(target: "apiserver", address = %started.address, "serving securely");
    component::notify::ready();
    let server = started.server.clone();
    tokio::select! {
        () = bootstrap(started) => owners.signal.stopping().await,
        () = owners.signal.stopping() => {}
    }
    stop(&options.serving, &server, &owners).await;
    Ok(())
}

/// Who owns what. Requests under way still need storage, so each has its own end.
#[derive(Debug)]
pub struct Owners {
    /// Stops at the signal; the server is not ready from then on.
    pub signal: Supervisor,
    /// Owns connections.
    pub serving: Supervisor,
    /// Ends watches.
    pub watches: Supervisor,
    /// Owns storage, and what must live as long.
    pub storage: Supervisor,
}

/// Ends a server in order: not ready, no new requests, no requests, no storage.
async fn stop(options: &Serving, server: &Server, owners: &Owners) {
    tokio::time::sleep(options.shutdown_delay_duration.0).await;
    if options.shutdown_send_retry_after {
        server.lifecycle.refuse();
    } else {
        owners.serving.stop();
    }
    tokio::join!(end_requests(options, server), end_watches(options, server, owners));
    owners.watches.stop();
    if !owners.serving.shutdown(DRAIN).await {
        tracing::warn!("some connections did not end within {DRAIN:?}");
    }
    owners.storage.shutdown(CLOSE).await;
}

async fn end_requests(options: &Serving, server: &Server) {
    if tokio::time::timeout(options.request_timeout.0, drained(server)).await.is_err() {
        tracing::warn!("some requests did not end within {:?}", options.request_timeout.0);
    }
}

/// Watches end at once with the connections, or in their own time.
async fn end_watches(options: &Serving, server: &Server, owners: &Owners) {
    let grace = options.shutdown_watch_termination_grace_period.0;
    match grace.is_zero() {
        true if options.shutdown_send_retry_after => {}
        true => owners.watches.stop(),
        false => server.watches.end(grace).await,
    }
}

/// Waits until no request is under way; watches and tunnels do not count.
async fn drained(server: &Server) {
    while server.readonly.taken() + server.mutating.taken() > 0 {
        tokio::time::sleep(DRAINED_YET).await;
    }
}

/// A server that accepts connections, and what is left to do until it is ready.
pub struct Started {
    /// Where.
    pub address: SocketAddr,
    /// The server.
    pub server: Arc<Server>,
    trust: Trust,
    ports: Ports,
    leases: Option<MasterLeases>,
    hooks: Hooks,
    signal: Supervisor,
}

/// Opens storage, puts everything together, and starts to serve.
pub async fn start(
    options: &Options,
    gates: &Gates,
    shown: BTreeMap<String, String>,
    owners: &Owners,
) -> anyhow::Result<Started> {
    let Owners { serving, storage, .. } = owners;
    let address = SocketAddr::new(options.serving.bind_address, options.serving.secure_port);
    let listener = listen(address, options.serving.permit_port_sharing)
        .with_context(|| format!("failed to listen on {address}"))?;
    let address = listener.local_addr()?;
    let advertised = advertised(options);
    let tls = identity::tls(options, advertised).await?;
    let kubelets = Kubelets::new(files::kubelet(&options.kubelet)?).context("--kubelet-client-certificate")?;
    let encryption = encryption::encryption(&options.etcd, storage)?;
    let store = Store::open(store_config(options, encryption.clone())?, resources::builtin(), storage.clone())
        .await
        .context("etcd")?;
    let endpoint = Endpoint { address: advertised, port: address.port() };
    let leases = match options.cluster.endpoint_reconciler_type.as_str() {
        "none" => None,
        _ => Some(MasterLeases::open(store.clone(), advertised).await?),
    };
    let server_options = server_options(options, gates, shown)?;
    let (server, hooks) = assemble(options, server_options, store, encryption, endpoint, kubelets, owners)?;
    aggregation::follow(&server, hooks.first_sync.clone(), storage);
    fairness::follow(&server, storage);
    serving.spawn_until_stop("certificate reload", tls.clone().keep_current());
    serving.spawn("listener", serve::run(server.clone(), listener, tls));
    let ports = Ports { target: address.port(), node: options.cluster.kubernetes_service_node_port };
    let (trust, signal) = (files::trust(options), owners.signal.clone());
    Ok(Started { address, server, trust, ports, leases, hooks, signal })
}

fn listen(address: SocketAddr, shares_port: bool) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The connections of a server that was here before may still be closing.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shares_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn store_config(options: &Options, encryption: Option<Arc<Encryption>>) -> anyhow::Result<StoreConfig> {
    let etcd = &options.etcd;
    Ok(StoreConfig {
        servers: etcd.etcd_servers.clone(),
        prefix: etcd.etcd_prefix.clone(),
        ca: files::optional(&etcd.etcd_cafile, "etcd-cafile")?,
        identity: files::optional(&etcd.etcd_certfile, "etcd-certfile")?
            .zip(files::optional(&etcd.etcd_keyfile, "etcd-keyfile")?),
        protobuf: options.media_type()?,
        compaction_interval: etcd.etcd_compaction_interval.0,
        encryption,
        overrides: etcd.overrides()?,
    })
}

/// `--advertise-address`, the address that is bound to, or the one that leads to other machines.
fn advertised(options: &Options) -> IpAddr {
    let bound = Some(options.serving.bind_address).filter(|a| !a.is_unspecified() && !a.is_loopback());
    options.serving.advertise_address.or(bound).unwrap_or_else(outward_address)
}

fn outward_address() -> IpAddr {
    // Nothing is sent: connecting a datagram socket only chooses its source address.
    let chosen = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    chosen.map(|a| a.ip()).unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

fn assemble(
    options: &Options,
    server_options: apiserver_server::Options,
    store: Store,
    encryption: Option<Arc<Encryption>>,
    endpoint: Endpoint,
    kubelets: Kubelets,
    owners: &Owners,
) -> anyhow::Result<(Arc<Server>, Hooks)> {
    let Owners { serving, watches, storage, .. } = owners;
    let tokens = access::service_account_tokens(&options.authentication, &store)?.map(Arc::new);
    let rbac = Rbac::start(&store, storage);
    let means = Means { store: store.clone(), supervisor: serving.clone() };
    let authorizer = Arc::new(authorizer::authorizer(&options.authorization, &means, &rbac)?);
    let mut health = Health::new(store.clone(), owners.signal.clone());
    encryption::add_check(encryption, &options.etcd, &mut health);
    health.set_livez_grace(options.serving.livez_grace_period.0);
    health.set_etcd_timeouts(options.etcd.etcd_healthcheck_timeout.0, options.etcd.etcd_readycheck_timeout.0);
    let has_rbac = authorizer.modes.iter().any(|m| matches!(m, Mode::Rbac(_)));
    let hooks = Hooks::add(&mut health, has_rbac.then(|| rbac.clone()));
    let admission_metrics = Arc::<apiserver_admission::metrics::Metrics>::default();
    let chain = admission::chain(&options.admission, store.clone(), authorizer.clone(), storage, &admission_metrics)?;
    let authentication = options.authentication.with(&options.authorization);
    let authenticator = authenticator::authenticator(&authentication, tokens.clone(), &means)?;
    let authenticator = Arc::new(authenticator);
    authenticator::keep_current(&authenticator, &authentication, serving);
    let reviews = Reviews { authenticator: authenticator.clone(), authorizer: authorizer.clone() };
    let aggregator = Arc::new(Aggregator::new(store.clone(), aggregation::config(&options.cluster)?));
    let escalation = Escalation { authorizer: authorizer.clone(), rbac };
    let conversion = Webhooks::new(Means { store: store.clone(), supervisor: serving.clone() });
    let served = served(options)?;
    let discovery = Catalog::new(&served.built(), &authority(options, endpoint));
    let answers = registry_options(options, reviews, escalation, conversion, tokens.clone());
    let answers = apiserver_registry::Options { unserved: served.without, ..answers };
    let registry = Arc::new(Registry::new(store, chain, answers));
    registry.keep_service_addresses(storage);
    let recorders = Means { store: registry.store.clone(), supervisor: storage.clone() };
    let mut metrics = component::metrics::registry();
    let audit_metrics = apiserver_server::audit::Metrics::default();
    let audit = audit::audit(&options.audit, &recorders, &audit_metrics, storage)?;
    audit_metrics.register(&mut metrics);
    admission_metrics.register(&mut metrics);
    let (fairness, metrics) = fairness::new(&options.serving, metrics);
    let server = Server::new(Parts {
        registry,
        authenticator,
        authorizer,
        audit,
        options: server_options,
        discovery,
        aggregator,
        documents: tokens.map(|t| documents(options, &t, endpoint)).unwrap_or_default(),
        health,
        metrics,
        kubelets,
        fairness,
        supervisor: serving.clone(),
        watches: watches.clone(),
    });
    apiserver_server::custom::follow_definitions(&server, storage);
    Ok((server, hooks))
}

/// `--runtime-config`.
fn served(options: &Options) -> anyhow::Result<Served> {
    let served = options.apis.served(options.serving.enable_priority_and_fairness)?;
    for version in &served.unbuilt {
        tracing::warn!(version, "API {version} is known but not built; it is not served");
    }
    Ok(served)
}

fn registry_options(
    options: &Options,
    reviews: Reviews,
    escalation: Escalation,
    conversion: Webhooks,
    tokens: Option<Arc<ServiceAccountTokens>>,
) -> apiserver_registry::Options {
    apiserver_registry::Options {
        service_ranges: options.cluster.service_cluster_ip_range.clone(),
        node_ports: options.cluster.service_node_port_range.clone(),
        event_ttl: options.cluster.event_ttl.0,
        permission: Some(Arc::new(MayCreate(reviews.authorizer.clone()))),
        reviewer: Some(Arc::new(reviews)),
        token_issuer: tokens.map(|tokens| tokens as Arc<dyn TokenIssuer>),
        escalation: Some(Arc::new(escalation)),
        conversion: Some(Arc::new(conversion)),
        has_garbage_collector: options.etcd.enable_garbage_collector,
        collection_workers: options.etcd.delete_collection_workers,
        unserved: Vec::new(),
    }
}

fn server_options(
    options: &Options,
    gates: &Gates,
    shown: BTreeMap<String, String>,
) -> anyhow::Result<apiserver_server::Options> {
    let default = apiserver_server::Options::default();
    Ok(apiserver_server::Options {
        max_requests_inflight: options.serving.max_requests_inflight,
        max_mutating_requests_inflight: options.serving.max_mutating_requests_inflight,
        request_timeout: options.serving.request_timeout.0,
        min_request_timeout: Duration::from_secs(options.serving.min_request_timeout),
        goaway_chance: options.serving.goaway_chance,
        max_streams: options.serving.tls.max_streams().unwrap_or(default.max_streams),
        profiling: options.serving.profiling,
        constrained_impersonation: gates.enabled("ConstrainedImpersonation"),
        browsers: browsers(options)?,
        flags: shown,
    })
}

/// What is added to answers for browsers.
fn browsers(options: &Options) -> anyhow::Result<Browsers> {
    let strict = options.web.strict_transport();
    Browsers::new(options.web.origins()?, strict.as_deref()).context("--strict-transport-security-directives")
}

/// The name that this server goes by, with its port.
fn authority(options: &Options, endpoint: Endpoint) -> String {
    let name = options.web.external_hostname.as_str();
    let has_port = name.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match name {
        "" => {}
        name if has_port => return name.to_owned(),
        name if name.contains(':') => return format!("[{}]:{}", name.trim_matches(['[', ']']), endpoint.port),
        name => return format!("{name}:{}", endpoint.port),
    }
    SocketAddr::new(endpoint.address, endpoint.port).to_string()
}

/// What relying parties need to verify service account tokens.
fn documents(options: &Options, tokens: &ServiceAccountTokens, endpoint: Endpoint) -> BTreeMap<String, Document> {
    // OpenID knows no issuers but URLs; with others there is nothing to discover.
    if !tokens.issuer().starts_with("https://") {
        return BTreeMap::new();
    }
    let keys = options.authentication.service_account_jwks_uri.clone();
    let keys = keys.unwrap_or_else(|| format!("https://{}/openid/v1/jwks", authority(options, endpoint)));
    let configuration = json!({
        "issuer": tokens.issuer(), "jwks_uri": keys, "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": tokens.algorithms(),
    });
    BTreeMap::from([
        ("/.well-known/openid-configuration".into(), Document::json(&configuration)),
        ("/openid/v1/jwks".into(), Document::new(&tokens.key_set(), "application/jwk-set+json")),
    ])
}

/// Writes what every cluster contains; each step until it succeeds. What needs no namespace does not wait for any.
pub async fn bootstrap(started: Started) {
    let Started { server, trust, ports, leases, hooks, signal, .. } = started;
    let (registry, supervisor) = (server.registry.clone(), server.supervisor.clone());
    aggregation::register(&server, [hooks.api_services, hooks.registration]);
    let policy = async {
        if let Some((hook, rbac)) = hooks.policy {
            let store = &registry.store;
            step(&supervisor, || apiserver_auth::bootstrap::ensure_policy(store)).await;
            rbac.settle().await;
            hook.done();
        }
    };
    let objects = async {
        step(&supervisor, || bootstrap::objects(registry.clone())).await;
        hooks.objects.done();
        hooks.flow_control.done();
    };
    let authentication = async {
        step(&supervisor, || bootstrap::publish_trust(&registry, &trust)).await;
        hooks.authentication.done();
    };
    let tracking = async {
        step(&supervisor, || bootstrap::track_tokens(&registry)).await;
        hooks.token_tracking.done();
    };
    let namespaced = async {
        let namespaces = step(&supervisor, || bootstrap::namespaces(registry.clone()));
        let range = step(&supervisor, || bootstrap::ensure_service_cidr(&registry));
        tokio::join!(namespaces, range);
        hooks.namespaces.done();
        // These leave the cluster while the server still serves.
        let served = move || hooks.service.done();
        let service = bootstrap::keep_service(registry.clone(), ports, leases, signal.clone(), served);
        supervisor.spawn("kubernetes service", service);
        let identity = bootstrap::Identity::of_this_process();
        let identity = bootstrap::keep_identity(registry.clone(), identity, signal, move || hooks.identity.done());
        supervisor.spawn("identity lease", identity);
        tokio::join!(authentication, tracking);
    };
    tokio::join!(policy, objects, namespaced);
    let flow_control = bootstrap::keep_flow_control(registry.clone());
    supervisor.spawn_until_stop("flow control objects", flow_control);
    supervisor.spawn_until_stop("authentication info", bootstrap::keep_trust(registry.clone(), trust));
    supervisor.spawn_until_stop("default service range", bootstrap::keep_service_cidr(registry.clone()));
    supervisor.spawn_until_stop("legacy token tracking", bootstrap::keep_token_tracking(registry.clone()));
    supervisor.spawn_until_stop("identity lease collector", bootstrap::collect_identities(registry));
}

async fn step<E, F>(supervisor: &Supervisor, mut work: impl FnMut() -> F)
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    while let Err(error) = work().await {
        if supervisor.is_stopping() {
            return;
        }
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, cause, "bootstrap step failed, trying again");
        tokio::time::sleep(RETRY).await;
    }
}
