//! Which back end runs, and what takes its place where it cannot.

use crate::ipvs;
use component::program::{ProgramError, run};
use std::fmt;

/// A back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Chains of iptables.
    Iptables,
    /// Virtual servers of IPVS.
    Ipvs,
    /// A table of nftables.
    Nftables,
    /// Sockets of the proxy's own.
    Userspace,
}

/// Why a mode cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// No such mode.
    #[error("unknown proxy mode {0:?}")]
    Unknown(String),
    /// Linux has no such scheduler.
    #[error(transparent)]
    Scheduler(ipvs::Unusable),
    /// The kernel is too old.
    #[error("kube-proxy in nftables mode requires kernel 5.13 or later, this is {0}")]
    Kernel(String),
    /// `nft` is too old.
    #[error("nft version must be v1.0.1 or later (got {0})")]
    Nft(String),
    /// `nft` cannot be run.
    #[error("could not find nftables binary")]
    NoNft(#[source] ProgramError),
}

/// Set to anything, it lets nftables run on kernels that are thought too old.
const SKIP_KERNEL_CHECK: &str = "KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK";

impl Mode {
    /// The mode for the configured name. What cannot run here is an error, as upstream has it, except
    /// for `ipvs` without its kernel modules or sets, which gives way to iptables, and says so.
    pub async fn choose(configured: &str, scheduler: &str) -> Result<Self, ModeError> {
        match configured {
            "" | "iptables" => Ok(Self::Iptables),
            "ipvs" => match ipvs::works(scheduler).await {
                Ok(()) => {
                    tracing::warn!(
                        "The ipvs proxier is now deprecated and may be removed in a future release. Please use 'nftables' instead."
                    );
                    Ok(Self::Ipvs)
                }
                Err(error @ ipvs::Unusable::Unknown) => Err(ModeError::Scheduler(error)),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, source, "proxy mode ipvs cannot run here; using iptables instead");
                    Ok(Self::Iptables)
                }
            },
            "nftables" => {
                nftables_runs(std::env::var_os(SKIP_KERNEL_CHECK).is_some_and(|v| !v.is_empty())).await?;
                Ok(Self::Nftables)
            }
            "userspace" => {
                tracing::warn!(
                    "The userspace proxier is slow and hides clients' addresses. Please use 'nftables' instead."
                );
                Ok(Self::Userspace)
            }
            other => Err(ModeError::Unknown(other.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
            Self::Nftables => "nftables",
            Self::Userspace => "userspace",
        })
    }
}

/// Older programs read all tables of all owners, and older kernels come with those.
async fn nftables_runs(skip_kernel: bool) -> Result<(), ModeError> {
    let printed = run("nft", &["--version"], "").await.map_err(ModeError::NoNft)?;
    let version = printed.split_whitespace().nth(1).unwrap_or_default();
    if numbers(version) < [1, 0, 1] {
        return Err(ModeError::Nft(version.to_owned()));
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !skip_kernel && numbers(&kernel) < [5, 13, 0] {
        return Err(ModeError::Kernel(kernel.trim().to_owned()));
    }
    Ok(())
}

/// The first three numbers of a version: `v1.0.6`, `6.1.0-18-amd64`.
fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    std::array::from_fn(|_| parts.next().and_then(|part| part.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(numbers("v1.0.6"), [1, 0, 6]);
        assert_eq!(numbers("6.1.0-18-amd64\n"), [6, 1, 0]);
        assert!(numbers("5.4.0") < [5, 13, 0] && numbers("v1.0.1") >= [1, 0, 1]);
    }

    #[tokio::test]
    async fn the_configured_name_says_the_mode() {
        for name in ["", "iptables"] {
            assert_eq!(Mode::choose(name, "rr").await.expect("a mode"), Mode::Iptables, "{name}");
        }
        assert!(matches!(Mode::choose("magic", "rr").await, Err(ModeError::Unknown(_))));
        // Where the kernel has no IPVS iptables takes its place.
        assert!(matches!(Mode::choose("ipvs", "rr").await, Ok(Mode::Ipvs | Mode::Iptables)));
        let refused = Mode::choose("ipvs", "magic").await.expect_err("no such scheduler");
        assert_eq!(refused.to_string(), "can't use the IPVS proxier: no such file or directory");
    }
}
