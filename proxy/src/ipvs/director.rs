//! The kernel's virtual servers, by generic netlink.
//!
//! The kernel's side: `linux/ip_vs.h`. Upstream: `pkg/proxy/ipvs/util`.

use super::netlink::{ACK, Attributes, DUMP, GENERIC, Socket, attributes, find};
use crate::model::Protocol;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A client stays with its real server.
pub(super) const PERSISTENT: u32 = 0x1;
/// The kernel's own mark on every virtual server.
const HASHED: u32 = 0x2;
/// The scheduler takes the client's port into account.
pub(super) const WITH_PORT: u32 = 0x10;

/// What a virtual server is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) protocol: Protocol,
    pub(super) at: SocketAddr,
}

/// How a virtual server spreads connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) scheduler: String,
    pub(super) flags: u32,
    /// Seconds that a client stays.
    pub(super) timeout: u32,
}

/// A real server that the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Real {
    pub(super) at: SocketAddr,
    pub(super) weight: u32,
    /// Active and inactive ones.
    pub(super) connections: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    SetConfig = 12,
    Flush = 17,
}

/// Attributes of a request: a service, a destination, time-outs.
const SERVICE: u16 = 1;
const DEST: u16 = 2;
const TIMEOUTS: [u16; 3] = [4, 5, 6];

/// The IPVS of a network namespace.
#[derive(Debug)]
pub(super) struct Director {
    socket: Socket,
    family: u16,
}

impl Director {
    /// An error says that the kernel has no IPVS; its module is loaded by asking.
    pub(super) fn open() -> io::Result<Self> {
        const CONTROLLER: u16 = 16;
        let socket = Socket::open(GENERIC)?;
        let name = Attributes::default().with_text(2, "IPVS");
        let answers = socket.ask(CONTROLLER, ACK, &name.after(&[3, 1, 0, 0]))?;
        let family = answers.iter().find_map(|answer| number(find(answer.get(4..)?, 1)?));
        let family = family.and_then(|id| u16::try_from(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { socket, family })
    }

    pub(super) fn servers(&self) -> io::Result<Vec<(Key, Traits)>> {
        let answers = self.ask(Command::GetService, DUMP, &Attributes::default())?;
        Ok(answers.iter().filter_map(|answer| read_service(answer)).collect())
    }

    pub(super) fn add(&self, key: &Key, traits: &Traits) -> io::Result<()> {
        self.ask(Command::NewService, ACK, &service(key, Some(traits))).map(drop)
    }

    pub(super) fn set(&self, key: &Key, traits: &Traits) -> io::Result<()> {
        self.ask(Command::SetService, ACK, &service(key, Some(traits))).map(drop)
    }

    pub(super) fn remove(&self, key: &Key) -> io::Result<()> {
        self.ask(Command::DelService, ACK, &service(key, None)).map(drop)
    }

    pub(super) fn reals(&self, key: &Key) -> io::Result<Vec<Real>> {
        let answers = self.ask(Command::GetDest, DUMP, &service(key, None))?;
        Ok(answers.iter().filter_map(|answer| read_real(answer, key.at.is_ipv4())).collect())
    }

    pub(super) fn add_real(&self, key: &Key, at: SocketAddr) -> io::Result<()> {
        self.ask(Command::NewDest, ACK, &real(key, at, Some(1))).map(drop)
    }

    /// A weight of 0 gets no new connections.
    pub(super) fn weigh_real(&self, key: &Key, at: SocketAddr, weight: u32) -> io::Result<()> {
        self.ask(Command::SetDest, ACK, &real(key, at, Some(weight))).map(drop)
    }

    pub(super) fn remove_real(&self, key: &Key, at: SocketAddr) -> io::Result<()> {
        self.ask(Command::DelDest, ACK, &real(key, at, None)).map(drop)
    }

    /// Seconds that connections are known: TCP, TCP that closes, UDP. 0 leaves what is.
    pub(super) fn set_timeouts(&self, seconds: [u32; 3]) -> io::Result<()> {
        let wanted = TIMEOUTS.into_iter().zip(seconds);
        let attributes =
            wanted.fold(Attributes::default(), |all, (kind, seconds)| all.with(kind, &seconds.to_ne_bytes()));
        self.ask(Command::SetConfig, ACK, &attributes).map(drop)
    }

    /// Removes all virtual servers.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.ask(Command::Flush, ACK, &Attributes::default()).map(drop)
    }

    fn ask(&self, command: Command, flags: u16, attributes: &Attributes) -> io::Result<Vec<Vec<u8>>> {
        self.socket.ask(self.family, flags, &attributes.after(&[command as u8, 1, 0, 0]))
    }
}

fn service(key: &Key, traits: Option<&Traits>) -> Attributes {
    let (family, mask) = if key.at.is_ipv4() { (2_u16, u32::MAX) } else { (10, 128) };
    let mut inner = Attributes::default()
        .with(1, &family.to_ne_bytes())
        .with(2, &protocol_number(key.protocol).to_ne_bytes())
        .with(3, &address_bytes(key.at.ip()))
        .with(4, &key.at.port().to_be_bytes());
    if let Some(traits) = traits {
        let flags = [traits.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
        inner = inner
            .with_text(6, &traits.scheduler)
            .with(7, &flags)
            .with(8, &traits.timeout.to_ne_bytes())
            .with(9, &mask.to_ne_bytes());
    }
    Attributes::default().nest(SERVICE, &inner)
}

/// Without a weight it only says which one.
fn real(key: &Key, at: SocketAddr, weight: Option<u32>) -> Attributes {
    let family = if at.is_ipv4() { 2_u16 } else { 10 };
    let mut inner = Attributes::default()
        .with(1, &address_bytes(at.ip()))
        .with(2, &at.port().to_be_bytes())
        .with(11, &family.to_ne_bytes());
    if let Some(weight) = weight {
        // Forwarded by translation of addresses, without thresholds.
        let numbers = [(3, 0), (4, weight), (5, 0), (6, 0)];
        inner = numbers.into_iter().fold(inner, |all, (kind, value): (u16, u32)| all.with(kind, &value.to_ne_bytes()));
    }
    service(key, None).nest(DEST, &inner)
}

fn read_service(answer: &[u8]) -> Option<(Key, Traits)> {
    let inner = find(answer.get(4..)?, SERVICE)?;
    // Servers for packet marks have no address; they are nobody's of ours.
    let protocol = protocol(number(find(inner, 2)?)?)?;
    let at = read_address(find(inner, 3)?, find(inner, 4)?, number(find(inner, 1)?)? == 2)?;
    let scheduler = String::from_utf8_lossy(find(inner, 6)?).trim_end_matches('\0').to_owned();
    let flags = u32::from_ne_bytes(*find(inner, 7)?.first_chunk()?) & !HASHED;
    let timeout = u32::try_from(number(find(inner, 8)?)?).ok()?;
    // The kernel shows a time for servers that forget at once, too.
    let timeout = if flags & PERSISTENT == 0 { 0 } else { timeout };
    Some((Key { protocol, at }, Traits { scheduler, flags, timeout }))
}

fn read_real(answer: &[u8], is_v4: bool) -> Option<Real> {
    let inner = find(answer.get(4..)?, DEST)?;
    let at = read_address(find(inner, 1)?, find(inner, 2)?, is_v4)?;
    let weight = u32::try_from(number(find(inner, 4)?)?).ok()?;
    let connections = attributes(inner).filter(|(kind, _)| [7, 8].contains(kind)).filter_map(|(_, v)| number(v)).sum();
    Some(Real { at, weight, connections })
}

fn read_address(address: &[u8], port: &[u8], is_v4: bool) -> Option<SocketAddr> {
    let ip = match is_v4 {
        true => IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        false => IpAddr::from(Ipv6Addr::from(*address.first_chunk::<16>()?)),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port.first_chunk()?)))
}

/// The kernel's union has room for the longer one.
fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => std::array::from_fn(|i| ip.octets().get(i).copied().unwrap_or(0)),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        2 => Some(u64::from(u16::from_ne_bytes(value.try_into().ok()?))),
        4 => Some(u64::from(u32::from_ne_bytes(value.try_into().ok()?))),
        _ => None,
    }
}

const PROTOCOLS: [(Protocol, u16); 3] = [(Protocol::Tcp, 6), (Protocol::Udp, 17), (Protocol::Sctp, 132)];

fn protocol_number(protocol: Protocol) -> u16 {
    PROTOCOLS.into_iter().find(|(known, _)| *known == protocol).map_or(0, |(_, number)| number)
}

fn protocol(number: u64) -> Option<Protocol> {
    PROTOCOLS.into_iter().find(|(_, known)| u64::from(*known) == number).map(|(protocol, _)| protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: &str) -> Key {
        Key { protocol: Protocol::Udp, at: at.parse().expect("an address") }
    }

    #[test]
    fn servers_survive_the_way_there_and_back() {
        for at in ["10.96.0.1:53", "[fd00::1]:53"] {
            let traits = Traits { scheduler: "wlc".into(), flags: PERSISTENT | HASHED, timeout: 10_800 };
            let answer = service(&key(at), Some(&traits)).after(&[4, 1, 0, 0]);
            let read = read_service(&answer).expect("a server");
            assert_eq!(read, (key(at), Traits { flags: PERSISTENT, ..traits }));
            let answer = real(&key(at), key(at).at, Some(3)).after(&[8, 1, 0, 0]);
            let want = Real { at: key(at).at, weight: 3, connections: 0 };
            assert_eq!(read_real(&answer, want.at.is_ipv4()), Some(want));
        }
    }

    #[test]
    fn a_request_has_the_kernels_form() {
        let bytes = service(&key("10.96.0.1:53"), None).after(&[3, 1, 0, 0]);
        let inner = find(&bytes[4..], SERVICE).expect("a service");
        assert_eq!(find(inner, 2), Some(&17_u16.to_ne_bytes()[..]));
        assert_eq!(find(inner, 3).map(|a| &a[..4]), Some(&[10, 96, 0, 1][..]));
        assert_eq!(find(inner, 4), Some(&[0, 53][..]));
        assert_eq!(find(inner, 6), None);
    }

    #[test]
    fn connections_are_counted_and_nonsense_is_none() {
        let inner = Attributes::default()
            .with(1, &address_bytes(IpAddr::from([10, 0, 0, 1])))
            .with(2, &80_u16.to_be_bytes())
            .with(4, &0_u32.to_ne_bytes())
            .with(7, &2_u32.to_ne_bytes())
            .with(8, &3_u32.to_ne_bytes());
        let answer = Attributes::default().nest(DEST, &inner).after(&[8, 1, 0, 0]);
        let read = read_real(&answer, true).expect("a real server");
        assert_eq!((read.at.to_string().as_str(), read.weight, read.connections), ("10.0.0.1:80", 0, 5));
        for broken in [&answer[..3], &answer[..20], &[]] {
            assert_eq!(read_real(broken, true), None);
            assert_eq!(read_service(broken), None);
        }
    }
}
