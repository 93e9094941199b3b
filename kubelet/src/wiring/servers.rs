//! What the kubelet serves, to whom, and with which certificate.

use super::Kubelet;
use crate::config::{self, AuthorizationMode};
use crate::credentials::metrics::Metrics;
use crate::credentials::serving::{self, Serving};
use crate::credentials::store::Store;
use crate::csi::metrics::VolumeMetrics;
use crate::eviction::measure::Folders;
use crate::metrics::census::Census;
use crate::placement::metrics::PlacementMetrics;
use crate::server::metrics::{Port, Requests};
use crate::server::{self, Api, attributes};
use crate::stats::{self, Stats};
use component::Supervisor;
use component::metrics::Registry;
use component::serve::{
    Access, ClientAuthority, Delegated, Endpoints, FrontAuthority, Health, Policy, Protocol, Router, Server,
    ServerIdentity, Tls, tls,
};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Kubelet {
    /// Listens where it is told to, and serves.
    pub(super) async fn start_servers(
        &self,
        supervisor: &Supervisor,
        shown: BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let health = Health::new();
        let pleg = self.pleg.clone();
        health.add("syncloop", move || pleg.problem().map_or(Ok(()), Err));
        if self.config.healthz_port != 0 {
            let server = Server::bind((self.config.healthz_bind_address, self.config.healthz_port).into()).await?;
            let checks = health.clone();
            let router =
                Router::new().get("/healthz", move |r| checks.answer("healthz", None, r.query("verbose").is_some()));
            supervisor.spawn("healthz", server.run(Protocol::Plain, router, Access::Open, supervisor.clone()));
        }
        if !self.config.enable_server {
            return Ok(());
        }
        let mut endpoints = Endpoints::new("kubelet");
        endpoints.healthz = health;
        endpoints.configz = Some(("kubeletconfig", component::kinds::show(&self.config.shown(), &config::KIND)));
        endpoints.flags = shown;
        endpoints.registry.register_collector(Box::new(VolumeMetrics(self.csi.clone())));
        self.deps.runtime.metrics().register(&mut endpoints.registry, &self.deps.node.name());
        endpoints.registry.register_collector(Box::new(Census(self.workers.clone())));
        self.deps.statuses.register(&mut endpoints.registry);
        self.deps.cgroups.register(&mut endpoints.registry);
        self.shutdown.register(&mut endpoints.registry);
        self.providers.register(&mut endpoints.registry);
        self.deps.devices.counts().register(&mut endpoints.registry);
        self.deps.dra.register(&mut endpoints.registry);
        self.csi.calls().register(&mut endpoints.registry);
        self.csi.work().register(&mut endpoints.registry);
        self.startup.register(&mut endpoints.registry);
        if let Some((store, counts)) = &self.certificate {
            counts.register(&mut endpoints.registry, store.clone());
        }
        self.start_serving_certificate(supervisor, &mut endpoints.registry);
        endpoints.registry.register_collector(Box::new(PlacementMetrics(self.deps.placement.clone())));
        let switches = server::Switches {
            debugging: self.config.enable_debugging_handlers,
            profiling: self.config.enable_profiling_handler,
            flags: self.config.enable_debug_flags_handler,
            system_logs: self.config.enable_system_log_handler,
            log_queries: self.config.enable_system_log_query,
        };
        let requests = Requests::default();
        requests.register(&mut endpoints.registry);
        if let Some(access) = &self.access {
            access.register(&mut endpoints.registry);
        }
        let router = server::routes(Arc::new(self.api(supervisor)), endpoints, &switches);
        if self.config.read_only_port != 0 {
            let server = Server::bind((self.config.address, self.config.read_only_port).into()).await?;
            let router = requests.watch(router.only(server::READ_ONLY), Port::ReadOnly);
            supervisor.spawn("read-only", server.run(Protocol::Plain, router, Access::Open, supervisor.clone()));
        }
        let tls = Tls::open(tls::Settings {
            identity: self.identity(),
            named: Vec::new(),
            authority: self.client_authority(),
            front: FrontAuthority::None,
            offer: self.config.tls_offer()?,
            http2: true,
        });
        let tls = tls.await?;
        let server = Server::bind((self.config.address, self.config.port).into()).await?;
        supervisor.spawn_until_stop("certificate reload", tls.clone().keep_current());
        let router = requests.watch(router, Port::Guarded);
        let access = Access::Delegated(Arc::new(self.delegated()));
        supervisor.spawn("server", server.run(Protocol::Tls(tls), router, access, supervisor.clone()));
        Ok(())
    }

    fn api(&self, supervisor: &Supervisor) -> Api {
        Api {
            workers: self.workers.clone(),
            statuses: self.deps.statuses.clone(),
            runtime: self.deps.runtime.clone(),
            node: self.deps.node.clone(),
            logs: self.deps.settings.logs.clone(),
            stats: self.stats(),
            probes: self.deps.probes.clone(),
            supervisor: supervisor.clone(),
        }
    }

    fn stats(&self) -> Stats {
        Stats::new(stats::Sources {
            workers: self.workers.clone(),
            statuses: self.deps.statuses.clone(),
            runtime: self.deps.runtime.clone(),
            node: self.deps.node.clone(),
            cgroups: self.deps.cgroups.clone(),
            csi: self.csi.clone(),
            folders: Folders { root: self.options.root_dir.clone(), logs: self.deps.settings.logs.clone() },
            fresh: self.config.stats_lifetime(),
        })
    }

    fn identity(&self) -> ServerIdentity {
        if self.config.server_tls_bootstrap {
            let (certificate, key) = (&self.config.tls_cert_file, &self.config.tls_private_key_file);
            let until = (!certificate.is_empty()).then(|| (certificate.into(), key.into()));
            return ServerIdentity::Later { file: self.serving_store().current(), until };
        }
        if self.config.tls_cert_file.is_empty() {
            return ServerIdentity::SelfSigned { host: self.deps.node.name() };
        }
        let (certificate, key) = (&self.config.tls_cert_file, &self.config.tls_private_key_file);
        ServerIdentity::Files { certificate: certificate.into(), key: key.into() }
    }

    fn serving_store(&self) -> Store {
        Store::new(&self.options.cert_dir, "kubelet-server")
    }

    /// Asks for the certificate to serve with, if that is wanted and there is somebody to ask.
    fn start_serving_certificate(&self, supervisor: &Supervisor, registry: &mut Registry) {
        let Some(client) = self.client.clone().filter(|_| self.config.server_tls_bootstrap) else { return };
        let facts = self.deps.node.get();
        let metrics = Metrics::default();
        metrics.register(registry, self.serving_store());
        let names = serving::names(&facts.name, &facts.host_ips);
        let serving = Serving { client, store: self.serving_store(), node: facts.name, names, metrics };
        supervisor.spawn_until_stop("serving-certificate", serving.run());
    }

    fn client_authority(&self) -> ClientAuthority {
        match self.config.authentication.x509.client_ca_file.as_str() {
            "" => ClientAuthority::None,
            file => ClientAuthority::File(file.into()),
        }
    }

    fn delegated(&self) -> Delegated {
        let node = self.deps.node.name();
        let policy = Policy {
            always_allow: Vec::new(),
            anonymous: self.config.authentication.anonymous.enabled,
            authorize: self.config.authorization.mode == AuthorizationMode::Webhook,
            attributes: Arc::new(move |parts| attributes::of(parts, &node)),
        };
        let tokens = self.client.clone().filter(|_| self.config.authentication.webhook.enabled);
        Delegated::new(tokens, self.client.clone(), policy)
    }
}
