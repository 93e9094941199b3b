//! The cluster's DNS: names of Services and endpoints from the apiserver, everything else from
//! the upstream servers.

pub mod forward;
pub mod index;
pub mod message;
pub mod server;
pub mod zone;

use crate::forward::Forwarder;
use crate::index::Index;
use crate::server::Server;
use crate::zone::Zone;
use anyhow::Context;
use component::daemon::Daemon;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The options of the DNS server.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Path to a kubeconfig file; the pod's service account if empty.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Address to answer on, over UDP and TCP.
    #[arg(long, default_value = "0.0.0.0:53")]
    pub listen: SocketAddr,
    /// The cluster domain.
    #[arg(long, default_value = "cluster.local")]
    pub domain: String,
    /// File that names the upstream servers.
    #[arg(long, default_value = "/etc/resolv.conf")]
    pub resolv_conf: PathBuf,
}

/// Runs the server until it is told to stop.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let Options { kubeconfig, listen, domain, resolv_conf } = daemon.options;
    let client = client::connect(kubeconfig.as_deref(), concat!("cluster-dns/", env!("CARGO_PKG_VERSION"))).await?;
    let (index, keep_current) = Index::new(&client);
    daemon.supervisor.spawn_until_stop("dns index", keep_current);
    let servers =
        std::fs::read_to_string(&resolv_conf).with_context(|| format!("reading {}", resolv_conf.display()))?;
    let forwarder = Forwarder::from_resolv_conf(&servers, listen);
    // Answers without the first lists would deny names that exist.
    tokio::select! {
        () = index.synced() => {}
        () = daemon.supervisor.stopping() => return Ok(()),
    }
    let zone = Zone { domain: domain.trim_end_matches('.').to_ascii_lowercase() };
    let server = Server::new(zone, index, forwarder, daemon.supervisor.clone());
    server.listen(listen).await.with_context(|| format!("listening on {listen}"))?;
    tracing::info!(%listen, "answering");
    daemon.supervisor.stopping().await;
    Ok(())
}
