//! Where the apiserver's own requests to a Service go: to its endpoints, without the help of a proxy
//! on this machine.
//!
//! Aggregated API servers, webhooks and the `services/proxy` subresource are reached this way.
//!
//! Upstream: `apiserver/pkg/util/proxy/proxy.go` (`ResolveEndpoint`, `ResolveCluster`).

use apimachinery::meta::ObjectMeta;
use apimachinery::{Value, resources};
use apiserver_storage::Store;
use std::fmt;

/// One address behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// IP address or, for external names, a DNS name.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why a Service leads nowhere. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is no such Service.
    #[error("services {0:?} not found")]
    NotFound(String),
    /// The Service has no such port.
    #[error("no service port {port} found for service {service:?}")]
    NoPort {
        /// The Service.
        service: String,
        /// The port that was asked for.
        port: u16,
    },
    /// Nobody is ready.
    #[error("no endpoints available for service {0:?}")]
    NoEndpoints(String),
    /// A type that has no endpoints.
    #[error("unsupported service type {0:?}")]
    UnsupportedType(String),
}

/// What `--enable-aggregator-routing` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Routing {
    /// Off: external names are followed. Upstream sends everything else to cluster IPs; the same
    /// endpoints are chosen here instead, as there may be no proxy on this machine.
    #[default]
    Names,
    /// On: endpoints only.
    Endpoints,
}

/// The addresses behind a port of a Service, in an order to be tried in.
pub fn resolve(
    store: &Store,
    namespace: &str,
    name: &str,
    port: u16,
    routing: Routing,
) -> Result<Vec<Backend>, BackendError> {
    let service = cached(store, "", "services", namespace, name).ok_or_else(|| BackendError::NotFound(name.into()))?;
    match (service.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP"), routing) {
        ("ExternalName", Routing::Names) => {
            let host = service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default();
            return Ok(vec![Backend { host: host.to_owned(), port }]);
        }
        ("ClusterIP" | "NodePort" | "LoadBalancer", _) => {}
        (other, _) => return Err(BackendError::UnsupportedType(other.to_owned())),
    }
    let port = port_name(&service, port).ok_or_else(|| BackendError::NoPort { service: name.into(), port })?;
    let mut found = ready(&slices(store, &service), port, |_| true);
    if found.is_empty() {
        return Err(BackendError::NoEndpoints(name.into()));
    }
    let first = rand::random_range(0..found.len());
    found.rotate_left(first);
    Ok(found)
}

/// The name of a Service's port of this number.
pub fn port_name(service: &Value, port: u16) -> Option<&str> {
    let ports = service.pointer("/spec/ports")?.as_array()?;
    let port = ports.iter().find(|p| p.get("port").and_then(Value::as_u64) == Some(port.into()))?;
    Some(text(port, "name"))
}

/// The endpoint slices of a Service, those of its first IP family first.
pub fn slices(store: &Store, service: &Value) -> Vec<Value> {
    let Some(resource) = resources::find("discovery.k8s.io", "v1", "endpointslices") else { return Vec::new() };
    let all = store.cached_list(resource, Some(service.namespace()));
    let of_service = all.iter().filter(|s| s.label("kubernetes.io/service-name") == Some(service.name()));
    let mut slices: Vec<Value> = of_service.map(|s| s.value()).collect();
    let family = service.pointer("/spec/ipFamilies/0").and_then(Value::as_str);
    slices.sort_by_key(|s| family.is_some_and(|f| text(s, "addressType") != f));
    slices
}

/// The first address of each ready and accepted endpoint, with the number of the port of this name.
pub fn ready(slices: &[Value], port: &str, accept: impl Fn(&Value) -> bool) -> Vec<Backend> {
    let of_slice = |slice| {
        let ports = list(slice, "ports").filter(move |p| text(p, "name") == port);
        let number = ports.filter_map(|p| u16::try_from(p.get("port")?.as_u64()?).ok()).next();
        let ready = list(slice, "endpoints").filter(|e| is_ready(e) && accept(e));
        let hosts: Vec<String> =
            ready.filter_map(|e| list(e, "addresses").next()?.as_str().map(str::to_owned)).collect();
        number.map(|port| hosts.into_iter().map(move |host| Backend { host, port }))
    };
    slices.iter().filter_map(of_slice).flatten().collect()
}

/// Whether an endpoint takes requests; those that do not say are ready.
pub fn is_ready(endpoint: &Value) -> bool {
    endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true)
}

fn cached(store: &Store, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
    let resource = resources::find(group, "v1", plural)?;
    store.cached(resource, &resource.key(namespace, name)).map(|o| o.value())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::Supervisor;
    use serde_json::json;

    fn slice() -> Value {
        json!({
            "metadata": {"name": "s-1", "namespace": "ns", "labels": {"kubernetes.io/service-name": "s"}},
            "addressType": "IPv4", "ports": [{"name": "web", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.3"]},
            ],
        })
    }

    #[test]
    fn ready_endpoints_of_a_named_port() {
        let of = |port: &str| ready(&[slice()], port, |_| true).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("web"), ["10.0.0.1:8080", "10.0.0.3:8080"]);
        assert!(of("adm").is_empty());
        assert!(ready(&[slice()], "web", |_| false).is_empty());
        assert_eq!(Backend { host: "fd00::1".into(), port: 1 }.to_string(), "[fd00::1]:1");
    }

    async fn store(spec: Value) -> (Store, Supervisor) {
        let supervisor = Supervisor::new();
        let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
        let create = async |group: &str, plural: &str, name: &str, value: Value| {
            let resource = resources::find(group, "v1", plural).expect("built in");
            store.create(resource, &resource.key("ns", name), value, None).await.expect("written");
        };
        let service = json!({"metadata": {"name": "s", "namespace": "ns"}, "spec": spec});
        create("", "services", "s", service).await;
        create("discovery.k8s.io", "endpointslices", "s-1", slice()).await;
        let slices = resources::find("discovery.k8s.io", "v1", "endpointslices").expect("built in");
        // A list waits until the cache has what was written.
        store.list(slices, &apiserver_storage::ListQuery::default()).await.expect("a list");
        (store, supervisor)
    }

    #[tokio::test]
    async fn services_by_their_type() {
        let ports = json!([{"name": "web", "port": 443}]);
        for (spec, port, routing, want) in [
            (json!({"ports": ports}), 443, Routing::Names, Ok(2)),
            (json!({"type": "NodePort", "ports": ports}), 443, Routing::Endpoints, Ok(2)),
            (json!({"ports": ports}), 80, Routing::Names, Err("no service port 80 found for service \"s\"")),
            (
                json!({"ports": [{"name": "x", "port": 1}]}),
                1,
                Routing::Names,
                Err("no endpoints available for service \"s\""),
            ),
            (json!({"type": "ExternalName", "externalName": "a.b"}), 443, Routing::Names, Ok(1)),
            (
                json!({"type": "ExternalName", "externalName": "a.b"}),
                443,
                Routing::Endpoints,
                Err("unsupported service type \"ExternalName\""),
            ),
        ] {
            let (store, supervisor) = store(spec.clone()).await;
            let found = resolve(&store, "ns", "s", port, routing).map(|b| b.len()).map_err(|e| e.to_string());
            assert_eq!(found, want.map_err(str::to_owned), "{spec}");
            supervisor.stop();
        }
    }
}
