//! `proxy` subresources of nodes, pods and services.
//!
//! Upstream: `pkg/registry/core/{node,pod,service}/rest`, `apimachinery/pkg/util/proxy`.

use super::kubelet::Address;
use super::pod::kubelet_of;
use super::{aim, cached, forward};
use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::response;
use apimachinery::Value;
use apimachinery::resources;
use apimachinery::status::{Reason, Status};
use http::{Method, Response, StatusCode};

/// Whether the server behind the proxy is spoken to over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// `[scheme:]name[:port]`.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    scheme: Scheme,
    name: &'a str,
    port: &'a str,
}

impl<'a> Target<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let scheme = |s: &str| match s {
            "http" | "" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        };
        let parts: Vec<&str> = text.split(':').collect();
        Some(match parts.as_slice() {
            [name] => Self { scheme: Scheme::Http, name, port: "" },
            [name, port] => Self { scheme: Scheme::Http, name, port },
            [s, name, port] => Self { scheme: scheme(s)?, name, port },
            _ => return None,
        })
    }
}

pub(super) async fn node<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    let target = target(exchange)?;
    let mut address = kubelet_of(exchange, target.name)?;
    if let Ok(port) = target.port.parse() {
        address.port = port;
    }
    let request = aim(exchange, &path(exchange), &address.to_string(), body)?;
    let io = exchange.server.kubelets.connect(&address).await?;
    forward(exchange, request, io).await.map_err(|error| unreachable(&error.to_string()))
}

pub(super) async fn pod<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    let target = target(exchange)?;
    let pod = cached(exchange, "pods", exchange.info.namespace, target.name)?.value();
    let host = pod.pointer("/status/podIP").and_then(Value::as_str).filter(|ip| !ip.is_empty());
    let host = host.ok_or_else(|| Status::bad_request("address not allowed"))?.to_owned();
    let port = match target.port {
        "" => first_port(&pod).unwrap_or(if target.scheme == Scheme::Https { 443 } else { 80 }),
        text => text.parse().map_err(|_| Status::bad_request(format!("invalid port {text:?}")))?,
    };
    through(exchange, target.scheme, Address { host, port }, body).await
}

fn first_port(pod: &Value) -> Option<u16> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let ports = containers.iter().filter_map(|c| c.get("ports")?.as_array()).flatten();
    ports.filter_map(|p| p.get("containerPort")?.as_u64()).find_map(|p| u16::try_from(p).ok())
}

pub(super) async fn service<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    let target = target(exchange)?;
    let namespace = exchange.info.namespace;
    let service = cached(exchange, "services", namespace, target.name)?.value();
    let missing = || Status::unavailable(format!("no endpoints available for service {:?}", target.name));
    let port = port_name(&service, target.port).ok_or_else(|| {
        Status::unavailable(format!("no service port {:?} found for service {:?}", target.port, target.name))
    })?;
    let slices = resources::find("discovery.k8s.io", "v1", "endpointslices").ok_or_else(missing)?;
    let slices = exchange.server.registry.store.cached_list(slices, Some(namespace));
    let of_service = slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some(target.name));
    let addresses: Vec<Address> = of_service.flat_map(|s| endpoints(&s.value(), port)).collect();
    if addresses.is_empty() {
        return Err(missing());
    }
    let address = addresses[rand::random_range(0..addresses.len())].clone();
    through(exchange, target.scheme, address, body).await
}

/// The name of the service port that was asked for by name or number; the only one if none was.
fn port_name<'a>(service: &'a Value, asked: &str) -> Option<&'a str> {
    let ports = service.pointer("/spec/ports")?.as_array()?;
    let name = |p: &'a Value| p.get("name").and_then(Value::as_str).unwrap_or_default();
    let port = match asked {
        "" if ports.len() == 1 => ports.first(),
        _ => ports.iter().find(|p| {
            name(p) == asked || p.get("port").and_then(Value::as_u64).is_some_and(|n| n.to_string() == asked)
        }),
    };
    port.map(name)
}

/// The ready addresses of a slice, with the number of the named port.
fn endpoints(slice: &Value, port: &str) -> Vec<Address> {
    let named = |p: &&Value| p.get("name").and_then(Value::as_str).unwrap_or_default() == port;
    let ports = slice.get("ports").and_then(Value::as_array);
    let port = ports.into_iter().flatten().find(named).and_then(|p| u16::try_from(p.get("port")?.as_u64()?).ok());
    let Some(port) = port else { return Vec::new() };
    let ready = |e: &&Value| e.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
    let all = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten().filter(ready);
    let first = |e: &Value| e.get("addresses")?.as_array()?.first()?.as_str().map(str::to_owned);
    all.filter_map(first).map(|host| Address { host, port }).collect()
}

async fn through<B: Incoming>(
    exchange: &Exchange<'_>,
    scheme: Scheme,
    address: Address,
    body: B,
) -> Result<Response<Body>, Status> {
    let request = aim(exchange, &path(exchange), &address.to_string(), body)?;
    let kubelets = &exchange.server.kubelets;
    let fail = |why: String| unreachable(&format!("dial tcp {address}: {why}"));
    let answer = match scheme {
        Scheme::Http => forward(exchange, request, kubelets.tcp(&address).await.map_err(fail)?).await,
        Scheme::Https => forward(exchange, request, kubelets.connect_any(&address).await.map_err(fail)?).await,
    };
    answer.map_err(|error| unreachable(&error.to_string()))
}

fn target<'a>(exchange: &'a Exchange<'_>) -> Result<Target<'a>, Status> {
    let name = exchange.info.name.as_ref();
    Target::parse(name)
        .ok_or_else(|| Status::bad_request(format!("invalid {} request {name:?}", exchange.info.resource)))
}

/// The path after `proxy` as the client wrote it, with the query.
fn path(exchange: &Exchange<'_>) -> String {
    // The raw path: what was escaped stays escaped.
    let raw = exchange.parts.uri.path();
    let segments = if exchange.info.namespace.is_empty() { 6 } else { 8 };
    let rest: Vec<&str> = raw.splitn(segments + 1, '/').collect();
    let rest = rest.get(segments).copied().unwrap_or_default();
    match exchange.parts.uri.query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    }
}

/// Relative links need the slash: `…/proxy` leads to `…/proxy/`.
fn redirect(exchange: &Exchange<'_>) -> Option<Response<Body>> {
    let get = matches!(exchange.parts.method, Method::GET | Method::HEAD);
    let upgrade = streaming::tunnel::wants_upgrade(&exchange.parts.headers);
    if !get || upgrade || !exchange.info.subpath().is_empty() {
        return None;
    }
    let query = exchange.parts.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let to = format!("{}/{query}", exchange.parts.uri.path());
    Some(response::redirect(StatusCode::MOVED_PERMANENTLY, &to))
}

fn unreachable(why: &str) -> Status {
    Status::plain(503, Reason::ServiceUnavailable, format!("error trying to reach service: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets() {
        for (text, want) in [
            ("a", Some((Scheme::Http, "a", ""))),
            ("a:80", Some((Scheme::Http, "a", "80"))),
            ("https:a:web", Some((Scheme::Https, "a", "web"))),
            ("https:a:", Some((Scheme::Https, "a", ""))),
            ("ftp:a:1", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(Target::parse(text).map(|t| (t.scheme, t.name, t.port)), want, "{text}");
        }
    }

    #[test]
    fn service_ports_and_endpoints() {
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80}, {"name": "adm", "port": 81}]}});
        assert_eq!(port_name(&service, "80"), Some("web"));
        assert_eq!(port_name(&service, "adm"), Some("adm"));
        assert_eq!(port_name(&service, ""), None);
        let slice = json!({
            "ports": [{"name": "web", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            ],
        });
        let found: Vec<String> = endpoints(&slice, "web").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:8080"]);
        assert!(endpoints(&slice, "adm").is_empty());
    }
}
