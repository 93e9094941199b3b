//! What a back end is: the one part that knows the kernel's packet filter. The sync loop gives it a
//! plan and knows nothing of rules.
//!
//! A back end is a folder of its own with a pure renderer (`PortPlan` → what the kernel shall have
//! for one port), and the state of what the kernel has, so that a change of one port costs little.
//! A new one implements [`Backend`], gets a variant of [`Mode`] and an arm in [`open`] and in
//! [`cleanup`], and joins the battery in `proxy/tests/backends.rs`.
//!
//! Upstream: `pkg/proxy/types.go`, `cmd/kube-proxy/app/server_linux.go`.

mod addresses;
mod digest;
mod error;
mod mode;
mod settings;

pub use addresses::node_addresses;
pub use error::BackendError;
pub use mode::{Mode, ModeError};
pub use settings::{IpvsSettings, LocalTraffic, NodePorts, Settings};

use crate::metrics::Metrics;
use crate::model::{Family, Plan};
use crate::{iptables, ipvs, nftables, userspace};
use futures::future::BoxFuture;

pub(crate) use digest::digest;

/// How much of the rules an application wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing had changed.
    Nothing,
    /// What had changed.
    Partial,
    /// Everything, as after the start or a failure.
    Full,
}

/// The rules of one family in the kernel.
///
/// All of a plan is applied or, as far as the kernel can, nothing; after an error the next
/// application writes everything.
pub trait Backend: Send {
    /// Makes the kernel do what the plan says.
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>>;

    /// Forgets what the kernel has, so that the next application writes everything.
    fn forget(&mut self);

    /// Called every `syncPeriod`: removes what could not be removed at once, and finds out whether
    /// somebody else threw the rules away, in which case it forgets. `false` says that the plan has to
    /// be applied again.
    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>>;
}

/// The back end of a mode. Nothing is known of the kernel's state yet.
pub fn open(mode: Mode, settings: Settings, metrics: Metrics) -> Box<dyn Backend> {
    match mode {
        Mode::Iptables => Box::new(iptables::Iptables::new(settings, metrics)),
        Mode::Ipvs => Box::new(ipvs::Ipvs::new(settings, metrics)),
        Mode::Nftables => Box::new(nftables::Nftables::new(settings, metrics)),
        Mode::Userspace => Box::new(userspace::Userspace::new(settings, metrics)),
    }
}

/// Removes the rules of all modes but `keep`, of both families. Goes on after a failure and gives
/// the first one.
pub async fn cleanup(keep: Option<Mode>) -> Result<(), BackendError> {
    let mut outcome = Ok(());
    for family in [Family::V4, Family::V6] {
        // It comes first: its jumps lead into chains that iptables has, too.
        if keep != Some(Mode::Ipvs) {
            outcome = outcome.and(ipvs::cleanup(family).await);
        }
        // Chains of both have the same names. What ipvs left of itself must stay where it comes back.
        let is_iptables = keep != Some(Mode::Ipvs) || iptables::has_run(family).await;
        if keep != Some(Mode::Iptables) && is_iptables {
            outcome = outcome.and(iptables::cleanup(family).await.map_err(BackendError::from));
        }
        if keep != Some(Mode::Nftables) {
            outcome = outcome.and(nftables::cleanup(family).await.map_err(BackendError::from));
        }
        if keep != Some(Mode::Userspace) {
            outcome = outcome.and(userspace::cleanup(family).await.map_err(BackendError::from));
        }
    }
    outcome
}

/// The families that rules can be kept for in this mode: those whose tools work and that the kernel
/// has switched on.
pub async fn families(mode: Mode) -> Vec<Family> {
    let mut families = Vec::new();
    for family in [Family::V4, Family::V6] {
        let works = match mode {
            Mode::Iptables | Mode::Ipvs | Mode::Userspace => iptables::works(family).await,
            // One tool knows both.
            Mode::Nftables => true,
        };
        if works && (family == Family::V4 || has_ipv6()) {
            families.push(family);
        }
    }
    families
}

fn has_ipv6() -> bool {
    let disabled = std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6").unwrap_or_default();
    std::path::Path::new("/proc/net/if_inet6").exists() && disabled.trim() != "1"
}
