//! How often logins may be tried, from each address and in all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// Tries that may come at once from one address; and one more after each pause.
const BURST: u32 = 10;
const PAUSE: Duration = Duration::from_secs(6);
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// The tries of all addresses.
#[derive(Debug, Default)]
pub struct Tries {
    /// When an address will have all its tries again.
    full: HashMap<IpAddr, Instant>,
}

impl Tries {
    /// Takes one try; how long to wait if there is none.
    pub fn take(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.full.len() >= ADDRESSES {
            self.full.retain(|_, full| *full > now);
        }
        let from = network(from);
        if self.full.len() >= ADDRESSES && !self.full.contains_key(&from) {
            return Err(PAUSE);
        }
        let full = self.full.entry(from).or_insert(now);
        let after = (*full).max(now) + PAUSE;
        let allowed = now + PAUSE * BURST;
        if after > allowed {
            return Err(after - allowed);
        }
        *full = after;
        Ok(())
    }
}

/// Whoever has one address of IPv6 has its whole network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(tries.take(address("10.0.0.1"), start), Ok(()));
        }
        assert_eq!(tries.take(address("10.0.0.1"), start), Err(PAUSE));
        assert_eq!(tries.take(address("10.0.0.2"), start), Ok(()), "others are not held up");
        assert_eq!(tries.take(address("10.0.0.1"), start + PAUSE), Ok(()));
        assert!(tries.take(address("10.0.0.1"), start + PAUSE).is_err());
    }

    #[test]
    fn networks_of_ipv6_count_as_one() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let passed = (0..40).filter(|n| tries.take(address(&format!("2001:db8::{n:x}")), now).is_ok()).count();
        assert_eq!(passed, BURST as usize);
        assert_eq!(tries.take(address("2001:db8:0:1::1"), now), Ok(()));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for n in 0..ADDRESSES as u32 {
            assert_eq!(tries.take(IpAddr::V4(n.into()), now), Ok(()));
        }
        assert_eq!(tries.take(address("255.0.0.1"), now), Err(PAUSE));
        assert_eq!(tries.take(address("255.0.0.1"), now + PAUSE), Ok(()), "who was forgotten has made room");
    }
}
