//! IP addresses and ranges.
//!
//! Upstream: `apiserver/pkg/cel/library/{ip,cidr}.go`.

mod words;

use super::{Function, global, member, text, wrong};
use crate::EvalError;
use crate::cost::{self, Used, scaled};
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, WALK};
use crate::value::Value;
use ipnet::IpNet;
use std::net::IpAddr;

const TEST: &[&str] = &["ip -> bool"];

pub(super) const FUNCTIONS: &[Function] = &[
    global("ip", &["string -> ip"], |a, _| parse_ip(text(a, 0)?).map(Value::Ip))
        .estimated(calls::walk)
        .metered(cost::walk),
    global("isIP", &["string -> bool"], |a, _| Ok(Value::Bool(parse_ip(text(a, 0)?).is_ok())))
        .estimated(calls::walk)
        .metered(cost::walk),
    global("ip.isCanonical", &["string -> bool"], |a, _| {
        Ok(Value::Bool(parse_ip(text(a, 0)?)?.to_string() == text(a, 0)?))
    })
    .estimated(calls::walk_twice)
    .metered(cost::walk_twice),
    member("family", &["ip -> int"], |a, _| Ok(Value::Int(if ip(a)?.is_ipv4() { 4 } else { 6 }))),
    member("isUnspecified", TEST, |a, _| Ok(Value::Bool(ip(a)?.is_unspecified()))),
    member("isLoopback", TEST, |a, _| Ok(Value::Bool(ip(a)?.is_loopback()))),
    member("isLinkLocalMulticast", TEST, |a, _| Ok(Value::Bool(is_link_local_multicast(ip(a)?)))),
    member("isLinkLocalUnicast", TEST, |a, _| Ok(Value::Bool(is_link_local(ip(a)?)))),
    member("isGlobalUnicast", TEST, |a, _| Ok(Value::Bool(is_global(ip(a)?)))),
    global("cidr", &["string -> cidr"], |a, _| parse_cidr(text(a, 0)?).map(Value::Cidr))
        .estimated(calls::walk)
        .metered(cost::walk),
    global("isCIDR", &["string -> bool"], |a, _| Ok(Value::Bool(parse_cidr(text(a, 0)?).is_ok())))
        .estimated(calls::walk)
        .metered(cost::walk),
    member("containsIP", &["cidr, string -> bool", "cidr, ip -> bool"], |a, _| {
        let address = match &a[1] {
            Value::Ip(address) => *address,
            // Upstream hands on what went wrong as if it were an address.
            _ => parse_ip(text(a, 1)?).map_err(|_| EvalError::NoOverload)?,
        };
        Ok(Value::Bool(cidr(a)?.contains(&address)))
    })
    .estimated(|asked| (TWO_ADDRESSES.scaled(WALK) + parsing(asked)).into())
    .metered(|used| scaled(2 * used.size(0), WALK) + parsed(used)),
    member("containsCIDR", &["cidr, string -> bool", "cidr, cidr -> bool"], |a, _| {
        let inner = match &a[1] {
            Value::Cidr(inner) => *inner,
            _ => parse_cidr(text(a, 1)?)?,
        };
        Ok(Value::Bool(cidr(a)?.contains(&inner)))
    })
    // The inner range is masked, and its length compared.
    .estimated(|asked| {
        let masked = ADDRESS.scaled(WALK) + Estimate::exactly(1);
        (TWO_ADDRESSES.scaled(WALK) + masked + parsing(asked)).into()
    })
    .metered(|used| scaled(2 * used.size(0), WALK) + scaled(used.size(0), WALK) + 1 + parsed(used)),
    member("ip", &["cidr -> ip"], |a, _| Ok(Value::Ip(cidr(a)?.addr()))),
    member("masked", &["cidr -> cidr"], |a, _| Ok(Value::Cidr(cidr(a)?.trunc()))),
    member("prefixLength", &["cidr -> int"], |a, _| Ok(Value::Int(cidr(a)?.prefix_len().into()))),
];

/// Bytes of an address.
const ADDRESS: Estimate = Estimate { min: 4, max: 16 };
const TWO_ADDRESSES: Estimate = Estimate { min: 8, max: 32 };

/// What it costs to read the second argument, if it is a text.
fn parsing(asked: &Asked<'_, '_>) -> Estimate {
    if asked.is_text(1) { asked.size(1).scaled(WALK) } else { Estimate::default() }
}

/// What it has cost to read the second argument, if it was known to be a text.
fn parsed(used: &Used<'_, '_>) -> u64 {
    if used.is_text(1) { scaled(used.size(1), WALK) } else { 0 }
}

fn ip(a: &[Value<'_>]) -> Result<IpAddr, EvalError> {
    if let Value::Ip(address) = &a[0] { Ok(*address) } else { Err(EvalError::NoOverload) }
}

fn cidr(a: &[Value<'_>]) -> Result<IpNet, EvalError> {
    if let Value::Cidr(range) = &a[0] { Ok(*range) } else { Err(EvalError::NoOverload) }
}

/// What upstream says before why a range cannot be read, twice if it is the text itself.
const NO_RANGE: &str = "network address parse error during conversion from string";

/// IPv4 written as IPv6 is refused, as zones are.
fn parse_ip(text: &str) -> Result<IpAddr, EvalError> {
    match text.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            wrong(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        Ok(address) => Ok(address),
        Err(_) if words::zoned(text) => wrong(format!("IP address {text:?} with zone value is not allowed")),
        Err(_) => {
            let why = words::address(text);
            wrong(format!("IP Address {text:?} parse error during conversion from string: {why}"))
        }
    }
}

fn parse_cidr(text: &str) -> Result<IpNet, EvalError> {
    match text.parse::<IpNet>() {
        Ok(IpNet::V6(range)) if range.addr().to_ipv4_mapped().is_some() => {
            wrong(format!("{NO_RANGE}: IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        Ok(range) => Ok(range),
        Err(_) => wrong(format!("{NO_RANGE}: {NO_RANGE}: {}", words::range(text))),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

/// Private addresses are global to Go, too.
fn is_global(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(broadcast
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || is_link_local(address))
}
