//! Addresses and ranges whose spelling others may read otherwise.
//!
//! Upstream: `GetWarningsForIP` and `GetWarningsForCIDR`.

use super::Sink;
use crate::validation::addresses::{canonical, is_mapped, parse, parse_range};
use crate::validation::check::At;
use std::net::IpAddr;

pub(super) fn address(at: &At<'_>, text: &str, warn: &mut Sink<'_>) {
    let Some(address) = parse(text) else { return };
    if text.parse::<IpAddr>().is_err() || is_mapped(address) {
        let better = canonical(address).to_string();
        warn(format!("{}: non-standard IP address {text:?} is invalid: use {better:?}", at.path()));
    } else if address.is_ipv6() && address.to_string() != text {
        let better = address.to_string();
        warn(format!("{}: IPv6 address {text:?} should be in RFC 5952 canonical format ({better:?})", at.path()));
    }
}

pub(super) fn range(at: &At<'_>, text: &str, warn: &mut Sink<'_>) {
    let Some(range) = parse_range(text) else { return };
    let network = range.canonical();
    let is_ambiguous = range.network() != range.address;
    if is_ambiguous {
        let single = format!("{}/{}", canonical(range.address), if range.address.is_ipv4() { 32 } else { 128 });
        warn(format!(
            "{}: CIDR value {text:?} is ambiguous in this context (should be {network:?} or {single:?}?)",
            at.path()
        ));
    }
    let (spelled, prefix) = text.split_once('/').unwrap_or((text, ""));
    let is_odd =
        spelled.parse::<IpAddr>().is_err() || prefix.len() > 1 && prefix.starts_with('0') || is_mapped(range.address);
    if is_odd {
        warn(format!("{}: non-standard CIDR value {text:?} is invalid: use {network:?}", at.path()));
    }
    if !is_ambiguous && !is_odd && range.address.is_ipv6() && network != text {
        let path = at.path();
        warn(format!("{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({network:?})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        type Check = fn(&At<'_>, &str, &mut Sink<'_>);
        for (check, text, want) in [
            (address as Check, "10.0.0.1", None),
            (address, "fd00::1", None),
            (address, "010.0.0.1", Some("x: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"")),
            (
                address,
                "::ffff:1.2.3.4",
                Some("x: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\""),
            ),
            (
                address,
                "FD00::1",
                Some("x: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")"),
            ),
            (range, "10.0.0.0/8", None),
            (
                range,
                "10.0.0.1/8",
                Some(
                    "x: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
                ),
            ),
            (range, "10.0.0.0/08", Some("x: non-standard CIDR value \"10.0.0.0/08\" is invalid: use \"10.0.0.0/8\"")),
            (
                range,
                "FD00::/64",
                Some("x: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")"),
            ),
        ] {
            let mut said = Vec::new();
            check(&At::root("x"), text, &mut |text| said.push(text));
            assert_eq!(said.first().map(String::as_str), want, "{text}");
            assert!(said.len() < 2);
        }
    }
}
