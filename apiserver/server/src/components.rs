//! `componentstatuses`: whether the other parts of the control plane answer, asked when somebody
//! wants to know. Nothing of it is stored.
//!
//! Upstream: `pkg/registry/core/componentstatus`, `pkg/registry/core/rest/storage_core.go`,
//! `pkg/probe/http`.

use crate::server::Server;
use apimachinery::Value;
use apimachinery::gvk::GroupResource;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::Status;
use apiserver_storage::Selection;
use bytes::Bytes;
use futures::future::{Either, join_all, select};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::pin::pin;
use std::time::Duration;

/// Longest time for one part's answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer that are shown.
const MAX_BODY: usize = 10 * 1024;
/// The parts that are expected beside this server, each at its default port.
const NEIGHBOURS: &[(&str, u16)] = &[("controller-manager", 10257), ("scheduler", 10259)];
const HOST: &str = "127.0.0.1";
const PATH: &str = "/healthz";

/// Whether this is the resource.
pub(crate) fn is_meant(resource: &ResourceInfo) -> bool {
    resource.group.is_empty() && resource.plural == "componentstatuses"
}

/// One part's status.
pub(crate) async fn get(server: &Server, name: &str) -> Result<Value, Status> {
    match parts(server).into_iter().find(|part| part.name() == name) {
        Some(part) => Ok(part.status(server).await),
        None => Err(Status::not_found(&GroupResource::new("", "componentstatus"), name)),
    }
}

/// The status of all parts that are selected, asked at the same time.
pub(crate) async fn list(server: &Server, selection: &Selection) -> Vec<Value> {
    let selected = |part: &Part| {
        let name = part.name();
        let field = |label: &str| match label {
            "metadata.name" => Some(name.as_str()),
            "metadata.namespace" => Some(""),
            _ => None,
        };
        selection.labels.matches(|_| None) && selection.fields.matches(field)
    };
    let parts = parts(server).into_iter().filter(selected);
    join_all(parts.map(async |part| part.status(server).await)).await
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// By its name and port.
    Neighbour(&'static str, u16),
    /// An etcd cluster.
    Etcd(usize),
}

fn parts(server: &Server) -> Vec<Part> {
    let neighbours = NEIGHBOURS.iter().map(|(name, port)| Part::Neighbour(name, *port));
    neighbours.chain((0..server.registry.store.clusters()).map(Part::Etcd)).collect()
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// It answers, with these words.
    Healthy(String),
    /// It does not, for this reason.
    Unhealthy { message: String, error: String },
    /// It answers, but not to the question.
    Unknown(String),
}

impl Part {
    fn name(self) -> String {
        match self {
            Part::Neighbour(name, _) => name.to_owned(),
            Part::Etcd(cluster) => format!("etcd-{cluster}"),
        }
    }

    async fn status(self, server: &Server) -> Value {
        let found = match self {
            Part::Neighbour(_, port) => neighbour(server, port).await,
            Part::Etcd(cluster) => etcd(server, cluster).await,
        };
        let (status, message, error) = match &found {
            Finding::Healthy(message) => ("True", message.as_str(), ""),
            Finding::Unhealthy { message, error } => ("False", message.as_str(), error.as_str()),
            Finding::Unknown(message) => ("Unknown", message.as_str(), ""),
        };
        let mut condition = json!({"type": "Healthy", "status": status});
        for (key, text) in [("message", message), ("error", error)] {
            if !text.is_empty() {
                condition[key] = text.into();
            }
        }
        json!({
            "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": self.name()},
            "conditions": [condition],
        })
    }
}

async fn etcd(server: &Server, cluster: usize) -> Finding {
    let failed = |error: String| Finding::Unhealthy { message: String::new(), error };
    match tokio::time::timeout(TIMEOUT, server.registry.store.answers(cluster)).await {
        Ok(Ok(())) => Finding::Healthy("ok".into()),
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed("context deadline exceeded".into()),
    }
}

async fn neighbour(server: &Server, port: u16) -> Finding {
    let late = || Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned());
    match tokio::time::timeout(TIMEOUT, ask(server, port)).await.unwrap_or_else(|_| late()) {
        Ok((code, body)) => finding(code, body),
        Err(why) => {
            Finding::Unhealthy { message: format!("Get \"https://{HOST}:{port}{PATH}\": {why}"), error: String::new() }
        }
    }
}

fn finding(code: u16, body: String) -> Finding {
    match code {
        200..300 => Finding::Healthy(body),
        300..400 => Finding::Unknown(format!("Probe terminated redirects, Response body: {body}")),
        _ => Finding::Unhealthy { message: format!("HTTP probe failed with statuscode: {code}"), error: String::new() },
    }
}

/// The code and the body of the answer.
async fn ask(server: &Server, port: u16) -> Result<(u16, String), String> {
    let text = |error: hyper::Error| error.to_string();
    let stream = server.kubelets.unverified(HOST, port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = Request::get(PATH).header(header::HOST, format!("{HOST}:{port}"));
    let request = request.header(header::USER_AGENT, "kube-probe/1.36").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await.map_err(text)?.into_parts();
        Ok((parts.status.as_u16(), beginning(body).await.map_err(text)?))
    };
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection may end with the answer already on its way to us.
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// As much of a body as is shown.
async fn beginning(mut body: Incoming) -> Result<String, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await.filter(|_| bytes.len() < MAX_BODY) {
        bytes.extend_from_slice(frame?.data_ref().map_or(&[], |data| &data[..]));
    }
    bytes.truncate(MAX_BODY);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_a_meaning() {
        for (code, want) in [
            (200, Finding::Healthy("b".into())),
            (302, Finding::Unknown("Probe terminated redirects, Response body: b".into())),
            (
                500,
                Finding::Unhealthy { message: "HTTP probe failed with statuscode: 500".into(), error: String::new() },
            ),
        ] {
            assert_eq!(finding(code, "b".into()), want, "{code}");
        }
    }
}
