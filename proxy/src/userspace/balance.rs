//! Which endpoint a connection goes to: the next one, or the one that its client had.
//!
//! Upstream: `pkg/proxy/userspace/roundrobin.go` of v1.25.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How many clients are remembered for a port; further ones do not stick.
const MOST_CLIENTS: usize = 100_000;

/// Endpoints that take turns.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    endpoints: Vec<SocketAddr>,
    next: usize,
    /// How long a client that does not come keeps its endpoint, if it does at all.
    sticky: Option<Duration>,
    clients: HashMap<IpAddr, (SocketAddr, Instant)>,
}

impl Balancer {
    /// Replaces the endpoints. Clients of one that has gone get another.
    pub(super) fn update(&mut self, endpoints: &[SocketAddr], sticky: Option<Duration>) {
        self.endpoints = endpoints.to_vec();
        self.sticky = sticky;
        match sticky {
            Some(_) => self.clients.retain(|_, (endpoint, _)| endpoints.contains(endpoint)),
            None => self.clients.clear(),
        }
    }

    /// The endpoint for a client; another than before if that one did not answer.
    pub(super) fn pick(&mut self, client: IpAddr, did_not_answer: bool, now: Instant) -> Option<SocketAddr> {
        let known = self.sticky.and_then(|time| {
            let (endpoint, seen) = self.clients.get(&client)?;
            (!did_not_answer && now.duration_since(*seen) < time).then_some(*endpoint)
        });
        let picked = match known {
            Some(endpoint) => endpoint,
            None => {
                self.next = self.next.checked_add(1).filter(|next| *next < self.endpoints.len()).unwrap_or(0);
                *self.endpoints.get(self.next)?
            }
        };
        self.remember(client, picked, now);
        Some(picked)
    }

    /// Whether traffic may still go there.
    pub(super) fn has(&self, endpoint: &SocketAddr) -> bool {
        self.endpoints.contains(endpoint)
    }

    fn remember(&mut self, client: IpAddr, endpoint: SocketAddr, now: Instant) {
        let Some(time) = self.sticky else { return };
        if self.clients.len() >= MOST_CLIENTS && !self.clients.contains_key(&client) {
            self.clients.retain(|_, (_, seen)| now.duration_since(*seen) < time);
        }
        if self.clients.len() < MOST_CLIENTS || self.clients.contains_key(&client) {
            self.clients.insert(client, (endpoint, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(numbers: &[u16]) -> Vec<SocketAddr> {
        numbers.iter().map(|n| SocketAddr::from(([10, 0, 0, 1], *n))).collect()
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

    #[test]
    fn endpoints_take_turns() {
        let mut balancer = Balancer::default();
        let now = Instant::now();
        assert_eq!(balancer.pick(CLIENT, false, now), None);
        balancer.update(&endpoints(&[1, 2, 3]), None);
        let mut seen: Vec<u16> =
            (0..6).filter_map(|_| balancer.pick(CLIENT, false, now)).map(|endpoint| endpoint.port()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn clients_stick_until_they_stay_away_or_their_endpoint_goes() {
        let mut balancer = Balancer::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        balancer.update(&endpoints(&[1, 2]), Some(Duration::from_secs(10)));
        let first = balancer.pick(CLIENT, false, start);
        assert_eq!(balancer.pick(CLIENT, false, at(9)), first);
        assert_eq!(balancer.pick(CLIENT, false, at(18)), first);
        let second = balancer.pick(CLIENT, true, at(18));
        assert_ne!(second, first);
        assert_eq!(balancer.pick(CLIENT, false, at(27)), second);
        assert_eq!(balancer.pick(CLIENT, false, at(37)), first);
        let left: Vec<_> = second.into_iter().collect();
        balancer.update(&left, Some(Duration::from_secs(10)));
        assert_eq!(balancer.pick(CLIENT, false, at(38)), second);
    }
}
