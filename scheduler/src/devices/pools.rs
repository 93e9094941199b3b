//! Which pools have devices for a node, and whether one can rely on what is shown of them.
//!
//! Upstream: `structured/internal/incubating/pools_incubating.go`.

use super::Amounts;
use super::allocate::Node;
use super::slices::{Device, Reach, Slice};
use super::state::Devices;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A pool, as far as it is reached from the node.
#[derive(Debug)]
pub struct Pool<'a> {
    /// `driver/pool`.
    pub name: String,
    /// Whether one can rely on it.
    pub standing: Standing,
    /// The slices with devices for the node, by name.
    pub slices: Vec<&'a Slice>,
    /// The pool's other devices, which may draw from the same counters.
    pub elsewhere: Vec<&'a Slice>,
    /// What its devices draw from, by set.
    pub counters: HashMap<&'a str, &'a Amounts>,
}

/// Whether one can rely on what is shown of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One can.
    Complete,
    /// The driver is still at it.
    Incomplete,
    /// It contradicts itself.
    Invalid,
}

impl Pool<'_> {
    fn has_binding_conditions(&self) -> bool {
        let mut devices = self.slices.iter().flat_map(|slice| &slice.devices);
        devices.any(|device| device.binding_conditions.is_some())
    }
}

/// All pools with devices for the node, in the order in which devices are tried: by name, those with
/// binding conditions last.
pub fn gather<'a>(devices: &'a Devices, node: &Node<'_>) -> Vec<Pool<'a>> {
    let mut pools: BTreeMap<(&str, &str), Vec<&Slice>> = BTreeMap::new();
    for slice in devices.slices_for(node.name) {
        if !is_relevant(slice, node) {
            continue;
        }
        let known = pools.entry((&slice.driver, &slice.pool)).or_default();
        match known.first().map(|first| first.generation) {
            // It has been replaced already.
            Some(generation) if slice.generation < generation => {}
            Some(generation) if slice.generation > generation => *known = vec![slice],
            Some(_) | None => known.push(slice),
        }
    }
    let pools = pools.into_iter().filter_map(|((driver, pool), slices)| build(devices, driver, pool, slices));
    let (late, mut all): (Vec<_>, Vec<_>) = pools.partition(Pool::has_binding_conditions);
    all.extend(late);
    all
}

fn is_relevant(slice: &Slice, node: &Node<'_>) -> bool {
    match &slice.reach {
        // Without them no device of the pool can be used.
        _ if slice.is_of_counters() => true,
        Reach::PerDevice => slice.devices.iter().any(|device| device.reach.includes(node.name, node.labels)),
        reach => reach.includes(node.name, node.labels),
    }
}

/// The pool; `None` if there is a newer generation, none of which is for the node.
fn build<'a>(devices: &'a Devices, driver: &str, name: &str, mut slices: Vec<&'a Slice>) -> Option<Pool<'a>> {
    let first = slices.first().copied()?;
    let is_whole = |slices: &[&Slice]| i64::try_from(slices.len()) == Ok(first.count);
    let mut elsewhere = Vec::new();
    let mut standing = Standing::Complete;
    if !is_whole(&slices) {
        let all: Vec<_> = devices.slices_of(driver, name).collect();
        if all.iter().any(|slice| slice.generation > first.generation) {
            return None;
        }
        let all: Vec<_> = all.into_iter().filter(|slice| slice.generation == first.generation).collect();
        if !is_whole(&all) {
            standing = Standing::Incomplete;
        }
        let here: HashSet<&str> = slices.iter().map(|slice| slice.name.as_str()).collect();
        elsewhere = all.into_iter().filter(|slice| !here.contains(slice.name.as_str())).collect();
    }
    slices.sort_by(|a, b| a.name.cmp(&b.name));
    let (of_counters, slices): (Vec<_>, Vec<_>) = slices.into_iter().partition(|slice| slice.is_of_counters());
    let counters = counters(&of_counters);
    if standing == Standing::Complete && !is_valid(&slices, &elsewhere, counters.as_ref()) {
        standing = Standing::Invalid;
    }
    let name = format!("{driver}/{name}");
    match standing {
        Standing::Complete => Some(Pool { name, standing, slices, elsewhere, counters: counters.unwrap_or_default() }),
        Standing::Incomplete | Standing::Invalid => {
            Some(Pool { name, standing, slices: Vec::new(), elsewhere: Vec::new(), counters: HashMap::new() })
        }
    }
}

/// The sets by name; `None` if two have the same.
fn counters<'a>(slices: &[&'a Slice]) -> Option<HashMap<&'a str, &'a Amounts>> {
    let mut all: HashMap<&str, &Amounts> = HashMap::new();
    for set in slices.iter().flat_map(|slice| &slice.counters) {
        if all.insert(&set.name, &set.counters).is_some() {
            return None;
        }
    }
    Some(all)
}

/// Whether device names are unique on the node, and counters exist from which devices draw.
fn is_valid(slices: &[&Slice], elsewhere: &[&Slice], counters: Option<&HashMap<&str, &Amounts>>) -> bool {
    let Some(counters) = counters else { return false };
    let mut names = HashSet::new();
    let draws_right = |device: &Device| {
        device.consumes.iter().all(|used| {
            let set = counters.get(used.name.as_str());
            set.is_some_and(|set| used.counters.keys().all(|name| set.contains_key(name)))
        })
    };
    let mut here = slices.iter().flat_map(|slice| &slice.devices);
    here.all(|device| names.insert(&device.id.device) && draws_right(device))
        && elsewhere.iter().flat_map(|slice| &slice.devices).all(draws_right)
}
