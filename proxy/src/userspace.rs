//! The userspace back end, which Kubernetes began with: the proxy listens for each port itself, rules lead traffic to
//! its sockets, and it hands on what arrives. Endpoints see the node as their client.
//!
//! It is there for history and for kernels without what the others need: each byte crosses the proxy, so that it is
//! slower than all of them, and connections end with it. Traffic under the policy `Local` goes to endpoints on this
//! node, but clients' addresses are lost all the same. SCTP is not served.
//!
//! Upstream: `pkg/proxy/userspace` up to v1.25.

mod balance;
mod portal;
mod rules;

use crate::backend::{Backend, BackendError, Extent, Settings, node_addresses};
use crate::iptables;
use crate::metrics::Metrics;
use crate::model::{Family, Fate, Plan, Policy, PortName, PortPlan};
use component::program::ProgramError;
use futures::future::BoxFuture;
use portal::Portal;
use rules::Led;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The sockets and rules of one family.
#[derive(Debug)]
pub struct Userspace {
    settings: Settings,
    metrics: Metrics,
    portals: BTreeMap<PortName, Portals>,
    /// The rules that the kernel has, if that is known.
    written: Option<String>,
}

/// Where one port is listened for.
#[derive(Debug, Default)]
struct Portals {
    /// For traffic to the cluster IP, and for that from outside if it has the same endpoints.
    inner: Option<Portal>,
    /// For traffic from outside.
    outer: Option<Portal>,
}

impl Userspace {
    /// Rules as `settings` say; nothing is known of the kernel's state yet.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        Self { settings, metrics, portals: BTreeMap::new(), written: None }
    }

    async fn write(&mut self, plan: &Plan) -> Result<Extent, BackendError> {
        self.portals.retain(|name, _| plan.ports.contains_key(name));
        for (name, port) in &plan.ports {
            self.open(name, port).await?;
        }
        let family = self.settings.family;
        let addresses = self.settings.node_ports.select(|| node_addresses(family));
        let led = plan.ports.iter().filter_map(|(name, plan)| Some(led(self.portals.get(name)?, plan)));
        let text = rules::text(&self.settings, addresses.as_deref(), led);
        if self.written.as_deref() == Some(&text) {
            return Ok(Extent::Nothing);
        }
        self.written = None;
        iptables::restore(family, &text).await?;
        iptables::ensure_jumps(family, &rules::jumps()).await?;
        self.written = Some(text);
        Ok(Extent::Full)
    }

    /// Opens what is missing for a port, and says where traffic goes.
    async fn open(&mut self, name: &PortName, plan: &Arc<PortPlan>) -> Result<(), BackendError> {
        let address = self.settings.node_ip.unwrap_or(match self.settings.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        });
        let portals = self.portals.entry(name.clone()).or_default();
        let inner = endpoints(plan, plan.internal());
        let outer = endpoints(plan, plan.external()).filter(|_| plan.service.is_external() && !is_shared(plan));
        let sticky = plan.service.affinity_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        for (portal, endpoints) in [(&mut portals.inner, inner), (&mut portals.outer, outer)] {
            let Some(endpoints) = endpoints else {
                *portal = None;
                continue;
            };
            if portal.is_none() {
                *portal = listen(name, address).await?;
            }
            if let Some(portal) = portal {
                portal.update(endpoints, sticky);
            }
        }
        Ok(())
    }
}

async fn listen(name: &PortName, address: IpAddr) -> Result<Option<Portal>, BackendError> {
    let opened = Portal::open(name.protocol, address).await;
    let opened = opened.map_err(|source| BackendError::Listen { port: name.to_string(), source })?;
    if opened.is_none() {
        tracing::warn!(port = %name, protocol = name.protocol.as_str(), "the userspace proxier does not serve this protocol");
    }
    Ok(opened)
}

/// The endpoints of traffic with this fate.
fn endpoints(plan: &PortPlan, fate: Fate) -> Option<&[SocketAddr]> {
    match fate {
        Fate::Served(Policy::Cluster) => Some(&plan.choice.cluster),
        Fate::Served(Policy::Local) => Some(&plan.choice.local),
        Fate::Dropped | Fate::Rejected => None,
    }
}

/// Whether traffic from outside goes where that to the cluster IP does.
fn is_shared(plan: &PortPlan) -> bool {
    plan.internal() == plan.external()
}

fn led<'a>(portals: &Portals, plan: &'a PortPlan) -> Led<'a> {
    let port = |portal: &Option<Portal>| portal.as_ref().map(|portal| portal.port);
    let outer = if is_shared(plan) { &portals.inner } else { &portals.outer };
    Led { plan, inner: port(&portals.inner), outer: port(outer).filter(|_| plan.service.is_external()) }
}

/// Removes the rules. Without the programs there is nothing to remove.
pub async fn cleanup(family: Family) -> Result<(), ProgramError> {
    if !iptables::works(family).await {
        return Ok(());
    }
    for jump in rules::jumps() {
        iptables::delete_jump(family, &jump).await;
    }
    iptables::restore(family, &rules::removal()).await
}

impl Backend for Userspace {
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>> {
        Box::pin(async move {
            let outcome = self.write(plan).await;
            if matches!(outcome, Err(BackendError::Program(_))) {
                self.metrics.iptables_failure(self.settings.family, true);
            }
            outcome
        })
    }

    fn forget(&mut self) {
        self.written = None;
    }

    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>> {
        Box::pin(async move {
            let family = self.settings.family;
            if self.written.is_some() && !iptables::has_chain(family, rules::CHAIN).await {
                tracing::info!(family = family.as_str(), "somebody removed the rules; writing everything anew");
                self.forget();
                return Ok(false);
            }
            Ok(true)
        })
    }
}
