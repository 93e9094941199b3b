//! Admission of connections: plugins see the options of the connection as the request's object.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/rest.go` (`ConnectResource`).

use super::Kind;
use crate::chain::Exchange;
use apimachinery::Value;
use apimachinery::resources::{ResourceInfo, Subresource};
use apimachinery::status::Status;
use apiserver_registry::{Context, Verb};
use serde_json::json;
use std::sync::Arc;

/// Asks the admission plugins about a connection; logs are read, not connected to.
pub(super) async fn admit(
    exchange: &Exchange<'_>,
    kind: Kind,
    resource: &Arc<ResourceInfo>,
    subresource: &Subresource,
) -> Result<(), Status> {
    if kind == Kind::Log {
        return Ok(());
    }
    let info = exchange.info;
    let cx = Context {
        user: exchange.user.clone(),
        verb: Verb::Connect,
        resource: resource.clone(),
        subresource: Some(subresource.clone()),
        namespace: if resource.namespaced { info.namespace.to_owned() } else { String::new() },
        name: info.name.clone().into_owned(),
        dry_run: false,
        field_manager: String::new(),
        field_validation: Default::default(),
        deadline: exchange.deadline,
        warnings: exchange.warnings.clone(),
        annotations: exchange.annotations.clone(),
    };
    exchange.server.registry.connect(&cx, options(exchange, kind)).await
}

/// The options as an object; what is not set is left out.
fn options(exchange: &Exchange<'_>, kind: Kind) -> Value {
    let query = exchange.query;
    let name = match kind {
        Kind::Log => "PodLogOptions",
        Kind::Exec => "PodExecOptions",
        Kind::Attach => "PodAttachOptions",
        Kind::PortForward => "PodPortForwardOptions",
        Kind::PodProxy => "PodProxyOptions",
        Kind::ServiceProxy => "ServiceProxyOptions",
        Kind::NodeProxy => "NodeProxyOptions",
    };
    let mut options = json!({"kind": name, "apiVersion": "v1"});
    match kind {
        Kind::Exec | Kind::Attach => {
            for (flag, default) in [("stdin", false), ("stdout", true), ("stderr", true), ("tty", false)] {
                if query.bool(flag).unwrap_or(default) {
                    options[flag] = true.into();
                }
            }
            if !query.text("container").is_empty() {
                options["container"] = query.text("container").into();
            }
            let command: Vec<&str> = query.all("command").collect();
            if !command.is_empty() {
                options["command"] = json!(command);
            }
        }
        Kind::PortForward => {
            let ports = query.all("ports").flat_map(|ports| ports.split(',')).filter_map(|port| port.parse().ok());
            options["ports"] = Value::Array(ports.map(|port: u16| port.into()).collect());
        }
        Kind::PodProxy | Kind::ServiceProxy | Kind::NodeProxy => {
            options["path"] = exchange.info.subpath().into();
        }
        Kind::Log => {}
    }
    options
}
