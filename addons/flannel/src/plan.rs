//! Which routes, neighbours and forwarding entries the kernel should have for the other nodes, and what
//! to change for it to have them. Pure.
//!
//! Upstream: `pkg/backend/vxlan/vxlan_network.go`, `pkg/backend/route_network.go`.

use crate::lease::{Lease, Mac, Reach};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A route to another node's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// The next hop; without one, traffic is refused.
    pub gateway: Option<IpAddr>,
    /// Index of the device; 0 of a route that refuses.
    pub device: u32,
    /// The next hop is on the device's network, whatever its addresses say.
    pub on_link: bool,
}

/// What the kernel has, or should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Routes. Those of a destination replace each other.
    pub routes: BTreeSet<Route>,
    /// Neighbours on the tunnel's device.
    pub neighbours: BTreeMap<IpAddr, Mac>,
    /// Where the tunnel's device finds a hardware address.
    pub forwards: BTreeSet<(Mac, IpAddr)>,
}

/// What traffic to other nodes goes through.
#[derive(Clone, Debug)]
pub struct Devices {
    /// The external interface.
    pub external: u32,
    /// The tunnel's device; none without a tunnel.
    pub tunnel: Option<u32>,
    /// Networks in which nodes need no tunnel.
    pub direct: Vec<IpNet>,
}

/// The entries for the nodes of `leases`, in which this node's part, `own`, does not count.
pub fn wanted<'a>(own: &Lease, leases: impl IntoIterator<Item = &'a Lease>, devices: &Devices) -> Entries {
    let mut entries = Entries::default();
    let mut taken = BTreeSet::from([own.subnet]);
    for lease in leases {
        // A part that two nodes claim belongs to the first.
        if lease.public_ip == own.public_ip || !taken.insert(lease.subnet) {
            continue;
        }
        let direct = devices.direct.iter().any(|network| network.contains(&lease.public_ip));
        match (lease.reach, devices.tunnel) {
            (Reach::Vxlan { mac, .. }, Some(tunnel)) if !direct => {
                let gateway = lease.subnet.network();
                entries.neighbours.insert(gateway, mac);
                entries.forwards.insert((mac, lease.public_ip));
                let (destination, gateway) = (lease.subnet, Some(gateway));
                entries.routes.insert(Route { destination, gateway, device: tunnel, on_link: true });
            }
            _ => {
                let (destination, gateway) = (lease.subnet, Some(lease.public_ip));
                entries.routes.insert(Route { destination, gateway, device: devices.external, on_link: false });
            }
        }
    }
    entries
}

/// What to remove and what to set, in this order: a neighbour before the route that needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is there and should not be.
    pub remove: Entries,
    /// What should be there and is not, or is another one.
    pub set: Entries,
}

impl Changes {
    /// From what was found to what is wanted.
    pub fn between(found: &Entries, wanted: &Entries) -> Self {
        let devices: BTreeMap<IpNet, u32> =
            wanted.routes.iter().map(|route| (route.destination, route.device)).collect();
        // Setting a route replaces the one of the same destination: no packet is lost in between. But
        // IPv6 takes no next hop on one device to which a route of another device leads.
        let is_replaced = |route: &&Route| match devices.get(&route.destination) {
            Some(device) => route.destination.addr().is_ipv4() || *device == route.device,
            None => false,
        };
        let remove = Entries {
            routes: found.routes.iter().filter(|route| !is_replaced(route)).copied().collect(),
            neighbours: missing(&found.neighbours, |ip, _| wanted.neighbours.contains_key(ip)),
            forwards: found.forwards.difference(&wanted.forwards).copied().collect(),
        };
        let set = Entries {
            routes: wanted.routes.difference(&found.routes).copied().collect(),
            neighbours: missing(&wanted.neighbours, |ip, mac| found.neighbours.get(ip) == Some(mac)),
            forwards: wanted.forwards.difference(&found.forwards).copied().collect(),
        };
        Self { remove, set }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        [&self.remove, &self.set].iter().map(|e| e.routes.len() + e.neighbours.len() + e.forwards.len()).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn missing(all: &BTreeMap<IpAddr, Mac>, there: impl Fn(&IpAddr, &Mac) -> bool) -> BTreeMap<IpAddr, Mac> {
    all.iter().filter(|(ip, mac)| !there(ip, mac)).map(|(ip, mac)| (*ip, *mac)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn tunnelled(number: u8) -> Lease {
        Lease {
            subnet: format!("10.244.{number}.0/24").parse().unwrap(),
            public_ip: format!("192.0.2.{number}").parse().unwrap(),
            reach: Reach::Vxlan { vni: 1, mac: mac(number) },
        }
    }

    fn route(number: u8, gateway: &str, device: u32, on_link: bool) -> Route {
        let destination = format!("10.244.{number}.0/24").parse().unwrap();
        Route { destination, gateway: Some(gateway.parse().unwrap()), device, on_link }
    }

    #[test]
    fn a_tunnel_needs_three_entries_per_node() {
        let devices = Devices { external: 2, tunnel: Some(9), direct: Vec::new() };
        let leases = [tunnelled(1), tunnelled(2), tunnelled(3)];
        let entries = wanted(&leases[0], &leases, &devices);
        assert_eq!(entries.routes, BTreeSet::from([route(2, "10.244.2.0", 9, true), route(3, "10.244.3.0", 9, true)]));
        assert_eq!(
            entries.neighbours,
            BTreeMap::from([("10.244.2.0".parse().unwrap(), mac(2)), ("10.244.3.0".parse().unwrap(), mac(3))])
        );
        assert_eq!(
            entries.forwards,
            BTreeSet::from([(mac(2), "192.0.2.2".parse().unwrap()), (mac(3), "192.0.2.3".parse().unwrap())])
        );
    }

    #[test]
    fn neighbours_on_the_same_network_need_no_tunnel() {
        let direct = vec!["192.0.2.0/30".parse().unwrap()];
        let devices = Devices { external: 2, tunnel: Some(9), direct };
        let leases = [tunnelled(2), tunnelled(9)];
        let entries = wanted(&tunnelled(1), &leases, &devices);
        assert_eq!(entries.routes, BTreeSet::from([route(2, "192.0.2.2", 2, false), route(9, "10.244.9.0", 9, true)]));
        assert_eq!(entries.forwards.len(), 1);
    }

    #[test]
    fn plain_routes() {
        let plain = |number| Lease { reach: Reach::HostGw, ..tunnelled(number) };
        let devices = Devices { external: 2, tunnel: None, direct: Vec::new() };
        let entries = wanted(&plain(1), &[plain(1), plain(2)], &devices);
        assert_eq!(entries, Entries { routes: [route(2, "192.0.2.2", 2, false)].into(), ..Entries::default() });
    }

    #[test]
    fn no_part_is_taken_twice() {
        let devices = Devices { external: 2, tunnel: Some(9), direct: Vec::new() };
        let thief = Lease { subnet: "10.244.1.0/24".parse().unwrap(), ..tunnelled(7) };
        let second = Lease { subnet: "10.244.2.0/24".parse().unwrap(), ..tunnelled(8) };
        let entries = wanted(&tunnelled(1), &[thief, tunnelled(2), second], &devices);
        assert_eq!(entries.forwards, BTreeSet::from([(mac(2), "192.0.2.2".parse().unwrap())]));
        assert_eq!(entries.routes.len(), 1);
    }

    #[test]
    fn only_differences_are_changed() {
        let devices = Devices { external: 2, tunnel: Some(9), direct: Vec::new() };
        let found = wanted(&tunnelled(1), &[tunnelled(2), tunnelled(3)], &devices);
        assert!(Changes::between(&found, &found).is_empty());
        // Node 2 has a new device, node 3 is gone, node 4 is new.
        let moved = Lease { reach: Reach::Vxlan { vni: 1, mac: mac(22) }, ..tunnelled(2) };
        let changes = Changes::between(&found, &wanted(&tunnelled(1), &[moved, tunnelled(4)], &devices));
        assert_eq!(changes.remove.routes, BTreeSet::from([route(3, "10.244.3.0", 9, true)]));
        assert_eq!(changes.remove.neighbours, BTreeMap::from([("10.244.3.0".parse().unwrap(), mac(3))]));
        assert_eq!(changes.remove.forwards.len(), 2);
        assert_eq!(changes.set.routes, BTreeSet::from([route(4, "10.244.4.0", 9, true)]));
        assert_eq!(changes.set.neighbours.len(), 2);
        assert_eq!(changes.set.forwards.len(), 2);
    }

    #[test]
    fn a_route_is_replaced_in_place() {
        let tunnel = Entries { routes: [route(2, "10.244.2.0", 9, true)].into(), ..Entries::default() };
        let plain = Entries { routes: [route(2, "192.0.2.2", 2, false)].into(), ..Entries::default() };
        let changes = Changes::between(&tunnel, &plain);
        assert!(changes.remove.routes.is_empty());
        assert_eq!(changes.set.routes, plain.routes);
        let of_device = |device| {
            let (destination, gateway) = ("fd00::/64".parse().unwrap(), Some("fd00::".parse().unwrap()));
            Entries { routes: [Route { destination, gateway, device, on_link: true }].into(), ..Entries::default() }
        };
        let changes = Changes::between(&of_device(2), &of_device(9));
        assert_eq!((changes.remove, changes.set), (of_device(2), of_device(9)), "not in IPv6");
    }
}
