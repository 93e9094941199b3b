//! The interface that has the addresses of Services, so that the kernel takes their packets in.
//!
//! Upstream: `pkg/proxy/ipvs/netlink_linux.go`.

use super::netlink::{ACK, Attributes, CREATE, DUMP, ROUTE, Socket, find};
use crate::model::Family;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NAME: &str = "kube-ipvs0";

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;

/// The addresses of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// On the interface of Services.
    pub(super) services: BTreeSet<IpAddr>,
    /// On all others, without loopback and link-local ones.
    pub(super) node: BTreeSet<IpAddr>,
}

/// The interface, and the way to ask about it.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    index: u32,
}

impl Link {
    /// Makes it, if it is not there.
    pub(super) fn ensure() -> io::Result<Self> {
        let socket = Socket::open(ROUTE)?;
        if index(&socket)?.is_none() {
            let kind = Attributes::default().with_text(1, "dummy");
            let wanted = Attributes::default().with_text(3, NAME).nest(18, &kind);
            match socket.ask(NEW_LINK, CREATE, &wanted.after(&[0; 16])) {
                // The loop of the other family was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                outcome => drop(outcome?),
            }
        }
        let index = index(&socket)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { socket, index })
    }

    pub(super) fn bind(&self, ip: IpAddr) -> io::Result<()> {
        match self.socket.ask(NEW_ADDRESS, CREATE, &self.address(ip)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    pub(super) fn unbind(&self, ip: IpAddr) -> io::Result<()> {
        match self.socket.ask(DEL_ADDRESS, ACK, &self.address(ip)) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    pub(super) fn addresses(&self, family: Family) -> io::Result<Addresses> {
        let answers = self.socket.ask(GET_ADDRESS, DUMP, &header(family, 0, 0))?;
        let mut addresses = Addresses::default();
        for (index, ip) in answers.iter().filter_map(|answer| read_address(answer)) {
            let kind = if index == self.index { &mut addresses.services } else { &mut addresses.node };
            if family.has(&ip) && is_usable(&ip) {
                kind.insert(ip);
            }
        }
        Ok(addresses)
    }

    fn address(&self, ip: IpAddr) -> Vec<u8> {
        let (bytes, length) = match ip {
            IpAddr::V4(ip) => (ip.octets().to_vec(), 32),
            IpAddr::V6(ip) => (ip.octets().to_vec(), 128),
        };
        Attributes::default().with(2, &bytes).with(1, &bytes).after(&header(Family::of(&ip), length, self.index))
    }
}

/// Whether the interface is there.
pub(super) fn exists() -> bool {
    Socket::open(ROUTE).and_then(|socket| index(&socket)).is_ok_and(|index| index.is_some())
}

/// Removes the interface with its addresses.
pub(super) fn remove() -> io::Result<()> {
    let socket = Socket::open(ROUTE)?;
    match index(&socket)? {
        Some(index) => socket.ask(DEL_LINK, ACK, &link_header(index)).map(drop),
        None => Ok(()),
    }
}

fn index(socket: &Socket) -> io::Result<Option<u32>> {
    match socket.ask(GET_LINK, ACK, &Attributes::default().with_text(3, NAME).after(&[0; 16])) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(None),
        outcome => Ok(outcome?.iter().find_map(|answer| Some(u32::from_ne_bytes(answer.get(4..8)?.try_into().ok()?)))),
    }
}

/// `ifinfomsg`.
fn link_header(index: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

/// `ifaddrmsg`.
fn header(family: Family, length: u8, index: u32) -> [u8; 8] {
    let mut header = [if family == Family::V4 { 2 } else { 10 }, length, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    header
}

fn read_address(answer: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32::from_ne_bytes(answer.get(4..8)?.try_into().ok()?);
    let attributes = answer.get(8..)?;
    // The local address; IPv6 has it under the other name.
    let bytes = find(attributes, 2).or_else(|| find(attributes, 1))?;
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(*bytes.first_chunk::<4>()?)),
        _ => IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)),
    };
    Some((index, ip))
}

fn is_usable(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let all =
            Attributes::default().with(1, &[10, 0, 0, 9]).with(2, &[10, 0, 0, 1]).after(&header(Family::V4, 32, 7));
        assert_eq!(read_address(&all), Some((7, IpAddr::from([10, 0, 0, 1]))));
        let six: Ipv6Addr = "fd00::1".parse().expect("an address");
        let all = Attributes::default().with(1, &six.octets()).after(&header(Family::V6, 128, 8));
        assert_eq!(read_address(&all), Some((8, IpAddr::from(six))));
        assert_eq!(read_address(&all[..9]), None);
        assert_eq!(read_address(&Attributes::default().with(2, &[1]).after(&[0; 8])), None);
    }

    #[test]
    fn loopback_and_link_local_addresses_are_nobodys() {
        for (ip, want) in [("127.0.0.1", false), ("fe80::1", false), ("10.0.0.1", true), ("fd00::1", true)] {
            assert_eq!(is_usable(&ip.parse().expect("an address")), want, "{ip}");
        }
    }
}
