//! Exec, attach and port-forward: the request becomes the kubelet's, the bytes stay as they are.
//!
//! Upstream: `pkg/registry/core/pod/strategy.go` (`ExecLocation`, `AttachLocation`).

use super::kubelet::Address;
use super::{aim, cached, forward};
use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::query::Query;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::{Reason, Status};
use form_urlencoded::Serializer;
use http::Response;

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Exec,
    Attach,
    PortForward,
}

/// Annotation that names the container to take when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

pub(super) async fn serve<B: Incoming>(
    exchange: &Exchange<'_>,
    stream: Stream,
    body: B,
) -> Result<Response<Body>, Status> {
    let info = exchange.info;
    let pod = cached(exchange, "pods", info.namespace, &info.name)?.value();
    let container = match stream {
        Stream::PortForward => String::new(),
        Stream::Exec | Stream::Attach => container(&pod, exchange.query.text("container"))?,
    };
    let node = node_of(&pod)?;
    let address = kubelet_of(exchange, node)?;
    if !streaming::tunnel::wants_upgrade(&exchange.parts.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let path = path(stream, &pod, &container, exchange.query);
    let request = aim(exchange, &path, &address.to_string(), body)?;
    let io = exchange.server.kubelets.connect(&address).await?;
    forward(exchange, request, io).await.map_err(|error| Status::internal(format!("error dialing backend: {error}")))
}

/// The node that runs the pod.
fn node_of(pod: &Value) -> Result<&str, Status> {
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|n| !n.is_empty());
    node.ok_or_else(|| Status::bad_request(format!("pod {} does not have a host assigned", pod.name())))
}

/// Where the node's kubelet listens.
pub(super) fn kubelet_of(exchange: &Exchange<'_>, node: &str) -> Result<Address, Status> {
    let value = cached(exchange, "nodes", "", node)?.value();
    exchange.server.kubelets.address(&value).ok_or_else(|| {
        let why = format!("no preferred addresses found; known addresses: {}", addresses(&value));
        Status::plain(500, Reason::Unknown, why)
    })
}

fn addresses(node: &Value) -> String {
    node.pointer("/status/addresses").map_or_else(|| "[]".to_owned(), Value::to_string)
}

/// The container to talk to.
pub(super) fn container(pod: &Value, asked: &str) -> Result<String, Status> {
    let name = pod.name();
    let all = |list: &str| names(pod, list);
    if !asked.is_empty() {
        let known = ["containers", "initContainers", "ephemeralContainers"].iter().any(|l| all(l).contains(&asked));
        return match known {
            true => Ok(asked.to_owned()),
            false => Err(Status::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    let containers = all("containers");
    let preferred = pod.annotations().and_then(|a| a.get(DEFAULT_CONTAINER)).and_then(Value::as_str);
    match (preferred.filter(|p| containers.contains(p)), containers.as_slice()) {
        (Some(preferred), _) => Ok(preferred.to_owned()),
        (None, [one]) => Ok((*one).to_owned()),
        (None, []) => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        (None, many) => Err(Status::bad_request(choices(name, many, &all("initContainers")))),
    }
}

fn choices(pod: &str, containers: &[&str], init: &[&str]) -> String {
    let mut text =
        format!("a container name must be specified for pod {pod}, choose one of: [{}]", containers.join(" "));
    if !init.is_empty() {
        text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    text
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let list = pod.get("spec").and_then(|s| s.get(list)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|c| c.get("name")?.as_str()).collect()
}

/// Path and query as the kubelet has them.
fn path(stream: Stream, pod: &Value, container: &str, query: &Query<'_>) -> String {
    let (namespace, name) = (pod.namespace(), pod.name());
    let mut out = Serializer::new(String::new());
    let path = match stream {
        Stream::PortForward => {
            for port in query.all("ports").flat_map(|p| p.split(',')) {
                out.append_pair("port", port);
            }
            format!("/portForward/{namespace}/{name}")
        }
        Stream::Exec | Stream::Attach => {
            let verb = if stream == Stream::Exec { "exec" } else { "attach" };
            add_streams(query, &mut out);
            if stream == Stream::Exec {
                for word in query.all("command") {
                    out.append_pair("command", word);
                }
            }
            format!("/{verb}/{namespace}/{name}/{container}")
        }
    };
    match out.finish() {
        none if none.is_empty() => path,
        query => format!("{path}?{query}"),
    }
}

/// Output and errors are streamed unless the client says otherwise.
fn add_streams(query: &Query<'_>, out: &mut Serializer<'_, String>) {
    for (given, kubelets, default) in
        [("stdin", "input", false), ("stdout", "output", true), ("stderr", "error", true), ("tty", "tty", false)]
    {
        if query.bool(given).unwrap_or(default) {
            out.append_pair(kubelets, "1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(containers: &[&str], default: Option<&str>) -> Value {
        let list: Vec<Value> = containers.iter().map(|c| json!({"name": c})).collect();
        let mut pod = json!({"metadata": {"name": "p", "namespace": "a"},
            "spec": {"containers": list, "initContainers": [{"name": "i"}]}});
        if let Some(default) = default {
            pod["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: default});
        }
        pod
    }

    #[test]
    fn containers() {
        for (containers, default, asked, want) in [
            (&["a"][..], None, "", Ok("a")),
            (&["a", "b"], Some("b"), "", Ok("b")),
            (&["a", "b"], None, "a", Ok("a")),
            (&["a", "b"], None, "i", Ok("i")),
            (&["a", "b"], None, "x", Err("container x is not valid for pod p")),
            (
                &["a", "b"],
                None,
                "",
                Err(
                    "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
                ),
            ),
        ] {
            let got = container(&pod(containers, default), asked).map_err(|s| s.message);
            assert_eq!(got.as_deref().map_err(String::as_str), want);
        }
    }

    #[test]
    fn kubelet_paths() {
        let pod = pod(&["c"], None);
        for (stream, query, want) in [
            (
                Stream::Exec,
                "command=ls&command=-l%20a&stdin=true&tty=true&stderr=false",
                "/exec/a/p/c?input=1&output=1&tty=1&command=ls&command=-l+a",
            ),
            (Stream::Attach, "stdout=1", "/attach/a/p/c?output=1&error=1"),
            (Stream::PortForward, "", "/portForward/a/p"),
            (Stream::PortForward, "ports=80,81", "/portForward/a/p?port=80&port=81"),
        ] {
            assert_eq!(path(stream, &pod, "c", &Query::parse(query)), want);
        }
    }
}
