//! Which interface carries the traffic between nodes, and under which address others find this node.
//! Pure.
//!
//! Upstream: `pkg/ipmatch/match.go`.

use crate::config::Family;
use ipnet::IpNet;
use regex::Regex;
use std::net::IpAddr;

/// An interface of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Largest packet.
    pub mtu: u32,
    /// Its addresses with their networks, the preferred first.
    pub addresses: Vec<IpNet>,
}

impl Interface {
    /// The preferred address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(|address| family.has(*address))
    }
}

/// How an interface is chosen.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Names or addresses; the first that matches counts.
    pub names: &'a [String],
    /// Expressions for addresses and names, tried behind the names.
    pub patterns: Vec<Regex>,
    /// The interface that leads to a given address, tried last.
    pub towards: Option<u32>,
    /// The public addresses.
    pub public: Vec<IpAddr>,
    /// The interface of the default route.
    pub default: Option<u32>,
}

/// No interface fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoInterface {
    /// None matches what was asked for.
    #[error("no interface matches the given names and expressions; there are {0}")]
    NoMatch(String),
    /// Nothing was asked for, and there is no default route.
    #[error("no default route shows which interface to use; --iface names one")]
    NoDefault,
    /// The interface lacks an address.
    #[error("interface {interface} has no {family:?} address")]
    NoAddress {
        /// The interface.
        interface: String,
        /// The family.
        family: Family,
    },
}

/// The chosen interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// The interface.
    pub interface: Interface,
    /// Its address in each family.
    pub addresses: Vec<(Family, IpAddr)>,
}

impl External {
    /// The interface's address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().find(|(own, _)| *own == family).map(|(_, address)| *address)
    }
}

/// Chooses among `interfaces`.
pub fn choose(interfaces: &[Interface], choice: &Choice<'_>, families: &[Family]) -> Result<External, NoInterface> {
    let (interface, matched) = find(interfaces, choice, families)?;
    let mut addresses = Vec::new();
    for family in families {
        let address = matched.filter(|ip| family.has(*ip)).or_else(|| interface.address(*family));
        let none = || NoInterface::NoAddress { interface: interface.name.clone(), family: *family };
        addresses.push((*family, address.ok_or_else(none)?));
    }
    Ok(External { interface: interface.clone(), addresses })
}

/// The interface, and the address that made it the one.
fn find<'a>(
    interfaces: &'a [Interface],
    choice: &Choice<'_>,
    families: &[Family],
) -> Result<(&'a Interface, Option<IpAddr>), NoInterface> {
    let with_index = |index| interfaces.iter().find(|i| Some(i.index) == index).map(|i| (i, None));
    let asked = !choice.names.is_empty() || !choice.patterns.is_empty() || choice.towards.is_some();
    if !asked {
        let public = choice.public.iter().find_map(|ip| with_address(interfaces, *ip));
        // A public address that no interface has is one behind address translation.
        return public.or_else(|| with_index(choice.default)).ok_or(NoInterface::NoDefault);
    }
    let named = choice.names.iter().find_map(|name| match name.parse() {
        Ok(address) => with_address(interfaces, address),
        Err(_) => interfaces.iter().find(|i| i.name == *name).map(|i| (i, None)),
    });
    let matched = || choice.patterns.iter().find_map(|pattern| matching(interfaces, pattern, families));
    let found = named.or_else(matched).or_else(|| choice.towards.and_then(|index| with_index(Some(index))));
    found.ok_or_else(|| NoInterface::NoMatch(listing(interfaces)))
}

fn with_address(interfaces: &[Interface], address: IpAddr) -> Option<(&Interface, Option<IpAddr>)> {
    let has = |i: &&Interface| i.addresses.iter().any(|net| net.addr() == address);
    interfaces.iter().find(has).map(|i| (i, Some(address)))
}

/// Addresses count before names.
fn matching<'a>(
    interfaces: &'a [Interface],
    pattern: &Regex,
    families: &[Family],
) -> Option<(&'a Interface, Option<IpAddr>)> {
    let by_address = interfaces.iter().find_map(|i| {
        let mut addresses = i.addresses.iter().map(IpNet::addr).filter(|ip| families.iter().any(|f| f.has(*ip)));
        addresses.find(|ip| pattern.is_match(&ip.to_string())).map(|ip| (i, Some(ip)))
    });
    by_address.or_else(|| interfaces.iter().find(|i| pattern.is_match(&i.name)).map(|i| (i, None)))
}

fn listing(interfaces: &[Interface]) -> String {
    let one = |i: &Interface| format!("{} {:?}", i.name, i.addresses.iter().map(IpNet::addr).collect::<Vec<_>>());
    interfaces.iter().take(50).map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Vec<Interface> {
        let interface = |index, name: &str, addresses: &[&str]| Interface {
            index,
            name: name.into(),
            mtu: 1500,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        };
        vec![
            interface(1, "lo", &["127.0.0.1/8"]),
            interface(2, "eth0", &["192.0.2.10/24", "2001:db8::10/64"]),
            interface(3, "eth1", &["198.51.100.10/24", "198.51.100.11/24"]),
            interface(4, "wlan0", &[]),
        ]
    }

    fn chosen(choice: &Choice<'_>, families: &[Family]) -> Result<String, String> {
        let external = choose(&interfaces(), choice, families).map_err(|error| error.to_string())?;
        let addresses = external.addresses.iter().map(|(_, address)| format!(" {address}"));
        Ok(addresses.fold(external.interface.name, |text, address| text + &address))
    }

    #[test]
    fn choices() {
        let name = |text: &str| vec![text.to_owned()];
        let (eth1, missing, second) = (name("eth1"), name("eth9"), name("198.51.100.11"));
        let several = vec!["eth9".to_owned(), "eth0".to_owned()];
        let v4: &[Family] = &[Family::V4];
        let both: &[Family] = &[Family::V4, Family::V6];
        let names = |names| Choice { names, ..Choice::default() };
        let pattern = |text: &str| Choice { patterns: vec![Regex::new(text).unwrap()], ..Choice::default() };
        let cases: &[(&str, Choice<'_>, &[Family], Result<&str, &str>)] = &[
            ("default route", Choice { default: Some(2), ..Choice::default() }, v4, Ok("eth0 192.0.2.10")),
            (
                "both families",
                Choice { default: Some(2), ..Choice::default() },
                both,
                Ok("eth0 192.0.2.10 2001:db8::10"),
            ),
            ("no default route", Choice::default(), v4, Err("no default route")),
            ("by name", names(&eth1), v4, Ok("eth1 198.51.100.10")),
            ("by address", names(&second), v4, Ok("eth1 198.51.100.11")),
            ("first of several", names(&several), v4, Ok("eth0 192.0.2.10")),
            ("no such name", names(&missing), v4, Err("no interface matches")),
            ("by expression", pattern("^eth1$"), v4, Ok("eth1 198.51.100.10")),
            ("by an address' expression", pattern(r"100\.11$"), v4, Ok("eth1 198.51.100.11")),
            ("by the way", Choice { towards: Some(3), ..Choice::default() }, v4, Ok("eth1 198.51.100.10")),
            (
                "public address of an interface",
                Choice { public: vec!["198.51.100.11".parse().unwrap()], default: Some(2), ..Choice::default() },
                v4,
                Ok("eth1 198.51.100.11"),
            ),
            (
                "public address behind translation",
                Choice { public: vec!["203.0.113.1".parse().unwrap()], default: Some(2), ..Choice::default() },
                v4,
                Ok("eth0 192.0.2.10"),
            ),
            ("no address", Choice { default: Some(4), ..Choice::default() }, v4, Err("wlan0 has no V4 address")),
            ("no second family", names(&eth1), both, Err("eth1 has no V6 address")),
        ];
        for (what, choice, families, wanted) in cases {
            match (chosen(choice, families), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, *wanted, "{what}"),
                (Err(found), Err(wanted)) => assert!(found.contains(wanted), "{what}: {found}"),
                (found, wanted) => panic!("{what}: {found:?}, not {wanted:?}"),
            }
        }
    }
}
