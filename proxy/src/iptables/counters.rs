//! Packet counters with names (`nfacct`), which rules count in and metrics show.
//!
//! Upstream: `pkg/proxy/util/nfacct`, `pkg/proxy/metrics/metrics.go`.

use component::metrics::Registry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::io;

/// Packets dropped because conntrack calls them invalid.
pub(super) const INVALID: &str = "ct_state_invalid_dropped_pkts";
/// Packets to node ports on loopback addresses.
pub(super) const LOCALHOST: &str = "localhost_nps_accepted_pkts";

/// Request types of `linux/netfilter/nfnetlink_acct.h`, in the subsystem of accounting.
#[derive(Clone, Copy)]
enum Request {
    New = 7 << 8,
    Get = 7 << 8 | 1,
}

const ACK_REQUEST: u16 = 0x1 | 0x4;
/// Create, and say so if it is there: without that the kernel calls it busy.
const CREATE: u16 = 0x400 | 0x200;
const ERROR: u16 = 2;
const NAME: u16 = 1;
const PACKETS: u16 = 2;
/// Lengths of `nlmsghdr` and `nfgenmsg`.
const HEADERS: usize = 16 + 4;

/// Makes the counters, if they are not there. `false` if the kernel has none of the kind.
pub fn ensure_counters() -> bool {
    [INVALID, LOCALHOST].iter().all(|name| match ask(Request::New, CREATE, name) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
        Err(error) => {
            tracing::info!(%error, counter = name, "packets cannot be counted by name");
            false
        }
    })
}

/// Shows the counters.
pub fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Counters));
}

#[derive(Debug)]
struct Counters;

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (counter, name, help) in [
            (
                INVALID,
                "kubeproxy_iptables_ct_state_invalid_dropped_packets",
                "packets dropped by iptables to work around conntrack problems",
            ),
            (
                LOCALHOST,
                "kubeproxy_iptables_localhost_nodeports_accepted_packets",
                "Number of packets accepted on nodeports of loopback interface",
            ),
        ] {
            // Without the counter there is no metric.
            if let Some(packets) = ask(Request::Get, 0, counter).ok().and_then(|answer| packets(&answer)) {
                let metric = ConstCounter::new(packets);
                metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
            }
        }
        Ok(())
    }
}

/// Sends a request about one counter and gives the kernel's answer.
fn ask(request: Request, flags: u16, counter: &str) -> io::Result<Vec<u8>> {
    let flags_of_socket = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags_of_socket, Some(netlink::NETFILTER))?;
    rustix::net::send(&socket, &message(request, flags, counter), SendFlags::empty())?;
    let mut answer = vec![0; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    match error(&answer) {
        Some(0) | None => Ok(answer),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
    }
}

fn message(request: Request, flags: u16, counter: &str) -> Vec<u8> {
    let attribute = 4 + counter.len() + 1;
    let length = HEADERS + attribute.next_multiple_of(4);
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend((request as u16).to_ne_bytes());
    message.extend((ACK_REQUEST | flags).to_ne_bytes());
    // Sequence, port, and the family, which is none.
    message.extend([0; 4 + 4 + 4]);
    message.extend((attribute as u16).to_ne_bytes());
    message.extend(NAME.to_ne_bytes());
    message.extend(counter.as_bytes());
    message.resize(length, 0);
    message
}

/// The code of an answer that is an error or an acknowledgement.
fn error(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ERROR).then_some(code)
}

/// The packets in an answer that is a counter.
fn packets(answer: &[u8]) -> Option<u64> {
    let mut rest = answer.get(HEADERS..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == PACKETS {
            return Some(u64::from_be_bytes(value.try_into().ok()?));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut answer = vec![0; HEADERS];
        for (kind, value) in attributes {
            answer.extend((4 + value.len() as u16).to_ne_bytes());
            answer.extend(kind.to_ne_bytes());
            answer.extend(*value);
            answer.resize(answer.len().next_multiple_of(4), 0);
        }
        answer
    }

    #[test]
    fn finds_the_packets_in_an_answer() {
        let good = answer(&[(NAME, b"x\0"), (PACKETS, &7_u64.to_be_bytes()), (3, &[0; 8])]);
        assert_eq!((error(&good), packets(&good)), (None, Some(7)));
        for broken in [&good[..22], &good[..30], &[]] {
            assert_eq!(packets(broken), None);
        }
        assert_eq!(packets(&answer(&[(PACKETS, &[1])])), None);
        // A length of nothing must not hold us for ever.
        assert_eq!(packets(&[0; 64]), None);
    }

    #[test]
    fn a_message_has_its_length_and_name() {
        let message = message(Request::New, CREATE, "abc");
        assert_eq!(message.len(), 28);
        assert_eq!(message[..8], [28, 0, 0, 0, 0, 7, 5, 6]);
        assert_eq!(message[20..], [8, 0, 1, 0, b'a', b'b', b'c', 0]);
    }
}
