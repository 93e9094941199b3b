//! The version that every component says it has.
//!
//! Upstream: `component-base/version`, `apimachinery/pkg/util/version`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// `major` of `/version`.
pub const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
/// `minor` of `/version`.
pub const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");
/// The version that this was built as: `v1.36.x+rust`.
pub const GIT_VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+rust");

/// The version that `--version=vX.Y.Z...` makes this process report.
static REPORTED: OnceLock<String> = OnceLock::new();

/// A version that a process cannot report; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It does not begin with numbers.
    #[error("could not parse {0:?} as version")]
    Unparsable(String),
    /// Not three numbers.
    #[error("illegal version string {0:?}")]
    Parts(String),
    /// A number like `01`.
    #[error("illegal zero-prefixed version component {part:?} in {version:?}")]
    ZeroPrefixed {
        /// The number.
        part: String,
        /// Where it stands.
        version: String,
    },
    /// A number without end.
    #[error("illegal non-numeric version component {part:?} in {version:?}")]
    Number {
        /// The number.
        part: String,
        /// Where it stands.
        version: String,
    },
    /// What follows the numbers is no `-PRERELEASE+METADATA`.
    #[error("could not parse pre-release/metadata ({extra}) in version {version:?}")]
    Extra {
        /// What follows.
        extra: String,
        /// The numbers.
        version: String,
    },
    /// Another release.
    #[error("version {0:?} must match major/minor/patch of default version \"{GIT_VERSION}\"")]
    Other(String),
}

/// `gitVersion` of `/version`: what [`report`] set, or [`GIT_VERSION`].
pub fn git_version() -> &'static str {
    REPORTED.get().map_or(GIT_VERSION, String::as_str)
}

/// Makes this process report another version from now on; the first call counts.
pub fn report(version: &str) -> Result<(), VersionError> {
    check(version)?;
    REPORTED.get_or_init(|| version.to_owned());
    Ok(())
}

/// Whether a process may report this version: a semantic one that differs from [`GIT_VERSION`] in its
/// pre-release and metadata only.
pub fn check(version: &str) -> Result<(), VersionError> {
    let whole = || version.to_owned();
    let text = version.trim_start();
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let numbers = text[..end].trim_end_matches('.');
    if !numbers.starts_with(|c: char| c.is_ascii_digit()) || numbers.contains("..") {
        return Err(VersionError::Unparsable(whole()));
    }
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() != 3 {
        return Err(VersionError::Parts(whole()));
    }
    for part in parts {
        check_number(part, version)?;
    }
    check_extra(&text[numbers.len()..], version)?;
    if numbers != env!("CARGO_PKG_VERSION") {
        return Err(VersionError::Other(whole()));
    }
    Ok(())
}

fn check_number(part: &str, version: &str) -> Result<(), VersionError> {
    let (part, version) = (part.to_owned(), version.to_owned());
    if part.starts_with('0') && part != "0" {
        return Err(VersionError::ZeroPrefixed { part, version });
    }
    part.parse::<u64>().map(drop).map_err(|_| VersionError::Number { part, version })
}

/// `-PRERELEASE` and `+METADATA`, both dotted words, both optional.
fn check_extra(extra: &str, version: &str) -> Result<(), VersionError> {
    let (before, metadata) = match extra.trim_end().split_once('+') {
        Some((before, metadata)) => (before, Some(metadata)),
        None => (extra.trim_end(), None),
    };
    let prerelease = before.strip_prefix('-');
    let are_words = |text: &str| {
        text.split('.').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
    };
    if prerelease.is_none() && !before.is_empty() || !prerelease.into_iter().chain(metadata).all(are_words) {
        return Err(VersionError::Extra { extra: extra.to_owned(), version: version.to_owned() });
    }
    let numbers = prerelease.into_iter().flat_map(|text| text.split('.')).filter(|word| word.parse::<u64>().is_ok());
    match numbers.into_iter().find(|word| word.starts_with('0') && *word != "0") {
        Some(part) => Err(VersionError::ZeroPrefixed { part: part.to_owned(), version: version.to_owned() }),
        None => Ok(()),
    }
}

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
        ("gitVersion", text(git_version())),
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

pub(crate) fn minor_before() -> String {
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

    #[test]
    fn a_reported_version_is_the_same_release() {
        for suffix in ["", "-alpha.1", "-custom", "+rust-custom", "-rc.0+build.7", "+a"] {
            assert_eq!(check(&format!("v{}{suffix}", env!("CARGO_PKG_VERSION"))), Ok(()), "{suffix}");
        }
        let own = env!("CARGO_PKG_VERSION");
        for (version, want) in [
            ("vx", "could not parse \"vx\" as version".to_owned()),
            ("v1.36", "illegal version string \"v1.36\"".to_owned()),
            ("v1.36.0.1", "illegal version string \"v1.36.0.1\"".to_owned()),
            ("v1.036.0", "illegal zero-prefixed version component \"036\" in \"v1.036.0\"".to_owned()),
            ("v1.2.3", format!("version \"v1.2.3\" must match major/minor/patch of default version \"v{own}+rust\"")),
            ("v1.36.0custom", "could not parse pre-release/metadata (custom) in version \"v1.36.0custom\"".to_owned()),
            ("v1.36.0-a..b", "could not parse pre-release/metadata (-a..b) in version \"v1.36.0-a..b\"".to_owned()),
            ("v1.36.0-01", "illegal zero-prefixed version component \"01\" in \"v1.36.0-01\"".to_owned()),
        ] {
            assert_eq!(check(version).unwrap_err().to_string(), want);
        }
    }
}
