//! The ipvs back end: plan → virtual servers, sets, addresses and chains (pure) → generic netlink,
//! `ipset restore` and `iptables-restore`, what changed only.
//!
//! The rules depend on sets only, not on Services; a change of a Service is a few entries and a few
//! messages. What the kernel has is read at the start and kept in memory from then on. A real server
//! that is not wanted any more gets no new connections, and goes when its last one has ended.
//!
//! Upstream: `pkg/proxy/ipvs`; names of chains, sets and the interface are its own.

mod director;
mod held;
mod link;
mod netlink;
mod port;
mod rules;
mod sets;

use crate::backend::{Backend, BackendError, Extent, IpvsSettings, Settings};
use crate::config::IpvsConfig;
use crate::iptables::{ensure_jumps, restore};
use crate::metrics::Metrics;
use crate::model::{Family, Plan, Protocol};
use component::program::ProgramError;
use director::{Director, Key, Traits};
use futures::future::BoxFuture;
use held::Held;
use link::Link;
use port::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The schedulers that Linux has.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "twos"];

/// Why virtual servers cannot be kept here.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The kernel has no IPVS.
    #[error("ipvs not supported by the kernel")]
    Kernel(#[source] io::Error),
    /// No such scheduler in Linux.
    #[error("can't use the IPVS proxier: no such file or directory")]
    Unknown,
    /// The scheduler's module is missing.
    #[error("the kernel does not have the scheduler {0:?}")]
    Scheduler(String, #[source] io::Error),
    /// No sets.
    #[error("error getting ipset version")]
    Sets(#[source] ProgramError),
}

/// Whether virtual servers with this scheduler can be kept here. A server for an address that is
/// reserved for documentation is made and removed again; that loads the scheduler's module.
pub async fn works(scheduler: &str) -> Result<(), Unusable> {
    if !SCHEDULERS.contains(&scheduler) {
        return Err(Unusable::Unknown);
    }
    let director = Director::open().map_err(Unusable::Kernel)?;
    sets::work().await.map_err(Unusable::Sets)?;
    let servers = director.servers().map_err(Unusable::Kernel)?;
    if servers.iter().any(|(_, traits)| traits.scheduler == scheduler) {
        return Ok(());
    }
    let probe = Key { protocol: Protocol::Tcp, at: SocketAddr::from(([198, 51, 100, 0], 20_000)) };
    let traits = Traits { scheduler: scheduler.to_owned(), flags: 0, timeout: 0 };
    let probed = director.add(&probe, &traits).and_then(|()| director.remove(&probe));
    probed.map_err(|error| Unusable::Scheduler(scheduler.to_owned(), error))
}

/// Sets how long the kernel knows connections, where it is configured.
pub fn set_timeouts(config: &IpvsConfig) -> Result<(), BackendError> {
    let seconds = [config.tcp_timeout, config.tcp_fin_timeout, config.udp_timeout]
        .map(|duration| u32::try_from(duration.0.as_secs()).unwrap_or(u32::MAX));
    match seconds {
        [0, 0, 0] => Ok(()),
        seconds => Director::open().and_then(|director| director.set_timeouts(seconds)).map_err(ask("set time-outs")),
    }
}

/// Removes everything of this mode in one family; virtual servers and the interface have none. Where
/// there is neither the interface nor a chain nothing is touched.
pub async fn cleanup(family: Family) -> Result<(), BackendError> {
    let has_link = link::exists();
    let has_rules = rules::are_there(family).await;
    if has_link {
        if let Ok(director) = Director::open() {
            director.flush().map_err(ask("flush"))?;
        }
        link::remove().map_err(ask("remove the interface"))?;
    }
    if has_rules {
        rules::remove(family).await?;
    }
    if has_link || has_rules {
        sets::destroy(Family::V6).await.and(sets::destroy(Family::V4).await)?;
    }
    Ok(())
}

/// The kernel's virtual servers of one family.
#[derive(Debug)]
pub struct Ipvs {
    settings: Settings,
    metrics: Metrics,
    applied: Option<Applied>,
}

/// What the kernel has, and the way to it.
#[derive(Debug)]
struct Applied {
    director: Director,
    link: Link,
    node: Node,
    plan: Plan,
    wanted: Held,
    /// Virtual servers with their real servers.
    servers: BTreeMap<Key, InKernel>,
    entries: BTreeSet<sets::Entry>,
    addresses: BTreeSet<IpAddr>,
    rules: String,
}

#[derive(Debug)]
struct InKernel {
    traits: Traits,
    reals: BTreeMap<SocketAddr, Stage>,
}

/// Where a real server is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It gets connections.
    Serving,
    /// It gets no new ones; it goes when it has none.
    Leaving,
}

impl Ipvs {
    /// Virtual servers as `settings` say; nothing is known of the kernel's state yet.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        Self { settings, metrics, applied: None }
    }

    async fn write(&mut self, plan: &Plan) -> Result<Extent, BackendError> {
        // Whatever fails below, the kernel's state is unknown then.
        let before = self.applied.take();
        let is_full = before.is_none();
        let mut applied = match before {
            Some(applied) => applied,
            None => Applied::read(&self.settings).await?,
        };
        for change in plan.changes(&applied.plan) {
            let new = change.new.map(|port| port::render(&self.settings, &applied.node, port));
            applied.wanted.replace(change.name, new);
        }
        applied.plan = plan.clone();
        let touched = applied.wanted.take_touched();
        let extent = match (is_full, touched.is_empty()) {
            (true, _) => Extent::Full,
            (false, true) => Extent::Nothing,
            (false, false) => Extent::Partial,
        };
        if extent != Extent::Nothing {
            applied.add(&self.settings, is_full).await?;
            match is_full {
                true => applied.serve_all(&self.settings.ipvs)?,
                false => touched.iter().try_for_each(|key| applied.serve(key))?,
            }
            applied.remove(self.settings.family).await?;
        }
        self.applied = Some(applied);
        Ok(extent)
    }
}

impl Applied {
    /// What the kernel has of this family.
    async fn read(settings: &Settings) -> Result<Self, BackendError> {
        let family = settings.family;
        let director = Director::open().map_err(ask("open"))?;
        let link = Link::ensure().map_err(ask("make the interface"))?;
        let found = link.addresses(family).map_err(ask("list addresses"))?;
        let mut servers = BTreeMap::new();
        let listed = director.servers().map_err(ask("list servers"))?;
        for (key, traits) in listed.into_iter().filter(|(key, _)| family.has(&key.at.ip())) {
            let reals = director.reals(&key).map_err(ask("list real servers"))?;
            let stage = |weight| if weight == 1 { Stage::Serving } else { Stage::Leaving };
            let reals = reals.into_iter().map(|real| (real.at, stage(real.weight))).collect();
            servers.insert(key, InKernel { traits, reals });
        }
        Ok(Self {
            node: Node {
                node_ports: settings
                    .node_ports
                    .select(|| found.node.iter().copied().collect())
                    .unwrap_or_else(|| found.node.iter().copied().collect()),
                all: found.node,
            },
            director,
            link,
            plan: Plan::default(),
            wanted: Held::default(),
            servers,
            entries: sets::read(family).await?,
            addresses: found.services,
            rules: String::new(),
        })
    }

    /// Sets, rules and addresses come before the servers: no packet may find a server whose traffic
    /// nobody masquerades.
    async fn add(&mut self, settings: &Settings, is_full: bool) -> Result<(), BackendError> {
        let family = settings.family;
        let new: Vec<_> = self.wanted.entries().filter(|entry| !self.entries.contains(entry)).collect();
        sets::change("add", family, &new).await?;
        let new: Vec<_> = new.into_iter().cloned().collect();
        self.entries.extend(new);
        let text = rules::text(settings, |set| self.wanted.has(set), self.wanted.refused());
        if text != self.rules {
            restore(family, &text).await?;
            self.rules = text;
        }
        if is_full {
            ensure_jumps(family, &rules::jumps()).await?;
        }
        for ip in self.wanted.addresses().filter(|ip| !self.addresses.contains(ip)) {
            self.link.bind(*ip).map_err(ask("bind an address"))?;
        }
        self.addresses.extend(self.wanted.addresses());
        Ok(())
    }

    /// What nobody wants any more.
    async fn remove(&mut self, family: Family) -> Result<(), BackendError> {
        let gone: Vec<_> = self.addresses.iter().filter(|ip| !self.wanted.has_address(ip)).copied().collect();
        for ip in gone {
            self.link.unbind(ip).map_err(ask("unbind an address"))?;
            self.addresses.remove(&ip);
        }
        let gone: Vec<_> = self.entries.iter().filter(|entry| !self.wanted.has_entry(entry)).collect();
        sets::change("del", family, &gone).await?;
        self.entries.retain(|entry| self.wanted.has_entry(entry));
        Ok(())
    }

    /// All servers, and none of those that nobody wants, except for those in excluded ranges.
    fn serve_all(&mut self, settings: &IpvsSettings) -> Result<(), BackendError> {
        let is_ours = |key: &&Key| !settings.exclude.iter().any(|range| range.contains(&key.at.ip()));
        let mut keys: BTreeSet<Key> = self.servers.keys().filter(is_ours).copied().collect();
        keys.extend(self.wanted.servers());
        keys.iter().try_for_each(|key| self.serve(key))
    }

    /// Brings one virtual server into the kernel.
    fn serve(&mut self, key: &Key) -> Result<(), BackendError> {
        let Some(wanted) = self.wanted.server(key) else {
            if self.servers.remove(key).is_some() {
                self.director.remove(key).or_else(is_gone).map_err(ask("remove a server"))?;
            }
            return Ok(());
        };
        let server = match self.servers.entry(*key) {
            std::collections::btree_map::Entry::Occupied(there) => {
                let there = there.into_mut();
                if there.traits != wanted.traits {
                    self.director.set(key, &wanted.traits).map_err(ask("change a server"))?;
                    there.traits = wanted.traits.clone();
                }
                there
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                self.director.add(key, &wanted.traits).map_err(ask("add a server"))?;
                free.insert(InKernel { traits: wanted.traits.clone(), reals: BTreeMap::new() })
            }
        };
        for at in &wanted.reals {
            match server.reals.insert(*at, Stage::Serving) {
                Some(Stage::Serving) => {}
                Some(Stage::Leaving) => self.director.weigh_real(key, *at, 1).map_err(ask("change a real server"))?,
                None => self.director.add_real(key, *at).map_err(ask("add a real server"))?,
            }
        }
        let unwanted = server.reals.keys().filter(|at| !wanted.reals.contains(at)).copied().collect();
        server.let_go(&self.director, key, unwanted).map_err(ask("remove a real server"))
    }

    /// Removes real servers whose last connection has ended.
    fn see_off(&mut self) -> Result<(), BackendError> {
        for (key, server) in &mut self.servers {
            let leaving: BTreeSet<_> =
                server.reals.iter().filter(|(_, stage)| **stage == Stage::Leaving).map(|(at, _)| *at).collect();
            server.let_go(&self.director, key, leaving).map_err(ask("remove a real server"))?;
        }
        Ok(())
    }
}

impl InKernel {
    /// Removes real servers, or those with connections later. Only TCP knows when one has ended.
    fn let_go(&mut self, director: &Director, key: &Key, unwanted: BTreeSet<SocketAddr>) -> io::Result<()> {
        if unwanted.is_empty() {
            return Ok(());
        }
        let busy: BTreeSet<_> = match key.protocol {
            Protocol::Tcp => director.reals(key)?.iter().filter(|r| r.connections > 0).map(|r| r.at).collect(),
            Protocol::Udp | Protocol::Sctp => BTreeSet::new(),
        };
        for at in unwanted {
            if !busy.contains(&at) {
                director.remove_real(key, at).or_else(is_gone)?;
                self.reals.remove(&at);
            } else if self.reals.insert(at, Stage::Leaving) != Some(Stage::Leaving) {
                director.weigh_real(key, at, 0)?;
            }
        }
        Ok(())
    }
}

/// That something is gone already is no failure of removing it.
fn is_gone(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
        _ => Err(error),
    }
}

fn ask(what: &'static str) -> impl Fn(io::Error) -> BackendError {
    move |source| BackendError::Kernel { what, source }
}

impl Backend for Ipvs {
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>> {
        Box::pin(async move {
            let was_full = self.applied.is_none();
            let outcome = self.write(plan).await;
            if matches!(&outcome, Err(BackendError::Program(ProgramError::Refused { program, .. })) if program.ends_with("tables-restore"))
            {
                self.metrics.iptables_failure(self.settings.family, was_full);
            }
            outcome
        })
    }

    fn forget(&mut self) {
        self.applied = None;
    }

    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>> {
        Box::pin(async move {
            let Some(applied) = &mut self.applied else { return Ok(true) };
            applied.see_off()?;
            let found = applied.link.addresses(self.settings.family).map_err(ask("list addresses"))?;
            let is_intact = found.services == applied.addresses
                && found.node == applied.node.all
                && rules::are_there(self.settings.family).await;
            if !is_intact {
                tracing::info!(
                    family = self.settings.family.as_str(),
                    "addresses of the node or rules have changed; writing everything anew"
                );
                self.applied = None;
            }
            Ok(is_intact)
        })
    }
}

#[cfg(test)]
#[path = "ipvs/tests.rs"]
mod tests;
