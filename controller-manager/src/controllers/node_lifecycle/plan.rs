//! The decisions: is a node silent, which taints should it have, how fast may nodes be given up.

pub(super) mod health;
pub(super) mod taints;
pub(super) mod zones;

/// What the flags say by default.
#[cfg(test)]
fn options() -> crate::manager::options::NodeHealth {
    use crate::manager::options::NodeHealth;
    use std::time::Duration;
    NodeHealth {
        period: Duration::from_secs(5),
        grace: Duration::from_secs(40),
        startup_grace: Duration::from_secs(60),
        rate: 0.1,
        secondary_rate: 0.01,
        large_zone: 50,
        unhealthy_share: 0.55,
    }
}
