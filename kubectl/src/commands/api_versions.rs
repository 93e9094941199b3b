//! `api-versions`.
//!
//! Upstream: `kubectl/pkg/cmd/apiresources/apiversions.go`.

use super::Session;
use crate::cli::cluster_info::ApiVersions;
use crate::discovery::Asks;
use crate::writing::usage;
use anyhow::Context;

pub(super) async fn run(session: &Session, flags: &ApiVersions) -> anyhow::Result<()> {
    if !flags.words.is_empty() {
        return Err(usage("api-versions", format!("unexpected arguments: [{}]", flags.words.join(" "))));
    }
    let discovery = session.discovery(Asks::ONCE).await.context("couldn't get available api versions from server")?;
    let failed = discovery.failed.iter().map(|failed| failed.api_version());
    let mut versions: Vec<String> = discovery.resources.iter().map(|r| r.api_version()).chain(failed).collect();
    versions.sort_unstable();
    versions.dedup();
    for version in versions {
        crate::outln!("{version}");
    }
    Ok(())
}
