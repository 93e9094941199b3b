//! `proxy` subresources of nodes, pods and services.
//!
//! Upstream: `pkg/registry/core/{node,pod,service}/rest`, `apimachinery/pkg/util/proxy`.

use super::kubelet::Address;
use super::links::Rewrite;
use super::pod::kubelet_of;
use super::{aim, cached, find, forward};
use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::response;
use apimachinery::Value;
use apimachinery::status::{Reason, Status};
use apiserver_registry::backends;
use http::header::HOST;
use http::{Method, Response, StatusCode};
use std::net::IpAddr;

/// What the server behind the proxy allows to others is not for it to say.
const CORS: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
];

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
    let target = target(exchange)?;
    cached(exchange, "nodes", "", target.name)?;
    let mut address = kubelet_of(exchange, target.name)?;
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    if target.port.is_empty() || target.port == address.port.to_string() {
        let request = aim(exchange, &path(exchange), &address.to_string(), body)?;
        let io = exchange.server.kubelets.connect(&address).await?;
        let answer = forward(exchange, request, io).await.map_err(|error| unreachable(&error.to_string()))?;
        return Ok(rewritten(exchange, &address, answer));
    }
    // Anything but the kubelet must not see this server's certificate.
    address.port = number(target.port)?;
    through(exchange, target.scheme, address, body).await
}

pub(super) async fn pod<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    let target = target(exchange)?;
    let pod = cached(exchange, "pods", exchange.info.namespace, target.name)?.value();
    let host = pod.pointer("/status/podIP").and_then(Value::as_str).and_then(|ip| ip.parse::<IpAddr>().ok());
    let host = host.filter(is_global).ok_or_else(|| Status::bad_request("address not allowed"))?.to_string();
    let port = match target.port {
        "" => first_port(&pod).unwrap_or(if target.scheme == Scheme::Https { 443 } else { 80 }),
        text => number(text)?,
    };
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    through(exchange, target.scheme, Address { host, port }, body).await
}

fn number(port: &str) -> Result<u16, Status> {
    port.parse().map_err(|_| Status::bad_request(format!("invalid port {port:?}")))
}

/// An address that a pod can have, and not one of this machine.
fn is_global(address: &IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

fn first_port(pod: &Value) -> Option<u16> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let ports = containers.iter().filter_map(|c| c.get("ports")?.as_array()).flatten();
    ports.filter_map(|p| p.get("containerPort")?.as_u64()).find_map(|p| u16::try_from(p).ok())
}

pub(super) async fn service<B: Incoming>(exchange: &Exchange<'_>, body: B) -> Result<Response<Body>, Status> {
    let target = target(exchange)?;
    if target.port.parse::<i64>().is_err() {
        // Upstream begins with the endpoints, unless it has to look a port's number up.
        apiserver_registry::check_path(find("endpoints")?, exchange.info.namespace, Some(target.name))?;
    }
    let service = cached(exchange, "services", exchange.info.namespace, target.name)?.value();
    let port = service_port(&service, &target)?;
    let slices = backends::slices(&exchange.server.registry.store, &service);
    let backends = backends::ready(&slices, port, |endpoint| is_pod(exchange, endpoint));
    if backends.is_empty() {
        return Err(Status::unavailable(format!("no endpoints available for service {:?}", exchange.info.name)));
    }
    if let Some(redirect) = redirect(exchange) {
        return Ok(redirect);
    }
    let backend = &backends[rand::random_range(0..backends.len())];
    through(exchange, target.scheme, Address { host: backend.host.clone(), port: backend.port }, body).await
}

/// The name of the port that was asked for, by number or by name.
fn service_port<'a>(service: &'a Value, target: &Target<'a>) -> Result<&'a str, Status> {
    let Ok(number) = target.port.parse::<u16>() else { return Ok(target.port) };
    backends::port_name(service, number)
        .ok_or_else(|| Status::unavailable(format!("no service port {number} found for service {:?}", target.name)))
}

/// Only pods are proxied to: endpoints may be written by users, and name any address.
fn is_pod(exchange: &Exchange<'_>, endpoint: &Value) -> bool {
    let text = |path: &str| endpoint.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let namespace = exchange.info.namespace;
    if text("/targetRef/kind") != "Pod" || text("/targetRef/namespace") != namespace {
        return false;
    }
    let Ok(pod) = cached(exchange, "pods", namespace, text("/targetRef/name")) else { return false };
    let pod = pod.value();
    let ips = pod.pointer("/status/podIPs").and_then(Value::as_array).into_iter().flatten();
    ips.filter_map(|ip| ip.get("ip")?.as_str()).any(|ip| ip == text("/addresses/0"))
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
    let answer = answer.map_err(|error| unreachable(&error.to_string()))?;
    Ok(rewritten(exchange, &address, answer))
}

/// The answer as a browser behind this server can use it.
fn rewritten(exchange: &Exchange<'_>, address: &Address, mut answer: Response<Body>) -> Response<Body> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return answer;
    }
    for name in CORS {
        answer.headers_mut().remove(*name);
    }
    let path = exchange.parts.uri.path();
    let prefix = path.strip_suffix(subpath(exchange)).unwrap_or(path).trim_end_matches('/');
    let host = exchange.parts.headers.get(HOST).and_then(|v| v.to_str().ok());
    let host = host.or_else(|| exchange.parts.uri.authority().map(|a| a.as_str())).unwrap_or_default().to_owned();
    Rewrite { prefix: prefix.to_owned(), backend: address.to_string(), host }.apply(answer)
}

fn target<'a>(exchange: &'a Exchange<'_>) -> Result<Target<'a>, Status> {
    let name = exchange.info.name.as_ref();
    Target::parse(name)
        .ok_or_else(|| Status::bad_request(format!("invalid {} request {name:?}", exchange.info.resource)))
}

/// The path after `proxy` as the client wrote it, with the query.
fn path(exchange: &Exchange<'_>) -> String {
    let rest = subpath(exchange);
    match exchange.parts.uri.query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    }
}

/// The raw path after `proxy/`: what was escaped stays escaped.
fn subpath<'a>(exchange: &'a Exchange<'_>) -> &'a str {
    let segments = if exchange.info.namespace.is_empty() { 6 } else { 8 };
    exchange.parts.uri.path().splitn(segments + 1, '/').nth(segments).unwrap_or_default()
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
    fn service_ports() {
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80}, {"name": "adm", "port": 81}]}});
        for (name, want) in [("s:80", Ok("web")), ("s:adm", Ok("adm")), ("s", Ok("")), ("s:82", Err(503))] {
            let target = Target::parse(name).expect("a target");
            assert_eq!(service_port(&service, &target).map_err(|s| s.code), want, "{name}");
        }
    }

    #[test]
    fn addresses_of_pods_only() {
        for (address, want) in [
            ("10.0.0.1", true),
            ("fd00::1", true),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_global(&address.parse().expect("an address")), want, "{address}");
        }
    }
}
