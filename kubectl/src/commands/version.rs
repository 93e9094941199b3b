//! `version`.

use super::Session;
use crate::cli::Version;
use crate::print;
use anyhow::bail;
use apimachinery::Value;
use serde_json::json;
use std::process::ExitCode;

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

pub(super) fn client_only(version: &Version) -> anyhow::Result<ExitCode> {
    show(version, None)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(session: &Session, version: &Version) -> anyhow::Result<()> {
    let server = session.client.get("/version", "application/json").await?;
    show(version, Some(&server))
}

fn show(version: &Version, server: Option<&Value>) -> anyhow::Result<()> {
    let (major, minor) = VERSION.trim_start_matches('v').split_once('.').unwrap_or(("1", "0"));
    let minor = minor.split('.').next().unwrap_or(minor);
    let mut all =
        json!({"clientVersion": {"major": major, "minor": minor, "gitVersion": VERSION, "platform": "linux/amd64"}});
    if let Some(server) = server {
        all["serverVersion"] = server.clone();
    }
    match version.output.as_str() {
        "" => {
            crate::outln!("Client Version: {VERSION}");
            if let Some(server) = server.and_then(|s| s.get("gitVersion")).and_then(Value::as_str) {
                crate::outln!("Server Version: {server}");
            }
        }
        "json" => crate::out!("{}", print::json(&all)),
        "yaml" => crate::out!("{}", print::yaml(&all)),
        _ => bail!("--output must be 'yaml' or 'json'"),
    }
    Ok(())
}
