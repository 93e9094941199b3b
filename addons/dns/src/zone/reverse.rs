//! Names below `in-addr.arpa` and `ip6.arpa`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a reverse name stands for; `None` for any other name.
pub fn address(name: &str) -> Option<IpAddr> {
    if let Some(front) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0_u8; 4];
        let labels: Vec<&str> = front.split('.').collect();
        if labels.len() != 4 {
            return None;
        }
        for (octet, label) in octets.iter_mut().zip(labels.iter().rev()) {
            *octet = label.parse().ok()?;
        }
        return Some(Ipv4Addr::from(octets).into());
    }
    let front = name.strip_suffix(".ip6.arpa")?;
    let nibbles: Vec<&str> = front.split('.').collect();
    if nibbles.len() != 32 || nibbles.iter().any(|n| n.len() != 1) {
        return None;
    }
    let mut bits = 0_u128;
    for nibble in nibbles.iter().rev() {
        bits = bits << 4 | u128::from(u8::from_str_radix(nibble, 16).ok()?);
    }
    Some(Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_reverse_names() {
        assert_eq!(address("4.3.2.1.in-addr.arpa"), Some(IpAddr::from([1, 2, 3, 4])));
        let six = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(address(&six), Some("2001:db8::1".parse().expect("an address")));
        for name in
            ["3.2.1.in-addr.arpa", "x.3.2.1.in-addr.arpa", "256.3.2.1.in-addr.arpa", "1.ip6.arpa", "example.org"]
        {
            assert_eq!(address(name), None, "{name}");
        }
    }
}
