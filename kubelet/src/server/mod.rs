//! The kubelet's HTTPS endpoint: pods, logs, exec, attach, port-forward, metrics.
//!
//! Upstream: `pkg/kubelet/server`.

pub mod attributes;
mod debug;
pub mod log_format;
pub mod logs;
pub mod metrics;
mod node_logs;
pub mod route;
pub mod summary;
pub mod system_logs;
pub mod tunnel;

use crate::pod::PodExt;
use crate::probes::Probes;
use crate::runtime::{ContainerRecord, Runtime, RuntimeError};
use crate::stats::{Stats, StatsError};
use crate::status::StatusWriter;
use crate::workers::Workers;
use component::Supervisor;
use component::serve::{Endpoints, Request, Response, Router, router};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the endpoint answers from.
pub struct Api {
    pub workers: Workers,
    pub statuses: StatusWriter,
    pub runtime: Runtime,
    pub node: crate::node::NodeFacts,
    pub logs: PathBuf,
    pub stats: Stats,
    pub probes: Probes,
    pub supervisor: Supervisor,
}

/// Why a request about a container cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("404 page not found")]
    NoRoute,
    #[error("pod \"{0}\" does not exist")]
    NoPod(String),
    #[error("container {container} not found in pod {pod}")]
    NoContainer { container: String, pod: String },
    #[error("container \"{container}\" in pod \"{pod}\" is {state}")]
    NotStarted { container: String, pod: String, state: String },
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious { container: String, pod: String },
    #[error("{0}")]
    BadQuery(String),
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
    #[error("{0}")]
    Stats(#[from] StatsError),
    #[error("failed to open log file {path}: {source}")]
    Log { path: String, source: std::io::Error },
    #[error("the runtime's streaming server: {0}")]
    Stream(String),
    #[error("405: Method Not Allowed")]
    Method,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::NoPod(_) | Self::NoContainer { .. } => StatusCode::NOT_FOUND,
            Self::BadQuery(_) | Self::NotStarted { .. } | Self::NoPrevious { .. } => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Runtime(_) | Self::Stats(_) | Self::Log { .. } | Self::Stream(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As the answer to the request.
    pub fn response(&self) -> Response {
        router::text(self.status(), format!("{self}\n"))
    }
}

type Handler<F> = fn(Arc<Api>, Request) -> F;

/// What the port without authentication serves: nothing that changes anything or says what a pod does.
pub const READ_ONLY: &[&str] = &[
    "/healthz",
    "/healthz/",
    "/metrics",
    "/metrics/cadvisor",
    "/metrics/probes",
    "/metrics/resource",
    "/pods",
    "/pods/",
    "/stats/summary",
];
/// What `enableDebuggingHandlers` switches off.
const DEBUGGING: &[&str] = &[
    "/run/",
    "/exec/",
    "/attach/",
    "/portForward/",
    "/containerLogs/",
    "/runningpods",
    "/runningpods/",
    "/debug/pprof/",
    "/logs/",
];

/// Which paths are served beside those that always are.
#[derive(Clone, Debug)]
pub struct Switches {
    /// What is inside of pods, and the three below.
    pub debugging: bool,
    pub profiling: bool,
    pub flags: bool,
    /// The node's own logs.
    pub system_logs: bool,
    /// Questions about them.
    pub log_queries: bool,
}

/// All paths that are switched on.
pub fn routes(api: Arc<Api>, endpoints: Endpoints, switches: &Switches) -> Router {
    let router = endpoints.router();
    let router = with(router, &api, &["/pods", "/pods/"], pods);
    let router = with(router, &api, &["/stats/summary"], summary::serve);
    let router = with(router, &api, &["/metrics/resource"], summary::resource_metrics);
    let router = with(router, &api, &["/metrics/cadvisor"], summary::cadvisor_metrics);
    let router = with(router, &api, &["/metrics/probes"], summary::probe_metrics);
    if !switches.debugging {
        let refused =
            |_| std::future::ready(router::text(StatusCode::METHOD_NOT_ALLOWED, "Debug endpoints are disabled.\n"));
        return DEBUGGING.iter().fold(router, |router, path| router.route(path, refused));
    }
    let router = with(router, &api, &["/runningpods", "/runningpods/"], running_pods);
    let router = with(router, &api, &["/containerLogs/"], logs::serve);
    let router = with(router, &api, &["/exec/"], tunnel::exec);
    let router = with(router, &api, &["/attach/"], tunnel::attach);
    let router = with(router, &api, &["/portForward/"], tunnel::port_forward);
    let router = with(router, &api, &["/run/"], run);
    let router = debug::routes(router, switches.profiling, switches.flags);
    match switches.system_logs {
        true => {
            let queries = switches.log_queries;
            let serve = move |request| system_logs::serve(Path::new(system_logs::FOLDER), request, queries);
            router.route("/logs/", serve)
        }
        false => router.route("/logs/", |_| debug::disabled("logs endpoint is disabled.\n")),
    }
}

fn with<F>(mut router: Router, api: &Arc<Api>, paths: &[&str], handler: Handler<F>) -> Router
where
    F: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    for path in paths {
        let api = api.clone();
        router = router.route(path, move |request| {
            let answer = handler(api.clone(), request);
            async move { answer.await.unwrap_or_else(|e| e.response()) }
        });
    }
    router
}

async fn pods(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    if request.http.method() != Method::GET {
        return Err(ApiError::Method);
    }
    let items: Vec<Pod> = api.workers.pods().iter().map(|p| api.with_status(p)).collect();
    Ok(router::json(StatusCode::OK, &json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items })))
}

/// The pods of which a container runs.
async fn running_pods(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    if request.http.method() != Method::GET {
        return Err(ApiError::Method);
    }
    let is_running = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses));
        statuses.flatten().any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
    };
    let all = api.workers.pods();
    let items: Vec<Pod> = all.iter().map(|pod| api.with_status(pod)).filter(is_running).collect();
    Ok(router::json(StatusCode::OK, &json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items })))
}

/// Runs a command to its end and answers with what it printed.
async fn run(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let target = route::Target::parse(request.path(), "/run/").ok_or(ApiError::NoRoute)?;
    let query = request.http.uri().query().unwrap_or_default();
    let command = form_urlencoded::parse(query.as_bytes()).find(|(k, _)| k == "cmd").map(|(_, v)| v.into_owned());
    let command = command.ok_or_else(|| ApiError::BadQuery("cmd is missing".to_owned()))?;
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let (_, container) = api.container(&target).await?;
    let done = api.runtime.exec_sync(&container.id, &words, std::time::Duration::ZERO).await?;
    Ok(router::text(StatusCode::OK, done.output))
}

impl Api {
    fn with_status(&self, pod: &Pod) -> Pod {
        Pod { status: self.statuses.get(pod.uid()).or_else(|| pod.status.clone()), ..pod.clone() }
    }

    /// The pod that a request names.
    pub fn pod(&self, target: &route::Target) -> Result<Arc<Pod>, ApiError> {
        let found = self.workers.find(&target.namespace, &target.pod);
        let same = |p: &Arc<Pod>| target.uid.as_deref().is_none_or(|uid| uid == p.uid());
        found.filter(same).ok_or_else(|| ApiError::NoPod(format!("{}_{}", target.pod, target.namespace)))
    }

    /// The newest container that a request names.
    pub async fn container(&self, target: &route::Target) -> Result<(Arc<Pod>, ContainerRecord), ApiError> {
        let pod = self.pod(target)?;
        let name = target.container.as_deref().unwrap_or_default();
        let record = self.runtime.pod(pod.uid()).await?;
        match record.container(name) {
            Some(container) => Ok((pod, container.clone())),
            None => Err(ApiError::NoContainer { container: name.to_owned(), pod: target.pod.clone() }),
        }
    }
}
