//! Subresources that are no objects: logs, exec, attach, port-forward and proxies. The bytes come
//! from a kubelet, a pod or a service, and pass through as they are.
//!
//! Upstream: `pkg/registry/core/{pod,node,service}/rest`, `pkg/registry/core/pod/strategy.go`.

mod kubelet;
mod links;
mod log;
mod options;
mod pod;
mod proxy;

pub use kubelet::{AddressType, Identity, KubeletOptions, Kubelets};

use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::request_info::RequestInfo;
use crate::resource::unknown;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apiserver_storage::Object;
use http::{HeaderValue, Request, Response, Uri};
use std::sync::Arc;
use streaming::tunnel;
use tokio::io::{AsyncRead, AsyncWrite};

/// What is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `pods/log`.
    Log,
    /// `pods/exec`.
    Exec,
    /// `pods/attach`.
    Attach,
    /// `pods/portforward`.
    PortForward,
    /// `pods/proxy`.
    PodProxy,
    /// `services/proxy`.
    ServiceProxy,
    /// `nodes/proxy`.
    NodeProxy,
}

impl Kind {
    /// The kind of connection that a request asks for, if it does.
    pub fn of(info: &RequestInfo<'_>) -> Option<Self> {
        if !info.is_resource || !info.group.is_empty() || info.version != "v1" {
            return None;
        }
        Some(match (info.resource, info.subresource) {
            ("pods", "log") => Kind::Log,
            ("pods", "exec") => Kind::Exec,
            ("pods", "attach") => Kind::Attach,
            ("pods", "portforward") => Kind::PortForward,
            ("pods", "proxy") => Kind::PodProxy,
            ("services", "proxy") => Kind::ServiceProxy,
            ("nodes", "proxy") => Kind::NodeProxy,
            _ => return None,
        })
    }

    /// Whether requests are passed on as they are.
    fn is_proxy(self) -> bool {
        matches!(self, Kind::PodProxy | Kind::ServiceProxy | Kind::NodeProxy)
    }
}

/// Serves a connection.
pub async fn serve<B: Incoming>(exchange: &Exchange<'_>, kind: Kind, body: B) -> Result<Response<Body>, Status> {
    let verb = exchange.info.verb;
    let resource = exchange.server.registry.resource("", "v1", exchange.info.resource).ok_or_else(unknown)?;
    let subresource = resource.subresource(exchange.info.subresource).ok_or_else(unknown)?;
    // Discovery cannot name OPTIONS, which has no verb; proxies pass it on all the same.
    let passed_on = exchange.parts.method == http::Method::OPTIONS && kind.is_proxy();
    let is_head = exchange.parts.method == http::Method::HEAD && !kind.is_proxy();
    if !passed_on && (is_head || !subresource.verbs.iter().any(|v| v == verb)) {
        return Err(Status::method_not_allowed());
    }
    if exchange.info.is_in_namespace && exchange.info.namespace.is_empty() {
        return Err(Status::bad_request("Namespace parameter required."));
    }
    if kind != Kind::Log && exchange.query.get("dryRun").is_some() {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    options::admit(exchange, kind, &resource, subresource).await?;
    match kind {
        Kind::Log => log::serve(exchange, body).await,
        Kind::Exec => pod::serve(exchange, pod::Stream::Exec, body).await,
        Kind::Attach => pod::serve(exchange, pod::Stream::Attach, body).await,
        Kind::PortForward => pod::serve(exchange, pod::Stream::PortForward, body).await,
        Kind::PodProxy => proxy::pod(exchange, body).await,
        Kind::ServiceProxy => proxy::service(exchange, body).await,
        Kind::NodeProxy => proxy::node(exchange, body).await,
    }
}

fn find(plural: &str) -> Result<&'static Arc<ResourceInfo>, Status> {
    resources::find("", "v1", plural).ok_or_else(unknown)
}

/// An object from the cache, or 404.
fn cached(exchange: &Exchange<'_>, plural: &str, namespace: &str, name: &str) -> Result<Arc<Object>, Status> {
    let resource = find(plural)?;
    apiserver_registry::check_path(resource, namespace, Some(name))?;
    let store = &exchange.server.registry.store;
    store
        .cached(resource, &resource.key(namespace, name))
        .ok_or_else(|| Status::not_found(&resource.group_resource(), name))
}

/// The client's request, aimed at `path` (with its query) on another server.
pub(crate) fn aim<B>(exchange: &Exchange<'_>, path: &str, host: &str, body: B) -> Result<Request<B>, Status> {
    let mut parts = exchange.parts.clone();
    parts.uri = path.parse::<Uri>().map_err(|error| Status::bad_request(error.to_string()))?;
    let host = HeaderValue::from_str(host).map_err(Status::internal)?;
    parts.headers.insert(http::header::HOST, host);
    if let Some(address) = exchange.peer.address
        && let Ok(value) = HeaderValue::from_str(&address.ip().to_string())
    {
        parts.headers.append("x-forwarded-for", value);
    }
    Ok(Request::from_parts(parts, body))
}

/// Sends a request over a fresh stream; its tunnel or body lives on the server's supervisor.
pub(crate) async fn forward<B, I>(
    exchange: &Exchange<'_>,
    request: Request<B>,
    io: I,
) -> Result<Response<Body>, tunnel::TunnelError>
where
    B: Incoming,
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let forwarded = tunnel::forward(request, io).await?;
    let place = exchange.server.metrics.long_running().take();
    exchange.server.supervisor.spawn_until_stop("tunnel", async move {
        forwarded.driver.await;
        drop(place);
    });
    let mut response = forwarded.response.map(Body::Proxied);
    tunnel::strip_hop_by_hop(response.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use http::Method;

    #[test]
    fn knows_connections() {
        for (path, want) in [
            ("/api/v1/namespaces/a/pods/b/log", Some(Kind::Log)),
            ("/api/v1/namespaces/a/pods/b/exec", Some(Kind::Exec)),
            ("/api/v1/namespaces/a/services/b/proxy/x", Some(Kind::ServiceProxy)),
            ("/api/v1/nodes/b/proxy/x", Some(Kind::NodeProxy)),
            ("/api/v1/namespaces/a/pods/b/status", None),
            ("/apis/x/v1/namespaces/a/pods/b/exec", None),
        ] {
            let query = Query::default();
            let info = RequestInfo::parse(&Method::GET, path, &query).expect("a path");
            assert_eq!(Kind::of(&info), want, "{path}");
        }
    }
}
