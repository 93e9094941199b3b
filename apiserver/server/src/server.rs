//! Everything that requests need, in one place.

use crate::audit::Audit;
use crate::browsers::Browsers;
use crate::connect::Kubelets;
use crate::discovery::Catalog;
use crate::document::Document;
use crate::health::Health;
use crate::impersonation::Impersonation;
use crate::inflight::Places;
use crate::lifecycle::{Lifecycle, Watches};
use crate::metrics::Metrics;
use apiserver_aggregator::Aggregator;
use apiserver_auth::{Authenticator, Authorizer};
use apiserver_fairness::Fairness;
use apiserver_registry::Registry;
use component::Supervisor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--max-requests-inflight`; 0 is no limit.
    pub max_requests_inflight: usize,
    /// `--max-mutating-requests-inflight`; 0 is no limit.
    pub max_mutating_requests_inflight: usize,
    /// `--request-timeout`: longest time that a request may ask for, and get by default.
    pub request_timeout: Duration,
    /// `--min-request-timeout`: watches live between this and twice this, unless they ask for less.
    pub min_request_timeout: Duration,
    /// `--goaway-chance`: how probably an HTTP/2 request is the last that its connection takes.
    pub goaway_chance: f64,
    /// `--http2-max-streams-per-connection`.
    pub max_streams: u32,
    /// `--profiling`: whether `/debug/pprof` and `/debug/flags` are served.
    pub profiling: bool,
    /// The gate `ConstrainedImpersonation`.
    pub constrained_impersonation: bool,
    /// What is added to answers for browsers.
    pub browsers: Browsers,
    /// All flags with their values, for `/flagz`.
    pub flags: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            request_timeout: Duration::from_secs(60),
            min_request_timeout: Duration::from_secs(1800),
            goaway_chance: 0.0,
            max_streams: 100,
            profiling: true,
            constrained_impersonation: true,
            browsers: Browsers::default(),
            flags: BTreeMap::new(),
        }
    }
}

/// One apiserver. Shared by all connections.
#[derive(Debug)]
pub struct Server {
    /// The resources.
    pub registry: Arc<Registry>,
    /// Who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Whether they may.
    pub authorizer: Arc<Authorizer>,
    /// Who may act as whom.
    pub impersonation: Impersonation,
    /// What is written down of it, if anything.
    pub audit: Option<Arc<Audit>>,
    /// Limits.
    pub options: Options,
    /// Discovery.
    pub discovery: Catalog,
    /// What other API servers serve behind this one.
    pub aggregator: Arc<Aggregator>,
    /// Documents by path that others make: OpenID configuration and keys.
    pub documents: BTreeMap<String, Document>,
    /// The checks.
    pub health: Health,
    /// Whether new requests are still served.
    pub lifecycle: Lifecycle,
    /// The watches that run.
    pub watches: Watches,
    /// The metrics.
    pub metrics: Metrics,
    /// The way to the nodes.
    pub kubelets: Kubelets,
    /// Owns connections and tunnels.
    pub supervisor: Supervisor,
    /// `--enable-priority-and-fairness`: who waits when there is too much to do; without it, the
    /// places below are all there is.
    pub fairness: Option<Arc<Fairness>>,
    /// Places for requests that change nothing.
    pub readonly: Places,
    /// Places for requests that do.
    pub mutating: Places,
}

/// The parts of a [`Server`] that others make.
#[derive(Debug)]
pub struct Parts {
    /// The resources.
    pub registry: Arc<Registry>,
    /// Who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Whether they may.
    pub authorizer: Arc<Authorizer>,
    /// What is written down of it, if anything.
    pub audit: Option<Arc<Audit>>,
    /// Limits.
    pub options: Options,
    /// Discovery.
    pub discovery: Catalog,
    /// What other API servers serve behind this one.
    pub aggregator: Arc<Aggregator>,
    /// Documents by path.
    pub documents: BTreeMap<String, Document>,
    /// The checks.
    pub health: Health,
    /// Metrics of other crates, to be served with the server's own.
    pub metrics: prometheus_client::registry::Registry,
    /// The way to the nodes.
    pub kubelets: Kubelets,
    /// Priority and fairness, if enabled.
    pub fairness: Option<Arc<Fairness>>,
    /// Owns connections and tunnels.
    pub supervisor: Supervisor,
    /// Ends all watches.
    pub watches: Supervisor,
}

impl Server {
    /// Puts a server together.
    pub fn new(mut parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            impersonation: match parts.options.constrained_impersonation {
                true => Impersonation::new(parts.authorizer.clone(), &mut parts.metrics),
                false => Impersonation::unconstrained(parts.authorizer.clone(), &mut parts.metrics),
            },
            readonly: Places::new(parts.options.max_requests_inflight),
            mutating: Places::new(parts.options.max_mutating_requests_inflight),
            registry: parts.registry,
            authenticator: parts.authenticator,
            authorizer: parts.authorizer,
            audit: parts.audit,
            options: parts.options,
            discovery: parts.discovery,
            aggregator: parts.aggregator,
            documents: parts.documents,
            health: parts.health,
            lifecycle: Lifecycle::default(),
            watches: Watches::new(parts.watches),
            metrics: Metrics::new(parts.metrics),
            kubelets: parts.kubelets,
            fairness: parts.fairness,
            supervisor: parts.supervisor,
        })
    }
}
