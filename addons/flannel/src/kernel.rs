//! Devices, addresses, routes, neighbours and forwarding entries of this network namespace, over
//! netlink.
//!
//! Upstream: `pkg/backend/vxlan/device.go`, `pkg/ip/iface.go`.

use crate::config::Family;
use crate::interface::Interface;
use crate::lease::Mac;
use crate::plan::{Changes, Entries, Route};
use component::Supervisor;
use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol};
use rtnetlink::packet_route::route::{RouteFlags, RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, LinkVxlan, RouteMessageBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct KernelError {
    /// What was tried.
    what: String,
    /// What it said.
    source: rtnetlink::Error,
}

/// Names what was tried when it fails.
trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, KernelError>;
}

impl<T> Trying<T> for Result<T, rtnetlink::Error> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, KernelError> {
        self.map_err(|source| KernelError { what: what(), source })
    }
}

/// The tunnel's device as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// The network's identifier.
    pub vni: u32,
    /// Index of the interface below.
    pub external: u32,
    /// The address that it sends from.
    pub local: IpAddr,
    /// The UDP port, or the kernel's own choice.
    pub port: Option<u16>,
    /// Group-based policy.
    pub gbp: bool,
    /// Whether it learns.
    pub learning: bool,
    /// Largest packet.
    pub mtu: u32,
    /// Hardware address of a new device.
    pub mac: Mac,
}

/// The tunnel's device as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
}

/// Which entries are looked at: only those that no one else would have made.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The network of all pods.
    pub network: IpNet,
    /// The external interface.
    pub external: u32,
    /// The tunnel's device.
    pub tunnel: Option<u32>,
    /// Whether routes that refuse are looked at, too.
    pub refusing: bool,
}

/// The kernel's network configuration.
#[derive(Clone, Debug)]
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens a socket, whose connection hangs on the supervisor.
    pub fn open(supervisor: &Supervisor) -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        supervisor.spawn_until_stop("netlink", connection);
        Ok(Self { handle })
    }

    /// All interfaces with their usable addresses.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, KernelError> {
        let links = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let addresses = self.handle.address().get().execute().try_collect::<Vec<_>>().await;
        let addresses = addresses.trying(|| "listing addresses".into())?;
        let interfaces = links.trying(|| "listing interfaces".into())?;
        Ok(interfaces.iter().map(|link| interface(link, &addresses)).collect())
    }

    /// The interface that a default route uses.
    pub async fn default_interface(&self, family: Family) -> Result<Option<u32>, KernelError> {
        let routes = self.routes(family).await?;
        let main = |r: &&RouteMessage| in_main_table(r) && r.header.destination_prefix_length == 0;
        let device = |r: &RouteMessage| attribute(&r.attributes, oif);
        Ok(routes.iter().filter(main).min_by_key(|r| metric(r)).and_then(device))
    }

    /// The interface that leads to an address.
    pub async fn towards(&self, address: IpAddr) -> Result<Option<u32>, KernelError> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, bits);
        let Ok(route) = route.map(RouteMessageBuilder::build) else { return Ok(None) };
        let found = self.handle.route().get(route).execute().try_next().await;
        let found = found.trying(|| format!("asking for the route to {address}"))?;
        Ok(found.and_then(|route| attribute(&route.attributes, oif)))
    }

    async fn routes(&self, family: Family) -> Result<Vec<RouteMessage>, KernelError> {
        let all = match family {
            Family::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            Family::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        self.handle.route().get(all).execute().try_collect().await.trying(|| "listing routes".into())
    }

    async fn link(&self, name: &str) -> Result<Option<LinkMessage>, KernelError> {
        match self.handle.link().get().match_name(name).execute().try_next().await {
            Err(rtnetlink::Error::NetlinkError(error)) if is_gone(&error) => Ok(None),
            found => found.trying(|| format!("looking for {name}")),
        }
    }

    /// Index and MTU of an interface, if it is there.
    pub async fn index_and_mtu(&self, name: &str) -> Result<Option<(u32, u32)>, KernelError> {
        let link = self.link(name).await?;
        Ok(link.and_then(|link| Some((link.header.index, mtu(&link)?))))
    }

    /// Makes the device, or makes it again if it is there with other properties. It keeps the hardware
    /// address that it has.
    pub async fn ensure_tunnel(&self, wanted: &Tunnel) -> Result<Device, KernelError> {
        let name = &wanted.name;
        let mut link = self.link(name).await?;
        if let Some(there) = &link
            && let Some(what) = difference(there, wanted)
        {
            tracing::warn!(device = name, "replacing the device: {what}");
            let index = there.header.index;
            self.handle.link().del(index).execute().await.trying(|| format!("removing {name}"))?;
            link = None;
        }
        if link.is_none() {
            let made = self.handle.link().add(tunnel_message(wanted)).execute().await;
            made.trying(|| format!("making {name}"))?;
            link = self.link(name).await?;
        }
        let lost = || KernelError { what: format!("finding {name} again"), source: rtnetlink::Error::RequestFailed };
        let link = link.ok_or_else(lost)?;
        let index = link.header.index;
        let is_up = link.header.flags.contains(rtnetlink::packet_route::link::LinkFlags::Up);
        if mtu(&link) != Some(wanted.mtu) || !is_up {
            let up = LinkUnspec::new_with_index(index).mtu(wanted.mtu).up().build();
            self.handle.link().set(up).execute().await.trying(|| format!("raising {name}"))?;
        }
        Ok(Device { index, mac: hardware_address(&link).ok_or_else(lost)? })
    }

    /// Gives a device exactly this address of its network: the source of what the node itself sends.
    pub async fn ensure_address(&self, device: u32, wanted: IpAddr, network: IpNet) -> Result<(), KernelError> {
        let bits = if wanted.is_ipv4() { 32 } else { 128 };
        let found = self.handle.address().get().set_link_index_filter(device).execute();
        let found: Vec<AddressMessage> = found.try_collect().await.trying(|| "listing addresses".into())?;
        let mut is_there = false;
        for message in found {
            let Some(address) = address_of(&message) else { continue };
            if address == wanted && message.header.prefix_len == bits {
                is_there = true;
            } else if network.contains(&address) {
                let removed = self.handle.address().del(message).execute().await;
                removed.trying(|| format!("removing address {address}"))?;
            }
        }
        if !is_there {
            let added = self.handle.address().add(device, wanted, bits).execute().await;
            added.trying(|| format!("adding address {wanted}"))?;
        }
        Ok(())
    }

    /// The entries that are there.
    pub async fn found(&self, scope: &Scope) -> Result<Entries, KernelError> {
        let family = if scope.network.addr().is_ipv4() { Family::V4 } else { Family::V6 };
        let routes = self.routes(family).await?.iter().filter_map(|message| route(message, scope)).collect();
        let (mut neighbours, mut forwards) = (BTreeMap::new(), BTreeSet::new());
        if let Some(tunnel) = scope.tunnel {
            let inet = if family == Family::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
            for message in self.neighbours(inet, tunnel).await? {
                let (Some(address), Some(mac)) = neighbour(&message) else { continue };
                if scope.network.contains(&address) {
                    neighbours.insert(address, mac);
                }
            }
            for message in self.neighbours(AddressFamily::Bridge, tunnel).await? {
                if let (Some(address), Some(mac)) = neighbour(&message) {
                    forwards.insert((mac, address));
                }
            }
        }
        Ok(Entries { routes, neighbours, forwards })
    }

    /// Entries that stay: learned ones come and go by themselves.
    async fn neighbours(&self, family: AddressFamily, device: u32) -> Result<Vec<NeighbourMessage>, KernelError> {
        let all = self.handle.neighbours().get().set_address_family(family).execute();
        let mut all: Vec<NeighbourMessage> = all.try_collect().await.trying(|| "listing neighbours".into())?;
        all.retain(|n| n.header.ifindex == device && n.header.state == NeighbourState::Permanent);
        Ok(all)
    }

    /// Makes the changes as far as possible; what could not be changed comes back.
    pub async fn apply(&self, changes: &Changes, tunnel: Option<u32>) -> Vec<KernelError> {
        let mut outcomes = Vec::new();
        for route in &changes.remove.routes {
            outcomes.push(self.remove_route(route).await);
        }
        if let Some(device) = tunnel {
            for (address, mac) in &changes.remove.neighbours {
                outcomes.push(self.remove_neighbour(device, *address, *mac, AddressFamily::Inet).await);
            }
            for (mac, address) in &changes.remove.forwards {
                outcomes.push(self.remove_neighbour(device, *address, *mac, AddressFamily::Bridge).await);
            }
            for (address, mac) in &changes.set.neighbours {
                let add = self.handle.neighbours().add(device, *address).link_layer_address(&mac.0);
                let added = add.kind(RouteType::Unicast).replace().execute().await;
                outcomes.push(added.trying(|| format!("adding neighbour {address} at {mac}")));
            }
            for (mac, address) in &changes.set.forwards {
                let add = self.handle.neighbours().add_bridge(device, &mac.0).destination(*address);
                let added = add.flags(NeighbourFlags::Own).replace().execute().await;
                outcomes.push(added.trying(|| format!("adding {mac} behind {address}")));
            }
        }
        for route in &changes.set.routes {
            let set = self.handle.route().add(route_message(route, RouteProtocol::Boot)).replace().execute().await;
            outcomes.push(set.trying(|| format!("setting the route to {}", route.destination)));
        }
        outcomes.into_iter().filter_map(Result::err).collect()
    }

    async fn remove_route(&self, route: &Route) -> Result<(), KernelError> {
        // Whoever made it.
        let gone = self.handle.route().del(route_message(route, RouteProtocol::Unspec)).execute().await;
        unless_gone(gone).trying(|| format!("removing the route to {}", route.destination))
    }

    async fn remove_neighbour(
        &self,
        device: u32,
        address: IpAddr,
        mac: Mac,
        family: AddressFamily,
    ) -> Result<(), KernelError> {
        let mut message = NeighbourMessage::default();
        let inet = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.family = if family == AddressFamily::Bridge { family } else { inet };
        message.header.ifindex = device;
        if family == AddressFamily::Bridge {
            message.header.flags = NeighbourFlags::Own;
            message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        }
        message.attributes.push(NeighbourAttribute::Destination(match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        }));
        let gone = self.handle.neighbours().del(message).execute().await;
        unless_gone(gone).trying(|| format!("removing {mac} at {address}"))
    }
}

/// ENOENT, ESRCH and ENODEV: nothing there.
fn is_gone(error: &rtnetlink::packet_core::ErrorMessage) -> bool {
    matches!(error.raw_code().abs(), 2 | 3 | 19)
}

fn unless_gone(outcome: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    match outcome {
        Err(rtnetlink::Error::NetlinkError(error)) if is_gone(&error) => Ok(()),
        outcome => outcome,
    }
}

fn attribute<A, T>(attributes: &[A], pick: impl Fn(&A) -> Option<T>) -> Option<T> {
    attributes.iter().find_map(pick)
}

fn oif(attribute: &RouteAttribute) -> Option<u32> {
    if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None }
}

fn in_main_table(route: &RouteMessage) -> bool {
    let table = attribute(&route.attributes, |a| if let RouteAttribute::Table(t) = a { Some(*t) } else { None });
    table.unwrap_or(route.header.table.into()) == u32::from(RouteHeader::RT_TABLE_MAIN)
}

fn metric(route: &RouteMessage) -> u32 {
    attribute(&route.attributes, |a| if let RouteAttribute::Priority(p) = a { Some(*p) } else { None }).unwrap_or(0)
}

fn interface(link: &LinkMessage, addresses: &[AddressMessage]) -> Interface {
    let name = attribute(&link.attributes, |a| if let LinkAttribute::IfName(n) = a { Some(n.clone()) } else { None });
    let own = addresses.iter().filter(|address| address.header.index == link.header.index);
    let mut own: Vec<(bool, bool, IpNet)> = own.filter_map(usable).collect();
    // Global before local ones, given before made up ones.
    own.sort_by_key(|(is_local, is_temporary, _)| (*is_local, *is_temporary));
    Interface {
        index: link.header.index,
        name: name.unwrap_or_default(),
        mtu: mtu(link).unwrap_or_default(),
        addresses: own.into_iter().map(|(_, _, net)| net).collect(),
    }
}

fn mtu(link: &LinkMessage) -> Option<u32> {
    attribute(&link.attributes, |a| if let LinkAttribute::Mtu(mtu) = a { Some(*mtu) } else { None })
}

/// Whether an address is link-local, whether it may vanish, and the address.
fn usable(message: &AddressMessage) -> Option<(bool, bool, IpNet)> {
    if message.header.flags.contains(AddressHeaderFlags::Deprecated) {
        return None;
    }
    let address = address_of(message)?;
    let is_local = message.header.scope == AddressScope::Link;
    let is_temporary = !message.header.flags.contains(AddressHeaderFlags::Permanent);
    Some((is_local, is_temporary, IpNet::new(address, message.header.prefix_len).ok()?))
}

/// The local address; of a point-to-point device `Address` is the other end.
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = attribute(&message.attributes, |a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let any =
        || attribute(&message.attributes, |a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
    local.or_else(any)
}

fn hardware_address(link: &LinkMessage) -> Option<Mac> {
    let octets = |a: &LinkAttribute| if let LinkAttribute::Address(octets) = a { Some(octets.clone()) } else { None };
    attribute(&link.attributes, octets)?.try_into().ok().map(Mac)
}

fn tunnel_message(wanted: &Tunnel) -> LinkMessage {
    let mut link = LinkVxlan::new(&wanted.name, wanted.vni)
        .dev(wanted.external)
        .learning(wanted.learning)
        .mtu(wanted.mtu)
        .address(wanted.mac.0.to_vec());
    link = match wanted.local {
        IpAddr::V4(address) => link.local(address),
        IpAddr::V6(address) => link.local6(address),
    };
    if let Some(port) = wanted.port {
        link = link.port(port);
    }
    if wanted.gbp {
        link = link.gbp();
    }
    link.up().build()
}

/// What makes an existing device unusable.
fn difference(link: &LinkMessage, wanted: &Tunnel) -> Option<String> {
    let infos = |a: &LinkAttribute| if let LinkAttribute::LinkInfo(infos) = a { Some(infos.clone()) } else { None };
    let infos = attribute(&link.attributes, infos).unwrap_or_default();
    if !infos.contains(&LinkInfo::Kind(InfoKind::Vxlan)) {
        return Some("it is no vxlan device".to_owned());
    }
    let data =
        attribute(&infos, |info| if let LinkInfo::Data(InfoData::Vxlan(d)) = info { Some(d.clone()) } else { None });
    let data = data.unwrap_or_default();
    let local = match wanted.local {
        IpAddr::V4(address) => InfoVxlan::Local(address),
        IpAddr::V6(address) => InfoVxlan::Local6(address),
    };
    let mut needed = vec![InfoVxlan::Id(wanted.vni), InfoVxlan::Link(wanted.external), local];
    needed.push(InfoVxlan::Learning(wanted.learning));
    needed.extend(wanted.port.map(InfoVxlan::Port));
    needed.extend(wanted.gbp.then_some(InfoVxlan::Gbp));
    if !wanted.gbp && data.contains(&InfoVxlan::Gbp) {
        return Some("it has group-based policy".to_owned());
    }
    needed.into_iter().find(|info| !data.contains(info)).map(|info| format!("it lacks {info:?}"))
}

fn route_message(route: &Route, protocol: RouteProtocol) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = if route.destination.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    header.table = RouteHeader::RT_TABLE_MAIN;
    header.protocol = protocol;
    header.scope = RouteScope::Universe;
    header.kind = if route.gateway.is_some() { RouteType::Unicast } else { RouteType::BlackHole };
    header.destination_prefix_length = route.destination.prefix_len();
    if route.on_link {
        header.flags = RouteFlags::Onlink;
    }
    message.attributes.push(RouteAttribute::Destination(route.destination.network().into()));
    if let Some(gateway) = route.gateway {
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        message.attributes.push(RouteAttribute::Oif(route.device));
    }
    message
}

/// A route within the network, on one of our devices and with a next hop: a node's part. Or one that
/// refuses, where those are looked at.
fn route(message: &RouteMessage, scope: &Scope) -> Option<Route> {
    let header = &message.header;
    let address = |a: &RouteAddress| match a {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    };
    let destination =
        attribute(&message.attributes, |a| if let RouteAttribute::Destination(d) = a { address(d) } else { None })?;
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    if !in_main_table(message) || !scope.network.contains(&destination) || destination == scope.network {
        return None;
    }
    if header.kind == RouteType::BlackHole && scope.refusing {
        return Some(Route { destination, gateway: None, device: 0, on_link: false });
    }
    let gateway =
        attribute(&message.attributes, |a| if let RouteAttribute::Gateway(g) = a { address(g) } else { None })?;
    let device = attribute(&message.attributes, oif)?;
    let ours = header.kind == RouteType::Unicast && (device == scope.external || Some(device) == scope.tunnel);
    let on_link = header.flags.contains(RouteFlags::Onlink);
    ours.then_some(Route { destination, gateway: Some(gateway), device, on_link })
}

/// Address and hardware address of an entry.
fn neighbour(message: &NeighbourMessage) -> (Option<IpAddr>, Option<Mac>) {
    let address = attribute(&message.attributes, |a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        NeighbourAttribute::Destination(NeighbourAddress::Other(octets)) => match octets.len() {
            4 => <[u8; 4]>::try_from(octets.as_slice()).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(octets.as_slice()).ok().map(IpAddr::from),
            _ => None,
        },
        _ => None,
    });
    let mac = |a: &NeighbourAttribute| match a {
        NeighbourAttribute::LinkLayerAddress(octets) => <[u8; 6]>::try_from(octets.as_slice()).ok().map(Mac),
        _ => None,
    };
    (address, attribute(&message.attributes, mac))
}
