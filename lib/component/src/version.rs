//! The version that every component says it has.
//!
//! Upstream: `component-base/version`.

use std::collections::BTreeMap;

/// `major` of `/version`.
pub const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
/// `minor` of `/version`.
pub const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");
/// `gitVersion` of `/version`: `v1.36.x+rust`.
pub const GIT_VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+rust");

/// The fields of `/version`, by name.
pub fn info() -> BTreeMap<&'static str, String> {
    let text = |text: &str| text.to_owned();
    BTreeMap::from([
        ("major", text(MAJOR)),
        ("minor", text(MINOR)),
        ("emulationMajor", text(MAJOR)),
        ("emulationMinor", text(MINOR)),
        ("minCompatibilityMajor", text(MAJOR)),
        ("minCompatibilityMinor", minor_before()),
        ("gitVersion", text(GIT_VERSION)),
        ("gitCommit", text("unknown")),
        ("gitTreeState", text("clean")),
        ("buildDate", text("1970-01-01T00:00:00Z")),
        ("goVersion", text("none")),
        ("compiler", text("rustc")),
        ("platform", format!("{}/{}", std::env::consts::OS, architecture())),
    ])
}

/// `kube-x/v1.36.2 (linux/amd64) kubernetes/rust`: the user agent of a component.
pub fn user_agent(component: &str) -> String {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    format!("{component}/{version} ({}/{}) kubernetes/rust", std::env::consts::OS, architecture())
}

/// The machine's architecture in Kubernetes' words: `amd64`, `arm64`, ….
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn minor_before() -> String {
    MINOR.parse::<u32>().map_or_else(|_| MINOR.to_owned(), |minor| minor.saturating_sub(1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_the_documented_form() {
        let numbers: Vec<_> = GIT_VERSION.trim_start_matches('v').split(['.', '+']).take(3).collect();
        assert!(numbers.iter().all(|n| n.parse::<u32>().is_ok()), "{GIT_VERSION}");
        assert_eq!(info()["gitVersion"], GIT_VERSION);
        assert!(user_agent("kubelet").starts_with("kubelet/v1."));
    }
}
