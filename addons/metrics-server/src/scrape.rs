//! Asking the kubelets, all of them once per resolution.
//!
//! Upstream: `pkg/scraper/scraper.go`.

use crate::Options;
use crate::exposition;
use crate::options::AddressType;
use crate::store::{Batch, Store};
use client::ConnectError;
use client::informer::Informer;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Kubelets asked at the same time.
const AT_ONCE: usize = 64;

/// Why a kubelet told nothing.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error("node {0} has no address of a kind that is wanted")]
    NoAddress(String),
    #[error("unable to fetch metrics from node {node}: {source}")]
    Ask { node: String, source: kube::Error },
    #[error("unable to fetch metrics from node {node}: no answer within {patience:?}")]
    Slow { node: String, patience: Duration },
    #[error("node {0}: {1}")]
    Address(String, http::Error),
    #[error(transparent)]
    Client(#[from] ConnectError),
}

/// Asks the kubelets.
#[derive(Debug)]
pub struct Scraper {
    nodes: Informer<Node>,
    store: Arc<RwLock<Store>>,
    clients: Clients,
    kinds: Vec<AddressType>,
    port: Option<u16>,
    resolution: Duration,
    patience: Duration,
}

impl Scraper {
    /// What it finds goes to `store`.
    pub async fn new(
        options: &Options,
        agent: &str,
        nodes: Informer<Node>,
        store: Arc<RwLock<Store>>,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            nodes,
            store,
            clients: Clients::new(options, agent).await?,
            kinds: options.kubelet_preferred_address_types.clone(),
            port: (!options.kubelet_use_node_status_port).then_some(options.kubelet_port),
            resolution: options.resolution(),
            patience: options.kubelet_request_timeout.0,
        })
    }

    /// Asks for ever; give it to the supervisor.
    pub async fn run(self) {
        self.nodes.synced().await;
        let mut ticks = tokio::time::interval(self.resolution);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let round = self.round().await;
            self.store.write().take(round);
        }
    }

    async fn round(&self) -> Vec<Batch> {
        let nodes = self.nodes.list();
        self.clients.keep(&nodes);
        let asked = futures::stream::iter(nodes).map(|node| self.ask(node)).buffer_unordered(AT_ONCE);
        asked.filter_map(std::future::ready).collect().await
    }

    /// What a kubelet tells; nothing if it does not, which is logged.
    async fn ask(&self, node: Arc<Node>) -> Option<Batch> {
        self.scrape(&node).await.inspect_err(|error| tracing::error!(%error, "Failed to scrape node")).ok()
    }

    async fn scrape(&self, node: &Node) -> Result<Batch, ScrapeError> {
        let name = node.metadata.name.clone().unwrap_or_default();
        let address = address(node, &self.kinds).ok_or_else(|| ScrapeError::NoAddress(name.clone()))?;
        let port = self.port.or_else(|| port_of(node)).unwrap_or(crate::PORT);
        let client = self.clients.of(&name, address, port)?;
        let request = http::Request::get("/metrics/resource")
            .body(Vec::new())
            .map_err(|error| ScrapeError::Address(name.clone(), error))?;
        let answer = tokio::time::timeout(self.patience, client.request_text(request)).await;
        let text = match answer {
            Ok(Ok(text)) => text,
            Ok(Err(source)) => return Err(ScrapeError::Ask { node: name, source }),
            Err(_) => return Err(ScrapeError::Slow { node: name, patience: self.patience }),
        };
        Ok(exposition::read(&name, &text, Timestamp::now()))
    }
}

/// The first address of the first kind that the node has.
fn address<'a>(node: &'a Node, kinds: &[AddressType]) -> Option<&'a str> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    let of = |kind: &AddressType| addresses.iter().find(|address| address.type_ == kind.0);
    kinds.iter().find_map(of).map(|address| address.address.as_str())
}

fn port_of(node: &Node) -> Option<u16> {
    let port = node.status.as_ref()?.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref()?.port;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// A client for each kubelet, whose connection is kept from round to round.
#[derive(Debug)]
struct Clients {
    /// Credentials and authorities; the server is another one for each.
    base: Base,
    agent: String,
    by_node: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    server: String,
    client: kube::Client,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Holds credentials, which are not shown.
struct Base(kube::Config);

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Base")
    }
}

impl Clients {
    async fn new(options: &Options, agent: &str) -> Result<Self, ConnectError> {
        let mut base = client::configuration(options.kubeconfig.as_deref()).await?;
        base.accept_invalid_certs = options.kubelet_insecure_tls;
        base.tls_server_name = None;
        if let Some(file) = &options.kubelet_certificate_authority {
            base.root_cert = Some(authorities(file)?);
        }
        Ok(Self { base: Base(base), agent: agent.to_owned(), by_node: Mutex::default() })
    }

    fn of(&self, node: &str, address: &str, port: u16) -> Result<kube::Client, ScrapeError> {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let server = format!("https://{host}:{port}");
        let mut by_node = self.by_node.lock();
        if let Some(kept) = by_node.get(node).filter(|kept| kept.server == server) {
            return Ok(kept.client.clone());
        }
        let uri = server.parse().map_err(|error| ScrapeError::Address(node.to_owned(), http::Error::from(error)))?;
        let mut config = self.base.0.clone();
        config.cluster_url = uri;
        let client = client::connect_to(config, &self.agent)?;
        by_node.insert(node.to_owned(), Kept { server, client: client.clone() });
        Ok(client)
    }

    /// Forgets the clients of nodes that are gone.
    fn keep(&self, nodes: &[Arc<Node>]) {
        let names: std::collections::HashSet<_> = nodes.iter().filter_map(|n| n.metadata.name.as_deref()).collect();
        self.by_node.lock().retain(|name, _| names.contains(name.as_str()));
    }
}

fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, ConnectError> {
    let wrong = |why: String| ConnectError::Client { path: file.display().to_string(), why };
    let certificates = pki::pem::certificates(file).map_err(|error| wrong(error.to_string()))?;
    Ok(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_reached_at_the_address_that_is_preferred() {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "a.example"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}},
            },
        }))
        .expect("a node");
        let kinds = |names: &[&str]| names.iter().map(|name| AddressType((*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(address(&node, &kinds(&["ExternalIP", "InternalIP", "Hostname"])), Some("10.0.0.1"));
        assert_eq!(address(&node, &kinds(&["Hostname", "InternalIP"])), Some("a.example"));
        assert_eq!(address(&node, &kinds(&["ExternalDNS"])), None);
        assert_eq!(port_of(&node), Some(10251));
    }
}
