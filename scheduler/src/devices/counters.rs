//! What the devices of a pool draw from together.
//!
//! Upstream: `checkAvailableCounters` of `structured/internal/incubating`.

use super::pools::Pool;
use super::slices::Device;
use super::state::Claims;
use apimachinery::quantity::Quantity;
use std::collections::{BTreeMap, HashMap};

/// What is left in the counters of pools, by set and name.
#[derive(Debug, Default)]
pub struct Counters<'a> {
    /// By the pool's number, once it was asked for.
    left: HashMap<usize, BTreeMap<(&'a str, &'a str), Quantity>>,
}

impl<'a> Counters<'a> {
    /// Draws from the pool what the device needs, if there is enough.
    pub fn draw(&mut self, number: usize, pool: &Pool<'a>, claims: &Claims, device: &'a Device) -> bool {
        let left = self.left.entry(number).or_insert_with(|| measure(pool, claims));
        take(left, device);
        // As upstream does, no counter of the pool may be overdrawn, whoever did that.
        let is_enough = left.values().all(|value| !value.is_negative());
        if !is_enough {
            self.refill(number, device);
        }
        is_enough
    }

    /// Gives back what the device drew.
    pub fn refill(&mut self, number: usize, device: &'a Device) {
        let Some(left) = self.left.get_mut(&number) else { return };
        for used in &device.consumes {
            for (counter, amount) in &used.counters {
                if let Some(value) = left.get_mut(&(used.name.as_str(), counter.as_str())) {
                    *value = *value + *amount;
                }
            }
        }
    }
}

/// What devices that claims have leave.
fn measure<'a>(pool: &Pool<'a>, claims: &Claims) -> BTreeMap<(&'a str, &'a str), Quantity> {
    let mut left = BTreeMap::new();
    for (set, counters) in &pool.counters {
        left.extend(counters.iter().map(|(counter, amount)| ((*set, counter.as_str()), *amount)));
    }
    let all = pool.slices.iter().chain(&pool.elsewhere).flat_map(|slice| &slice.devices);
    let taken = all.filter(|device| claims.has(&device.id) || claims.amounts(&device.id).is_some());
    taken.for_each(|device| take(&mut left, device));
    left
}

fn take<'a>(left: &mut BTreeMap<(&'a str, &'a str), Quantity>, device: &'a Device) {
    for used in &device.consumes {
        for (counter, amount) in &used.counters {
            if let Some(value) = left.get_mut(&(used.name.as_str(), counter.as_str())) {
                *value = *value - *amount;
            }
        }
    }
}
