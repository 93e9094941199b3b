//! `version`.
//!
//! Upstream: `kubectl/pkg/cmd/version`.

use super::Session;
use crate::cli::Version;
use crate::print;
use anyhow::bail;
use apimachinery::Value;
use serde_json::json;
use std::process::ExitCode;

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
/// The kustomize whose behaviour `-k` and `kustomize` have.
const KUSTOMIZE: &str = "v5.8.1";
/// The order of members in JSON.
const ORDER: [&str; 16] = [
    "clientVersion",
    "kustomizeVersion",
    "serverVersion",
    "major",
    "minor",
    "emulationMajor",
    "emulationMinor",
    "minCompatibilityMajor",
    "minCompatibilityMinor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];
/// How many minor versions client and server may be apart.
const SKEW: u64 = 1;

pub(super) fn client_only(version: &Version) -> anyhow::Result<ExitCode> {
    check(version)?;
    show(version, None)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(session: &Session, version: &Version) -> anyhow::Result<()> {
    check(version)?;
    let server = of_server(session).await;
    show(version, server.as_ref().ok())?;
    let server = server?;
    if let Some(warning) = skew(VERSION, server["gitVersion"].as_str().unwrap_or_default()) {
        if session.client.connection().warnings_as_errors {
            bail!(warning);
        }
        eprintln!("Warning: {warning}");
    }
    Ok(())
}

async fn of_server(session: &Session) -> anyhow::Result<Value> {
    let body = session.client.get_bytes("/version", "application/json").await?;
    crate::http::parsed(&body).map_err(|why| anyhow::anyhow!("unable to parse the server version: {why}"))
}

/// `--match-server-version`: the server must be of our version.
pub(super) async fn require_match(session: &Session) -> anyhow::Result<()> {
    let server = of_server(session).await;
    let server = server.map_err(|error| anyhow::anyhow!("couldn't read version from server: {error:#}"))?;
    let theirs = server["gitVersion"].as_str().unwrap_or_default();
    match is_ours(theirs) {
        true => Ok(()),
        false => bail!("server version ({theirs}) differs from client version ({VERSION})"),
    }
}

/// Whether a version is the program's own, whoever built it: `+` and what follows tell that.
fn is_ours(version: &str) -> bool {
    version.split('+').next() == Some(VERSION)
}

fn check(version: &Version) -> anyhow::Result<()> {
    if !version.words.is_empty() {
        bail!("extra arguments: [{}]", version.words.join(" "));
    }
    if !matches!(version.output.as_str(), "" | "json" | "yaml") {
        bail!("--output must be 'yaml' or 'json'");
    }
    Ok(())
}

fn show(version: &Version, server: Option<&Value>) -> anyhow::Result<()> {
    if version.output.is_empty() {
        crate::outln!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}");
        if let Some(server) = server.and_then(|s| s.get("gitVersion")).and_then(Value::as_str) {
            crate::outln!("Server Version: {server}");
        }
        return Ok(());
    }
    let (major, minor) = numbers(VERSION).unwrap_or_default();
    let platform = format!("{}/{}", std::env::consts::OS, architecture());
    let mut all = json!({"kustomizeVersion": KUSTOMIZE, "clientVersion": {
        "major": major.to_string(), "minor": minor.to_string(), "gitVersion": VERSION, "gitCommit": "unknown",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": concat!("rustc", env!("CARGO_PKG_RUST_VERSION")), "compiler": "rustc",
        "platform": platform}});
    if let Some(server) = server {
        all["serverVersion"] = server.clone();
    }
    match version.output.as_str() {
        "json" => crate::out!("{}", print::json::ordered(&all, &ORDER, 2)),
        // Upstream ends the document with an empty line.
        _ => crate::outln!("{}", print::yaml(&all)),
    }
    Ok(())
}

/// The architecture as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Major and minor of `v1.36.2`.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn skew(client: &str, server: &str) -> Option<String> {
    let (client, server) = (numbers(client)?, numbers(server)?);
    (client.0 != server.0 || client.1.abs_diff(server.1) > SKEW).then(|| {
        format!(
            "version difference between client ({}.{}) and server ({}.{}) exceeds the supported minor version skew of +/-{SKEW}",
            client.0, client.1, server.0, server.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_one_version_match() {
        assert!(is_ours(VERSION) && is_ours(&format!("{VERSION}+rust")));
        assert!(!is_ours("v1.35.0+rust") && !is_ours(&format!("{VERSION}-custom")));
    }

    #[test]
    fn tells_of_versions_too_far_apart() {
        assert_eq!(skew("v1.36.2", "v1.35.0"), None);
        assert!(skew("v1.36.2", "v1.34.9+k3s").is_some_and(|w| w.contains("client (1.36) and server (1.34)")));
    }
}
