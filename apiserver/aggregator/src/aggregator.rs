//! The routes of the moment, and the task that keeps them, their conditions and what they serve.

use crate::availability::{self, Verdict};
use crate::discovery::{self, RemoteVersion, Swagger};
use crate::routes::{Route, Routes};
use crate::service::{ApiService, text};
use crate::transport::{Answer, Credentials, TransportError};
use crate::write::{self, api_services};
use apimachinery::Value;
use apimachinery::openapi;
use apimachinery::resources;
use apimachinery::status::{Reason, Status};
use apiserver_registry::Registry;
use apiserver_registry::backends::{self, Backend, BackendError, Routing};
use apiserver_storage::{Event, Object, StorageError, Store, Watch, WatchQuery};
use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::{join_all, select_ok};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Time between looks at servers that answer.
const HEALTHY: Duration = Duration::from_secs(30);
/// And at those that do not.
const FAILING: Duration = Duration::from_secs(2);
/// Wait before a watch that ended is started again, and between bursts of changes.
const PAUSE: Duration = Duration::from_millis(100);
/// Servers of one Service that are asked at a time, as upstream.
const ATTEMPTS: usize = 5;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `--proxy-client-cert-file` and `--proxy-client-key-file`.
    pub credentials: Credentials,
    /// `--enable-aggregator-routing`.
    pub routing: Routing,
    /// `--aggregator-reject-forwarding-redirect`.
    pub reject_redirects: bool,
}

/// The kinds of objects that routes depend on.
#[derive(Clone, Copy)]
enum Followed {
    ApiService,
    Service,
    Slice,
}

impl Followed {
    /// Resolves when an object that matters to these routes changes, or the watch ends.
    async fn changed(self, mut watch: Watch, routes: &Routes) {
        while let Ok(event) = watch.next().await {
            match event {
                Event::Change { object, .. } if self.matters(&object, routes) => return,
                _ => {}
            }
        }
    }

    fn matters(self, object: &Object, routes: &Routes) -> bool {
        let leads_to = |service: Option<&str>| {
            routes.all().any(|r| r.backend.namespace == object.namespace() && Some(&*r.backend.name) == service)
        };
        match self {
            Followed::ApiService => {
                let is_remote = ApiService::of(&object.value()).backend.is_some();
                is_remote || routes.all().any(|r| r.service.name == object.name())
            }
            Followed::Service => leads_to(Some(object.name())),
            Followed::Slice => leads_to(object.label("kubernetes.io/service-name")),
        }
    }
}

/// Knows what is served elsewhere.
#[derive(Debug)]
pub struct Aggregator {
    store: Store,
    routes: ArcSwap<Routes>,
    credentials: ArcSwap<Credentials>,
    routing: Routing,
    /// Whether redirects of aggregated servers are kept from clients.
    pub reject_redirects: bool,
}

impl Aggregator {
    /// Without routes until it runs.
    pub fn new(store: Store, config: Config) -> Self {
        Self {
            store,
            routes: ArcSwap::default(),
            credentials: ArcSwap::from_pointee(config.credentials),
            routing: config.routing,
            reject_redirects: config.reject_redirects,
        }
    }

    /// The route of a request path, if another server answers it: resources, discovery and the
    /// OpenAPI v3 document of its group versions.
    pub fn route(&self, path: &str) -> Option<Arc<Route>> {
        let routes = self.routes.load();
        if routes.is_empty() {
            return None;
        }
        routes.find(path.strip_prefix("/openapi/v3").unwrap_or(path)).cloned()
    }

    /// The routes of all versions.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.routes.load().all().cloned().collect()
    }

    /// Replaces who this server is to others; takes effect with the next look at the routes.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.credentials.store(Arc::new(credentials));
    }

    /// The servers of a route, in an order to be tried in.
    pub fn backends(&self, route: &Route) -> Result<Vec<Backend>, BackendError> {
        let to = &route.backend;
        backends::resolve(&self.store, &to.namespace, &to.name, to.port, self.routing)
    }

    /// A connection to a server of a route.
    pub async fn connect(&self, route: &Route, backend: &Backend) -> Result<TlsStream<TcpStream>, TransportError> {
        route.connector.connect(backend).await
    }

    /// Asks a server of a route for a document, with the aggregator's own identity.
    pub async fn get(&self, route: &Route, path: &str, accept: &str) -> Result<Value, TransportError> {
        let answer = self.ask(route, path, accept).await?;
        match answer.status {
            StatusCode::OK => parse(&answer),
            status => Err(TransportError::Http(format!("bad status from {path}: {}", status.as_u16()))),
        }
    }

    /// Follows `APIService`s, their Services and endpoints. `publish` is told what is served
    /// elsewhere whenever that changes, and `routed` once, when the servers that are known at the start have
    /// routes. Never ends by itself.
    pub async fn run(
        &self,
        registry: &Registry,
        routed: impl FnOnce(),
        mut publish: impl FnMut(&[Arc<RemoteVersion>]),
    ) {
        let mut routed = Some(routed);
        let mut known: Vec<Arc<RemoteVersion>> = Vec::new();
        loop {
            let since = self.store.revision();
            self.reload();
            routed.take().into_iter().for_each(|routed| routed());
            let changes = self.changes(since);
            let found = self.look(registry, &known).await;
            if found != known {
                publish(&found);
                known = found;
            }
            let pause = match (known.is_empty(), known.iter().all(|k| k.freshness == discovery::Freshness::Current)) {
                (true, _) => Duration::MAX,
                (false, true) => HEALTHY,
                (false, false) => FAILING,
            };
            match changes {
                Ok(changes) => drop(tokio::time::timeout(pause, changes).await),
                Err(error) => tracing::debug!(%error, "watch of API services"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes the routes that the `APIService`s of the moment ask for.
    fn reload(&self) {
        let Some(resource) = api_services() else { return };
        let services = self.store.cached_list(resource, None).iter().map(|o| ApiService::of(&o.value())).collect();
        let routes = Routes::new(services, &self.routes.load(), &self.credentials.load());
        self.routes.store(Arc::new(routes));
    }

    /// Resolves when something changes after a revision that routes depend on.
    fn changes(&self, since: u64) -> Result<impl Future<Output = ()> + use<>, StorageError> {
        let routes = self.routes.load_full();
        let mut followed = vec![(Followed::ApiService, api_services())];
        if !routes.is_empty() {
            followed.push((Followed::Service, resources::find("", "v1", "services")));
            followed.push((Followed::Slice, resources::find("discovery.k8s.io", "v1", "endpointslices")));
        }
        let mut watches = Vec::new();
        for (what, resource) in followed {
            let Some(resource) = resource else { continue };
            let query = WatchQuery { from: Some(since.max(1)), ..WatchQuery::default() };
            // A watch from a revision waits for nothing.
            if let Some(watch) = self.store.watch(resource, &query).now_or_never() {
                watches.push((what, watch?));
            }
        }
        Ok(async move {
            let each = watches.into_iter().map(|(what, watch)| what.changed(watch, &routes).boxed());
            futures::future::select_all(each).await;
        })
    }

    /// Asks every server, writes conditions, and answers what they serve.
    async fn look(&self, registry: &Registry, known: &[Arc<RemoteVersion>]) -> Vec<Arc<RemoteVersion>> {
        let routes = self.routes();
        let one = |route: Arc<Route>| async move {
            let service = &route.service;
            let before = known.iter().find(|k| k.group == service.group && k.version == service.version);
            let before = before.map(|before| &**before);
            let verdict = self.judge(&route).await;
            route.answers.store(verdict == Verdict::Passed, Ordering::Relaxed);
            if let Err(status) = self.write(registry, service, &verdict).await {
                tracing::debug!(name = service.name, %status, "condition of an API service");
            }
            let found = match verdict {
                Verdict::Passed => self.discover(&route, before).await,
                Verdict::Failed { .. } => None,
            };
            Arc::new(found.unwrap_or_else(|| RemoteVersion::stale(service, before)))
        };
        let mut found = join_all(routes.into_iter().map(one)).await;
        found.sort_by(|a, b| (&a.group, &a.version).cmp(&(&b.group, &b.version)));
        found
    }

    async fn judge(&self, route: &Route) -> Verdict {
        let to = &route.backend;
        let service = resources::find("", "v1", "services")
            .and_then(|r| self.store.cached(r, &r.key(&to.namespace, &to.name)))
            .map(|o| o.value());
        let slices = service.as_ref().map(|s| backends::slices(&self.store, s)).unwrap_or_default();
        if let Some(verdict) = availability::unreachable(to, service.as_ref(), &slices) {
            return verdict;
        }
        match self.check(route).await {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::discovery(why),
        }
    }

    /// Some server of the route answers its discovery document.
    async fn check(&self, route: &Route) -> Result<(), String> {
        let path = route.service.path();
        let backends = self.backends(route).map_err(|e| e.to_string())?;
        let attempts = backends.iter().take(ATTEMPTS).map(|backend| {
            let url = format!("https://{backend}{path}");
            let path = &path;
            async move {
                match route.connector.get(backend, path, &[(ACCEPT, "application/json")]).await {
                    Err(error) => Err(format!("failing or missing response from {url}: Get {url:?}: {error}")),
                    Ok(answer) if answer.status.is_success() => Ok(()),
                    Ok(answer) => {
                        let status = answer.status.as_u16();
                        Err(format!("failing or missing response from {url}: bad status from {url}: {status}"))
                    }
                }
            }
            .boxed()
        });
        select_ok(attempts).await.map(drop)
    }

    async fn ask(&self, route: &Route, path: &str, accept: &str) -> Result<Answer, TransportError> {
        self.ask_with(route, path, &[(ACCEPT, accept)]).await
    }

    async fn ask_with(
        &self,
        route: &Route,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer, TransportError> {
        let backends = self.backends(route).map_err(|e| TransportError::Http(e.to_string()))?;
        let Some(backend) = backends.first() else {
            return Err(TransportError::Http("no endpoints".into()));
        };
        route.connector.get(backend, path, headers).await
    }

    /// What the server says it serves: the aggregated form, or the legacy one from older servers.
    async fn discover(&self, route: &Route, before: Option<&RemoteVersion>) -> Option<RemoteVersion> {
        let service = &route.service;
        let answer = self.ask(route, "/apis", discovery::ACCEPT).await.ok()?;
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let resources = match answer.status == StatusCode::OK && discovery::is_aggregated(content_type) {
            true => discovery::from_aggregated(&parse(&answer).ok()?, service),
            false => discovery::from_legacy(&self.get(route, &service.path(), "application/json").await.ok()?),
        };
        let index = self.get(route, "/openapi/v3", "application/json").await.unwrap_or_default();
        let path = service.path();
        let document = index.get("paths").and_then(|p| p.get(path.trim_start_matches('/')));
        let openapi = document.map(|d| text(d, "serverRelativeURL").to_owned()).unwrap_or_default();
        let swagger = self.swagger(route, before.and_then(|before| before.swagger.clone())).await;
        Some(RemoteVersion::current(service, resources, openapi, swagger))
    }

    /// What the server's OpenAPI v2 document says of the version; what it said before if it has not
    /// changed or cannot be had, and nothing if there is none.
    async fn swagger(&self, route: &Route, before: Option<Arc<Swagger>>) -> Option<Arc<Swagger>> {
        let tag = before.as_ref().map(|before| before.tag.clone()).unwrap_or_default();
        let mut headers = vec![(ACCEPT, "application/json")];
        headers.extend((!tag.is_empty()).then_some((IF_NONE_MATCH, tag.as_str())));
        let Ok(answer) = self.ask_with(route, "/openapi/v2", &headers).await else { return before };
        match answer.status {
            StatusCode::NOT_FOUND => None,
            StatusCode::OK => {
                let Ok(whole) = parse(&answer) else { return before };
                let prefix = format!("{}/", route.service.path());
                let document = openapi::filter_paths(&whole, |path| path.starts_with(&prefix));
                let tag = answer.headers.get(ETAG).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
                Some(Arc::new(Swagger { tag, document }))
            }
            _ => before,
        }
    }

    async fn write(&self, registry: &Registry, service: &ApiService, verdict: &Verdict) -> Result<(), Status> {
        let Some(resource) = api_services() else { return Ok(()) };
        let Some(object) = self.store.cached(resource, &resource.key("", &service.name)) else { return Ok(()) };
        let mut value = object.value();
        if !availability::record(&mut value, verdict) {
            return Ok(());
        }
        tracing::info!(name = service.name, ?verdict, "API service");
        match registry.update(&write::status_context(&service.name)?, write::body(&value)).await {
            Ok(_) => Ok(()),
            // Somebody else was faster; the change is looked at anyway.
            Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
            Err(status) => Err(status),
        }
    }
}

fn parse(answer: &Answer) -> Result<Value, TransportError> {
    serde_json::from_slice(&answer.body).map_err(|e| TransportError::Http(e.to_string()))
}
