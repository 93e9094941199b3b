//! The ports on which load balancers ask whether this node has endpoints of a Service
//! (`healthCheckNodePort`).
//!
//! Upstream: `pkg/proxy/healthcheck/service_health.go`.

use crate::health::Health;
use crate::model::{Family, Plan};
use client::Recorder;
use component::Supervisor;
use component::serve::{Access, Protocol, Response, Router, Server, router};
use http::{HeaderValue, StatusCode};
use k8s_openapi::api::core::v1::ObjectReference;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Namespace and name.
type ServiceName = (String, String);

/// The servers of one family.
#[derive(Debug)]
pub struct ServiceHealth {
    family: Family,
    node_name: String,
    addresses: Vec<IpAddr>,
    health: Arc<Health>,
    recorder: Option<Recorder>,
    supervisor: Supervisor,
    open: BTreeMap<ServiceName, Open>,
}

#[derive(Debug)]
struct Open {
    port: u16,
    endpoints: Arc<AtomicUsize>,
    servers: Supervisor,
}

/// What a Service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    port: u16,
    endpoints: usize,
}

impl ServiceHealth {
    /// No servers yet. They listen on these addresses of the node; `None` is every one.
    pub fn new(
        family: Family,
        node_name: String,
        addresses: Option<Vec<IpAddr>>,
        health: Arc<Health>,
        recorder: Option<Recorder>,
        supervisor: Supervisor,
    ) -> Self {
        let everywhere = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let addresses = addresses.unwrap_or_else(|| vec![everywhere]);
        Self { family, node_name, addresses, health, recorder, supervisor, open: BTreeMap::new() }
    }

    /// Opens the ports that the plan asks for, closes others, and answers by the plan from now on.
    pub fn sync(&mut self, plan: &Plan) {
        let wanted = wanted(plan);
        self.open.retain(|name, open| {
            let stays = wanted.get(name).is_some_and(|wanted| wanted.port == open.port);
            if !stays {
                open.servers.stop();
            }
            stays
        });
        for (name, wanted) in wanted {
            if !self.open.contains_key(&name) {
                self.start(&name, wanted.port);
            }
            if let Some(open) = self.open.get(&name) {
                open.endpoints.store(wanted.endpoints, Ordering::Relaxed);
            }
        }
    }

    /// A port that cannot be opened is tried again with the next sync.
    fn start(&mut self, name: &ServiceName, port: u16) {
        let bound: std::io::Result<Vec<Server>> =
            self.addresses.iter().map(|ip| Server::of(listen(SocketAddr::new(*ip, port))?)).collect();
        match bound {
            Ok(listening) => {
                let endpoints = Arc::new(AtomicUsize::new(0));
                let servers = self.supervisor.child();
                let router = service_router(name.clone(), endpoints.clone(), self.health.clone());
                for server in listening {
                    let run = server.run(Protocol::Plain, router.clone(), Access::Open, servers.clone());
                    servers.spawn("service health check", run);
                }
                self.open.insert(name.clone(), Open { port, endpoints, servers });
            }
            Err(error) => self.refused(name, port, &error),
        }
    }

    fn refused(&self, (namespace, name): &ServiceName, port: u16, error: &std::io::Error) {
        let message = format!(
            "node {} failed to start healthcheck \"{namespace}/{name}\" on port {port}: {error}",
            self.node_name
        );
        tracing::error!(family = self.family.as_str(), "{message}");
        let service = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            ..ObjectReference::default()
        };
        if let Some(recorder) = &self.recorder {
            recorder.warning(&service, "FailedToStartServiceHealthcheck", message);
        }
    }
}

fn wanted(plan: &Plan) -> BTreeMap<ServiceName, Wanted> {
    let mut ready: BTreeMap<ServiceName, (u16, BTreeSet<IpAddr>)> = BTreeMap::new();
    for (name, port) in &plan.ports {
        if let Some(number) = port.service.health_check_port {
            let key = (name.namespace.clone(), name.service.clone());
            // A pod that answers two ports is one endpoint.
            ready.entry(key).or_insert_with(|| (number, BTreeSet::new())).1.extend(&port.choice.local_ready);
        }
    }
    ready.into_iter().map(|(key, (port, ips))| (key, Wanted { port, endpoints: ips.len() })).collect()
}

/// A socket that leaves the other family alone: both have servers of their own on the same port.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket.into())
}

fn service_router(name: ServiceName, endpoints: Arc<AtomicUsize>, health: Arc<Health>) -> Router {
    Router::new().get("/", move |_| answer(&name, endpoints.load(Ordering::Relaxed), health.report().healthy))
}

/// Upstream's body, white space included.
fn answer((namespace, name): &ServiceName, endpoints: usize, healthy: bool) -> Response {
    let code = if endpoints > 0 && healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{namespace}\",\n\t\t\"name\": \"{name}\"\n\t}},\n\t\
         \"localEndpoints\": {endpoints},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
    );
    let mut response = router::full(code, "application/json", body);
    response.headers_mut().insert("x-load-balancing-endpoint-weight", HeaderValue::from(endpoints));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeFacts, plan};
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn planned(port: u16, endpoints: serde_json::Value) -> Plan {
        let service: Service = serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "s"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}}))
        .expect("a Service");
        let slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4",
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}], "endpoints": endpoints}))
        .expect("an EndpointSlice");
        let slice = Arc::new(slice);
        let node = NodeFacts { name: "n1".into(), zone: String::new() };
        plan(Family::V4, &node, [service].iter(), |_| vec![slice.clone()])
    }

    async fn ask(port: u16) -> std::io::Result<String> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /anything HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn ports_open_answer_and_close_with_the_plan() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let supervisor = Supervisor::new();
        let health = Arc::new(Health::new(Duration::from_secs(30)));
        let addresses = Some(vec![IpAddr::from([127, 0, 0, 1])]);
        let mut servers = ServiceHealth::new(Family::V4, "n1".into(), addresses, health, None, supervisor.clone());
        let here =
            json!([{"addresses": ["10.0.0.1"], "nodeName": "n1"}, {"addresses": ["10.0.0.2"], "nodeName": "n2"}]);
        servers.sync(&planned(port, here));
        let text = ask(port).await.expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.to_lowercase().contains("x-load-balancing-endpoint-weight: 1\r\n"), "{text}");
        let body = "{\n\t\"service\": {\n\t\t\"namespace\": \"n\",\n\t\t\"name\": \"s\"\n\t},\n\t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}";
        assert!(text.ends_with(body), "{text}");
        servers.sync(&planned(port, json!([{"addresses": ["10.0.0.2"], "nodeName": "n2"}])));
        assert!(ask(port).await.expect("an answer").starts_with("HTTP/1.1 503 "));
        servers.sync(&Plan::default());
        supervisor.shutdown(Duration::from_secs(5)).await;
        assert!(ask(port).await.is_err());
    }

    #[test]
    fn a_pod_with_two_ports_is_one_endpoint() {
        let plan = planned(32000, json!([{"addresses": ["10.0.0.1"], "nodeName": "n1"}]));
        let want = Wanted { port: 32000, endpoints: 1 };
        assert_eq!(wanted(&plan), BTreeMap::from([(("n".to_owned(), "s".to_owned()), want)]));
        assert_eq!(answer(&("n".into(), "s".into()), 1, false).status(), 503);
    }
}
