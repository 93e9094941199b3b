//! IP addresses and ranges of them in the two forms that fields take: fields that have always been
//! there take any unambiguous spelling, newer ones the canonical one only.
//!
//! Upstream: `apimachinery/pkg/util/validation/ip.go`, with `StrictIPCIDRValidation`.

use super::check::{At, Report};
use apimachinery::field::{FieldError, FieldErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NO_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Range {
    /// The network's first address.
    pub(crate) fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from(u32::from(v4) & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from(u128::from(v6) & mask).into()
            }
        }
    }

    /// Whether an address is in the network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self { address, ..self }.network() == self.network()
    }

    /// As upstream writes it.
    pub(crate) fn canonical(self) -> String {
        format!("{}/{}", canonical(self.network()), self.prefix)
    }
}

/// As upstream writes it: IPv4 that is mapped into IPv6 becomes IPv4 again.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether an address is IPv4 in IPv6's clothes.
pub(crate) fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// Reads an address; digits may have zeros before them.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| without_zeros(text)?.parse().ok())
}

/// Reads a range; digits may have zeros before them.
pub(crate) fn parse_range(text: &str) -> Option<Range> {
    let (address, prefix) = text.split_once('/')?;
    let address = parse(address)?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| digits)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= max).then_some(Range { address, prefix })
}

/// The text without zeros that have no meaning; `None` if there are none.
fn without_zeros(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (run, after) = rest.split_at(digits);
        let kept = run.trim_start_matches('0');
        out.push_str(if kept.is_empty() && !run.is_empty() { "0" } else { kept });
        let other = after.find(|c: char| c.is_ascii_hexdigit()).unwrap_or(after.len());
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
    (out.len() < text.len()).then_some(out)
}

/// Whether a prefix length is written without zeros before it.
fn is_plain_prefix(text: &str) -> bool {
    text.split_once('/').is_some_and(|(_, prefix)| prefix == "0" || !prefix.starts_with('0'))
}

/// An address in any unambiguous spelling, or one of those that the field had before; whether it is
/// right.
pub(super) fn legacy<'a>(at: &At<'_>, text: &str, before: impl IntoIterator<Item = &'a str>, out: &mut Report) -> bool {
    let why = match (text.parse::<IpAddr>(), parse(text)) {
        (Ok(address), _) if !is_mapped(address) => return true,
        _ if before.into_iter().any(|old| old == text) => return true,
        (Ok(_), _) => "must not be an IPv4-mapped IPv6 address",
        (Err(_), Some(_)) => "must not have leading 0s",
        (Err(_), None) => NO_ADDRESS,
    };
    out.invalid(at, text, why);
    false
}

/// What is wrong with an address as the name of an object.
pub(super) fn name_errors(name: &str) -> Vec<String> {
    let mut out = Report::default();
    strict(&At::root("name"), name, &mut out);
    let detail = |error: FieldError| match error.kind {
        FieldErrorKind::Invalid(_, detail) => detail,
        other => format!("{other:?}"),
    };
    out.finish().into_iter().map(detail).collect()
}

/// An address in its canonical spelling; whether it is right.
pub(super) fn strict(at: &At<'_>, text: &str, out: &mut Report) -> bool {
    if !legacy(at, text, [], out) {
        return false;
    }
    match parse(text) {
        Some(address) if address.to_string() != text => {
            out.invalid(at, text, format!("must be in canonical form ({:?})", address.to_string()));
            false
        }
        _ => true,
    }
}

/// A range in any unambiguous spelling, or one of those that the field had before.
pub(super) fn legacy_range<'a>(
    at: &At<'_>,
    text: &str,
    before: impl IntoIterator<Item = &'a str>,
    out: &mut Report,
) -> bool {
    let Some(why) = range_error(text) else { return true };
    if before.into_iter().any(|old| old == text) {
        return true;
    }
    out.invalid(at, text, why);
    false
}

/// A range in its canonical spelling.
pub(super) fn strict_range(at: &At<'_>, text: &str, out: &mut Report) {
    if !legacy_range(at, text, [], out) {
        return;
    }
    if let Some(canonical) = parse_range(text).map(Range::canonical).filter(|canonical| canonical != text) {
        out.invalid(at, text, format!("must be in canonical form ({canonical:?})"));
    }
}

fn range_error(text: &str) -> Option<&'static str> {
    let Some(range) = parse_range(text) else { return Some(NO_RANGE) };
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    Some(match () {
        () if address.parse::<IpAddr>().is_err() || !is_plain_prefix(text) => {
            "must not have leading 0s in IP or prefix length"
        }
        () if is_mapped(range.address) => "must not have an IPv4-mapped IPv6 address",
        () if range.network() != range.address => "must not have bits set beyond the prefix length",
        () => return None,
    })
}

/// An address that can be another machine's. Global multicast addresses pass, as they do upstream.
pub(super) fn endpoint(at: &At<'_>, text: &str, out: &mut Report) {
    let Some(address) = parse(text) else { return out.invalid(at, text, "must be a valid IP address") };
    match canonical(address) {
        any if any.is_unspecified() => out.invalid(at, text, format!("may not be unspecified ({text})")),
        any if any.is_loopback() => out.invalid(at, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        IpAddr::V4(v4) if v4.is_link_local() => out.invalid(at, text, LINK_LOCAL),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => out.invalid(at, text, LINK_LOCAL),
        IpAddr::V4(v4) if v4.octets()[..3] == [224, 0, 0] => out.invalid(at, text, LINK_LOCAL_MULTICAST),
        IpAddr::V6(v6) if v6.segments()[0] & 0xff0f == 0xff02 => out.invalid(at, text, LINK_LOCAL_MULTICAST),
        _ => {}
    }
}

const LINK_LOCAL: &str = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
const LINK_LOCAL_MULTICAST: &str = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: impl FnOnce(&At<'_>, &mut Report)) -> Option<String> {
        let mut report = Report::default();
        check(&At::root("x"), &mut report);
        let errors = report.finish();
        errors.first().map(|error| error.to_string().rsplit_once(": ").map_or(String::new(), |(_, why)| why.to_owned()))
    }

    #[test]
    fn addresses_are_unambiguous() {
        for (text, legacy_says, strict_says) in [
            ("10.0.0.1", None, None),
            ("fe80::a", None, None),
            ("FE80::0A", None, Some("must be in canonical form (\"fe80::a\")")),
            ("010.0.0.1", Some("must not have leading 0s"), Some("must not have leading 0s")),
            ("::00001", Some("must not have leading 0s"), Some("must not have leading 0s")),
            (
                "::ffff:1.2.3.4",
                Some("must not be an IPv4-mapped IPv6 address"),
                Some("must not be an IPv4-mapped IPv6 address"),
            ),
            ("10.0.0.300", Some("10.9.8.7"), Some("10.9.8.7")),
            ("", Some("10.9.8.7"), Some("10.9.8.7")),
            ("1.2.3", Some("10.9.8.7"), Some("10.9.8.7")),
            ("fe80::1%eth0", Some("10.9.8.7"), Some("10.9.8.7")),
        ] {
            let is = |got: Option<String>, want: Option<&str>| match (got, want) {
                (None, None) => true,
                (Some(got), Some(want)) => {
                    got.contains(want) || NO_ADDRESS.contains(want) && NO_ADDRESS.ends_with(&got)
                }
                _ => false,
            };
            assert!(is(found(|at, out| _ = legacy(at, text, [], out)), legacy_says), "{text}");
            assert!(is(found(|at, out| _ = strict(at, text, out)), strict_says), "{text}");
            assert_eq!(found(|at, out| _ = legacy(at, text, [text], out)), None, "what was there stays");
        }
    }

    #[test]
    fn ranges_are_networks() {
        for (text, want) in [
            ("10.0.0.0/8", None),
            ("0.0.0.0/0", None),
            ("::/0", None),
            ("fd00::/128", None),
            ("10.0.0.1/8", Some("must not have bits set beyond the prefix length")),
            ("10.0.0.0/08", Some("must not have leading 0s in IP or prefix length")),
            ("010.0.0.0/8", Some("must not have leading 0s in IP or prefix length")),
            ("::ffff:1.2.3.0/120", Some("must not have an IPv4-mapped IPv6 address")),
            ("10.0.0.0/33", Some(NO_RANGE)),
            ("10.0.0.0/+8", Some(NO_RANGE)),
            ("10.0.0.0", Some(NO_RANGE)),
        ] {
            assert_eq!(range_error(text), want, "{text}");
        }
        let canonical = found(|at, out| strict_range(at, "FD00::/64", out));
        assert_eq!(canonical.as_deref(), Some("must be in canonical form (\"fd00::/64\")"));
    }

    #[test]
    fn endpoints_are_elsewhere() {
        for bad in ["0.0.0.0", "::", "127.1.2.3", "::1", "169.254.1.1", "fe80::1", "224.0.0.5", "ff02::1", "x"] {
            assert!(found(|at, out| endpoint(at, bad, out)).is_some(), "{bad}");
        }
        for good in ["10.0.0.1", "fd00::1", "239.1.1.1", "ff0e::1"] {
            assert!(found(|at, out| endpoint(at, good, out)).is_none(), "{good}");
        }
    }
}
