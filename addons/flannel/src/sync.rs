//! One node's side of the network: its own device, rules and file, and the ways to the other nodes.
//!
//! Everything is brought about again whenever it is looked at: a lost device, a changed rule, a new part
//! of the network need no cases of their own.

use crate::config::{Backend, Family, VXLAN_OVERHEAD, Vxlan};
use crate::interface::External;
use crate::kernel::{Kernel, KernelError, Scope, Tunnel};
use crate::lease::{self, Annotations, Lease, LeaseError, Mac, Reach};
use crate::plan::{Changes, Devices, Route, wanted};
use crate::rules::{self, Keeper, Kind, Purpose};
use crate::subnet_file::SubnetFile;
use component::program::ProgramError;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What an IPv6 header has more than an IPv4 one.
const IPV6_EXTRA: u32 = 20;

/// Why this node's side is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The node has no part of the network.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The packet filter refused.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The families and the network of all pods.
    pub networks: Vec<(Family, IpNet)>,
    /// How nodes reach each other.
    pub backend: Backend,
    /// Names of annotations.
    pub names: Annotations,
    /// The interface to other nodes.
    pub external: External,
    /// Under which address others find this node.
    pub public: Vec<(Family, IpAddr)>,
    /// The program that rules are written with.
    pub rules: Kind,
    /// Whether what leaves the network is masqueraded.
    pub ip_masq: bool,
    /// Whether masqueraded ports are random.
    pub random: bool,
    /// Whether forwarding is accepted.
    pub forward: bool,
    /// Whether unused addresses of the own part are refused.
    pub blackhole: bool,
}

impl Settings {
    /// MTU of the pods' devices.
    pub fn mtu(&self) -> u32 {
        match &self.backend {
            Backend::Vxlan(vxlan) => vxlan.mtu.unwrap_or(self.external.interface.mtu).saturating_sub(VXLAN_OVERHEAD),
            Backend::HostGw => self.external.interface.mtu,
        }
    }

    /// MTU of the tunnel's device: what the interface below carries is the limit, and IPv6 around a
    /// frame takes more.
    fn tunnel_mtu(&self, family: Family) -> u32 {
        let overhead = VXLAN_OVERHEAD + if family == Family::V4 { 0 } else { IPV6_EXTRA };
        self.mtu().min(self.external.interface.mtu.saturating_sub(overhead))
    }

    fn backend_type(&self) -> &'static str {
        match self.backend {
            Backend::Vxlan(_) => "vxlan",
            Backend::HostGw => "host-gw",
        }
    }

    /// What the plugin is told.
    pub fn subnet_file(&self, own: &[Own]) -> SubnetFile {
        let subnets = own.iter().map(|own| (own.network, own.lease.subnet)).collect();
        SubnetFile { subnets, mtu: self.mtu(), ip_masq: self.ip_masq }
    }
}

/// This node's part in one family.
#[derive(Clone, Debug)]
pub struct Own {
    /// The family.
    pub family: Family,
    /// The network of all pods.
    pub network: IpNet,
    /// The part.
    pub lease: Lease,
    /// The tunnel's device.
    tunnel: Option<u32>,
}

/// This node's side.
#[derive(Debug)]
pub struct Network {
    kernel: Kernel,
    settings: Settings,
    keepers: BTreeMap<(Family, Purpose), Keeper>,
    /// Nodes that do not take part, and why: each is named once.
    left_out: BTreeMap<(String, Family), LeaseError>,
}

impl Network {
    /// Nothing is done yet.
    pub fn new(kernel: Kernel, settings: Settings) -> Self {
        let keeper = |family, purpose| ((family, purpose), Keeper::new(settings.rules, family, purpose));
        let both = |family| [Purpose::Masquerade, Purpose::Forward].map(|purpose| keeper(family, purpose));
        let keepers = settings.networks.iter().flat_map(|(family, _)| both(*family)).collect();
        Self { kernel, settings, keepers, left_out: BTreeMap::new() }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes the devices that carry this node's part, which its object says.
    pub async fn settle(&mut self, node: &Node) -> Result<Vec<Own>, SyncError> {
        self.follow_external().await?;
        let mut all = Vec::new();
        for (family, network) in self.settings.networks.iter().copied() {
            let subnet = lease::subnet(node, family, network)?;
            let of_family = |list: &[(Family, IpAddr)]| list.iter().find(|(f, _)| *f == family).map(|(_, ip)| *ip);
            let none = || LeaseError::NoSubnet(family);
            let local = self.settings.external.address(family).ok_or_else(none)?;
            let public_ip = of_family(&self.settings.public).unwrap_or(local);
            let (reach, tunnel) = match &self.settings.backend {
                Backend::HostGw => (Reach::HostGw, None),
                Backend::Vxlan(vxlan) => {
                    let former = lease::former_mac(node, &self.settings.names, family);
                    let device = self.kernel.ensure_tunnel(&self.tunnel(vxlan, family, local, former)).await?;
                    quieten(family, vxlan.vni);
                    self.kernel.ensure_address(device.index, subnet.network(), network).await?;
                    (Reach::Vxlan { vni: vxlan.vni, mac: device.mac }, Some(device.index))
                }
            };
            all.push(Own { family, network, lease: Lease { subnet, public_ip, reach }, tunnel });
        }
        Ok(all)
    }

    /// An interface that was made again has another index, and perhaps another MTU.
    async fn follow_external(&mut self) -> Result<(), KernelError> {
        let interface = &mut self.settings.external.interface;
        let now = self.kernel.index_and_mtu(&interface.name).await?;
        if let Some((index, mtu)) = now.filter(|now| *now != (interface.index, interface.mtu)) {
            tracing::warn!(interface = interface.name, index, mtu, "the interface to other nodes is another one now");
            (interface.index, interface.mtu) = (index, mtu);
        }
        Ok(())
    }

    fn tunnel(&self, vxlan: &Vxlan, family: Family, local: IpAddr, former: Option<Mac>) -> Tunnel {
        Tunnel {
            name: device_name(family, vxlan.vni),
            vni: vxlan.vni,
            external: self.settings.external.interface.index,
            local,
            port: vxlan.port,
            gbp: vxlan.gbp,
            learning: vxlan.learning,
            mtu: self.settings.tunnel_mtu(family),
            mac: former.unwrap_or_else(|| Mac::random(vxlan.mac_prefix)),
        }
    }

    /// Makes the rules around the network.
    pub async fn ensure_rules(&mut self, own: &[Own]) -> Result<(), SyncError> {
        let Settings { ip_masq, random, forward, .. } = self.settings;
        for ((family, purpose), keeper) in &mut self.keepers {
            let Some(own) = own.iter().find(|own| own.family == *family) else { continue };
            let chain = match purpose {
                Purpose::Masquerade => ip_masq.then(|| rules::masquerade(own.network, own.lease.subnet, random)),
                Purpose::Forward => forward.then(|| rules::forward(own.network)),
            };
            if keeper.ensure(chain.as_ref()).await? {
                tracing::info!(?family, ?purpose, "rules written");
            }
        }
        Ok(())
    }

    /// Makes the ways to the other nodes, as far as possible. What could not be made comes back.
    pub async fn connect(&mut self, own: &[Own], nodes: &[Arc<Node>]) -> Result<Vec<KernelError>, SyncError> {
        let mut failed = Vec::new();
        self.left_out.retain(|(name, _), _| nodes.iter().any(|node| node.metadata.name.as_ref() == Some(name)));
        for own in own {
            let leases = self.leases(own, nodes);
            let external = self.settings.external.interface.index;
            let devices = Devices { external, tunnel: own.tunnel, direct: self.direct() };
            let mut entries = wanted(&own.lease, &leases, &devices);
            if self.settings.blackhole {
                let destination = own.lease.subnet;
                entries.routes.insert(Route { destination, gateway: None, device: 0, on_link: false });
            }
            let scope = Scope { network: own.network, external, tunnel: own.tunnel, refusing: self.settings.blackhole };
            let changes = Changes::between(&self.kernel.found(&scope).await?, &entries);
            if !changes.is_empty() {
                tracing::info!(family = ?own.family, nodes = leases.len(), changes = changes.len(), "ways to other nodes");
                failed.extend(self.kernel.apply(&changes, own.tunnel).await);
            }
        }
        Ok(failed)
    }

    /// Networks in which nodes need no tunnel.
    fn direct(&self) -> Vec<IpNet> {
        match &self.settings.backend {
            Backend::Vxlan(vxlan) if vxlan.direct_routing => self.settings.external.interface.addresses.clone(),
            _ => Vec::new(),
        }
    }

    /// The parts of all nodes that take part, sorted by their names.
    fn leases(&mut self, own: &Own, nodes: &[Arc<Node>]) -> Vec<Lease> {
        let mut leases = BTreeMap::new();
        for node in nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            let backend = self.settings.backend_type();
            let key = (name.clone(), own.family);
            match lease::lease(node, &self.settings.names, own.family, own.network, backend) {
                Ok(found) => {
                    self.left_out.remove(&key);
                    leases.extend(found.map(|lease| (name, lease)));
                }
                Err(error) => {
                    if self.left_out.get(&key) != Some(&error) {
                        tracing::warn!(node = name, "the node is left out: {error}");
                        self.left_out.insert(key, error);
                    }
                }
            }
        }
        leases.into_values().collect()
    }
}

fn device_name(family: Family, vni: u32) -> String {
    match family {
        Family::V4 => format!("flannel.{vni}"),
        Family::V6 => format!("flannel-v6.{vni}"),
    }
}

/// Routers do not speak on a tunnel. Where the setting cannot be written, none would answer either.
fn quieten(family: Family, vni: u32) {
    let setting = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", device_name(family, vni));
    if std::fs::read_to_string(&setting).is_ok_and(|value| value.trim() != "0") {
        std::fs::write(&setting, "0").ok();
    }
}
