//! The storage driver of the tests as a process: volumes are folders.
//!
//!     fake-csi-driver NAME NODE ENDPOINT REGISTRATION VOLUMES
//!
//! It serves csi.v1 on the socket ENDPOINT, says so on the socket REGISTRATION, and keeps volumes below VOLUMES, until
//! it is ended.

use anyhow::Context;
use proto::csi::node_service_capability::rpc::Type as Capability;
use std::path::Path;
use testkit::csi::{FakeCsi, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [name, node, endpoint, registration, volumes] = given.as_slice() else {
        anyhow::bail!("usage: fake-csi-driver NAME NODE ENDPOINT REGISTRATION VOLUMES");
    };
    let options = Options {
        name: name.clone(),
        node_id: node.clone(),
        topology: [(format!("topology.{name}/node"), node.clone())].into(),
        capabilities: vec![Capability::StageUnstageVolume, Capability::GetVolumeStats, Capability::ExpandVolume],
        volumes: Some(volumes.into()),
        ..Options::default()
    };
    let _driver = FakeCsi::start(options, Path::new(endpoint), Path::new(registration))?;
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("SIGTERM")?;
    term.recv().await;
    for socket in [endpoint, registration] {
        std::fs::remove_file(socket).with_context(|| format!("remove {socket}"))?;
    }
    Ok(())
}
