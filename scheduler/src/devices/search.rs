//! The search: claim by claim, request by request, device by device, with every choice taken back
//! that leads nowhere. The first whole solution is taken.
//!
//! Within a request devices are tried in their order only, as all orders of the same devices are the
//! same to it.
//!
//! Upstream: `allocateOne` and `allocateDevice` of `structured/internal/incubating`. Unlike there, a
//! device that is refused for its taints or by a constraint gives back what it drew from counters.

use super::allocate::{AllocateError, Node};
use super::constraints::Constraint;
use super::counters::Counters;
use super::pools::{Pool, Standing};
use super::slices::{Device, DeviceId, Reach, Slice};
use super::state::Devices;
use super::wants::{Count, Want, fatal, name};
use super::{Amounts, MOST_DEVICES, capacity};
use apimachinery::quantity::Quantity;
use k8s_openapi::api::resource::v1 as resource;
use std::collections::{HashMap, HashSet};

/// A device, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pool: usize,
    /// Its slice.
    pub slice: &'a Slice,
    /// The device.
    pub device: &'a Device,
}

/// A device that a claim gets.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// Which.
    pub found: Found<'a>,
    /// For which request, by its number.
    pub request: usize,
    /// For which of its alternatives.
    pub alternative: usize,
    /// What it takes of the device's capacity, if others may have a part of it, too.
    pub share: Option<Amounts>,
}

/// What a claim gets.
#[derive(Clone, Debug, Default)]
pub struct Choice<'a> {
    /// The devices.
    pub devices: Vec<Chosen<'a>>,
    /// Which alternative each request got.
    pub alternatives: Vec<usize>,
}

/// How a part of the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a solution.
    Found,
    /// Without.
    Nothing,
    /// Without, and no other devices would help: a claim cannot have that many.
    TooMany,
}

/// One claim and what it asks for.
#[derive(Debug)]
pub struct Task<'a> {
    claim: &'a resource::ResourceClaim,
    /// By request, and alternative.
    pub wants: Vec<Vec<Want<'a>>>,
    /// The devices that `All` means, by request and alternative; empty for others.
    all: Vec<Vec<Vec<Found<'a>>>>,
}

/// Where in the search one is: which device of which request of which claim is next.
#[derive(Clone, Copy, Debug, Default)]
struct At {
    claim: usize,
    request: usize,
    alternative: usize,
    device: usize,
}

/// The search on one node.
pub struct Search<'a> {
    devices: &'a Devices,
    node: Node<'a>,
    pools: Vec<Pool<'a>>,
    /// What each claim asks for.
    pub tasks: Vec<Task<'a>>,
    constraints: Vec<Vec<Constraint<'a>>>,
    /// What each claim gets.
    pub choices: Vec<Choice<'a>>,
    /// Whether a device does for a request, by the device's place in memory.
    known: HashMap<(*const Device, usize, usize, usize), bool>,
    /// Devices that are being allocated, and for which claims.
    taking: HashMap<&'a DeviceId, HashSet<usize>>,
    /// Parts of devices that are being allocated.
    parts: HashMap<&'a DeviceId, Parts>,
    counters: Counters<'a>,
    is_late: &'a dyn Fn() -> bool,
}

#[derive(Debug, Default)]
struct Parts {
    count: usize,
    amounts: Amounts,
}

impl<'a> Search<'a> {
    /// Before the first step.
    pub fn new(devices: &'a Devices, node: Node<'a>, pools: Vec<Pool<'a>>, is_late: &'a dyn Fn() -> bool) -> Self {
        Self {
            devices,
            node,
            pools,
            tasks: Vec::new(),
            constraints: Vec::new(),
            choices: Vec::new(),
            known: HashMap::new(),
            taking: HashMap::new(),
            parts: HashMap::new(),
            counters: Counters::default(),
            is_late,
        }
    }

    /// Adds a claim to those that get devices.
    pub fn add(&mut self, claim: &'a resource::ResourceClaim, wants: Vec<Vec<Want<'a>>>) -> Result<(), AllocateError> {
        let number = self.tasks.len();
        let mut all = Vec::new();
        let mut least = 0usize;
        for (request, alternatives) in wants.iter().enumerate() {
            let mut found = Vec::new();
            let mut fewest = usize::MAX;
            for (alternative, want) in alternatives.iter().enumerate() {
                let (devices, count) = match want.count {
                    Count::Exactly(count) => (Vec::new(), count),
                    Count::All => {
                        let at = At { claim: number, request, alternative, device: 0 };
                        let devices = self.all(at, claim, want)?;
                        let count = devices.len();
                        (devices, count)
                    }
                };
                fewest = fewest.min(count);
                found.push(devices);
            }
            least = least.saturating_add(fewest);
            all.push(found);
        }
        if least > MOST_DEVICES {
            return Err(AllocateError::Fatal(format!(
                "claim {}: number of requested devices {least} exceeds the claim limit of {MOST_DEVICES}",
                name(claim)
            )));
        }
        let constraints = claim.spec.devices.iter().flat_map(|devices| devices.constraints.iter().flatten());
        let constraints = constraints.enumerate().map(|(index, constraint)| {
            Constraint::of(constraint).ok_or_else(|| {
                let who = name(claim);
                AllocateError::Fatal(format!(
                    "claim {who}, constraint #{index}: empty constraint (unsupported constraint type?)"
                ))
            })
        });
        self.constraints.push(constraints.collect::<Result<_, _>>()?);
        self.choices.push(Choice { devices: Vec::new(), alternatives: vec![0; wants.len()] });
        self.tasks.push(Task { claim, wants, all });
        Ok(())
    }

    /// Whether a pool contradicts itself.
    pub fn has_invalid_pool(&self) -> bool {
        self.pools.iter().any(|pool| pool.standing == Standing::Invalid)
    }

    /// Searches; whether there is a solution.
    pub fn run(&mut self) -> Result<bool, AllocateError> {
        match self.step(At::default(), false, (0, 0, 0))? {
            End::Found => Ok(true),
            End::Nothing => Ok(false),
            End::TooMany => Err(AllocateError::Fatal("allocation max size exceeded".to_owned())),
        }
    }

    /// All devices that do for the request.
    fn all(
        &mut self,
        at: At,
        claim: &resource::ResourceClaim,
        want: &Want<'a>,
    ) -> Result<Vec<Found<'a>>, AllocateError> {
        let mut found = Vec::new();
        for pool in 0..self.pools.len() {
            let of = &self.pools[pool];
            let state = match of.standing {
                Standing::Complete => None,
                Standing::Incomplete => Some("being updated"),
                Standing::Invalid => Some("invalid"),
            };
            if let Some(state) = state {
                let why = format!("asks for all devices, but resource pool {} is currently {state}", of.name);
                return Err(fatal(claim, want.name, &why));
            }
            for slice in of.slices.clone() {
                for device in &slice.devices {
                    if self.does(at, claim, want, slice, device)? && self.has_room(want, device) {
                        found.push(Found { pool, slice, device });
                    }
                }
            }
        }
        Ok(found)
    }

    fn step(&mut self, at: At, is_chosen: bool, from: (usize, usize, usize)) -> Result<End, AllocateError> {
        if (self.is_late)() {
            return Err(AllocateError::Late);
        }
        let Some(task) = self.tasks.get(at.claim) else { return Ok(End::Found) };
        let Some(alternatives) = task.wants.get(at.request) else {
            // Another alternative of an earlier claim may leave room for fewer devices of this one.
            let end = self.step(At { claim: at.claim + 1, ..At::default() }, false, (0, 0, 0))?;
            return Ok(if end == End::TooMany { End::Nothing } else { end });
        };
        if !is_chosen && alternatives[0].parent.is_some() {
            return self.alternatives(at, alternatives.len());
        }
        let (want_count, all_count) = (alternatives[at.alternative].count, task.all[at.request][at.alternative].len());
        let count = match want_count {
            Count::Exactly(count) => count,
            Count::All if all_count == 0 => return Ok(End::Nothing),
            Count::All => all_count,
        };
        if at.device >= count {
            return self.step(At { claim: at.claim, request: at.request + 1, ..At::default() }, false, (0, 0, 0));
        }
        if self.choices[at.claim].devices.len() + count - at.device > MOST_DEVICES {
            return Ok(End::TooMany);
        }
        if want_count == Count::All {
            let found = task.all[at.request][at.alternative][at.device];
            return self.take(at, found, true, is_chosen, (0, 0, 0));
        }
        self.candidates(at, is_chosen, from)
    }

    /// The first alternative that works.
    fn alternatives(&mut self, at: At, count: usize) -> Result<End, AllocateError> {
        let mut end = End::TooMany;
        for alternative in 0..count {
            self.choices[at.claim].alternatives[at.request] = alternative;
            match self.step(At { alternative, ..at }, true, (0, 0, 0))? {
                End::Found => return Ok(End::Found),
                End::Nothing => end = End::Nothing,
                // Another one may need fewer.
                End::TooMany => {}
            }
        }
        Ok(end)
    }

    /// The first device from a place on that works.
    fn candidates(&mut self, at: At, is_chosen: bool, from: (usize, usize, usize)) -> Result<End, AllocateError> {
        let claim = self.tasks[at.claim].claim;
        for pool in from.0..self.pools.len() {
            if self.pools[pool].standing != Standing::Complete {
                continue;
            }
            let first_slice = if pool == from.0 { from.1 } else { 0 };
            for number in first_slice..self.pools[pool].slices.len() {
                let slice = self.pools[pool].slices[number];
                let first = if (pool, number) == (from.0, from.1) { from.2 } else { 0 };
                for (index, device) in slice.devices.iter().enumerate().skip(first) {
                    if !self.is_free(at, device) || !self.does_at(at, claim, slice, device)? {
                        continue;
                    }
                    let found = Found { pool, slice, device };
                    match self.take(at, found, false, is_chosen, (pool, number, index + 1))? {
                        End::Nothing => {}
                        end => return Ok(end),
                    }
                }
            }
        }
        Ok(End::Nothing)
    }

    /// Takes the device, and goes on with the next; gives it back if that leads nowhere.
    fn take(
        &mut self,
        at: At,
        found: Found<'a>,
        must: bool,
        is_chosen: bool,
        next: (usize, usize, usize),
    ) -> Result<End, AllocateError> {
        let Some(drew) = self.allocate(at, found, must)? else { return Ok(End::Nothing) };
        let end = self.step(At { device: at.device + 1, ..at }, is_chosen, next)?;
        if end != End::Found {
            self.deallocate(at, found, drew);
        }
        Ok(end)
    }

    fn want(&self, at: At) -> &Want<'a> {
        &self.tasks[at.claim].wants[at.request][at.alternative]
    }

    fn is_free(&self, at: At, device: &Device) -> bool {
        let takers = self.taking.get(&device.id);
        if self.want(at).is_admin {
            return takers.is_none_or(|claims| !claims.contains(&at.claim));
        }
        !self.devices.claims.has(&device.id) && takers.is_none_or(HashSet::is_empty)
    }

    fn has_room(&self, want: &Want<'a>, device: &Device) -> bool {
        let taking = self.parts.get(&device.id).map(|parts| &parts.amounts);
        capacity::fits(device, &want.amounts, self.devices.claims.amounts(&device.id), taking)
    }

    fn does_at(
        &mut self,
        at: At,
        claim: &resource::ResourceClaim,
        slice: &Slice,
        device: &Device,
    ) -> Result<bool, AllocateError> {
        let key = (std::ptr::from_ref(device), at.claim, at.request, at.alternative);
        let does = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let does = self.judge(claim, self.want(at), slice, device)?;
                self.known.insert(key, does);
                does
            }
        };
        Ok(does && self.has_room(self.want(at), device))
    }

    fn does(
        &mut self,
        at: At,
        claim: &resource::ResourceClaim,
        want: &Want<'a>,
        slice: &Slice,
        device: &Device,
    ) -> Result<bool, AllocateError> {
        let does = self.judge(claim, want, slice, device)?;
        self.known.insert((std::ptr::from_ref(device), at.claim, at.request, at.alternative), does);
        Ok(does)
    }

    /// Whether class and request select the device, and it is reached.
    fn judge(
        &self,
        claim: &resource::ResourceClaim,
        want: &Want<'a>,
        slice: &Slice,
        device: &Device,
    ) -> Result<bool, AllocateError> {
        let of_class = want.class.spec.selectors.iter().flatten();
        for (index, selector) in of_class.enumerate() {
            let expression = selector.cel.as_ref().map_or("", |cel| cel.expression.as_str());
            let matches = self.devices.selectors.select(expression, device).map_err(|error| {
                AllocateError::Fatal(format!("class {}: selector #{index}: {error}", want.class.name))
            })?;
            if !matches {
                return Ok(false);
            }
        }
        for (index, expression) in want.selectors.iter().enumerate() {
            let matches =
                self.devices.selectors.select(expression, device).map_err(|error| {
                    AllocateError::Fatal(format!("claim {}: selector #{index}: {error}", name(claim)))
                })?;
            if !matches {
                return Ok(false);
            }
        }
        Ok(!matches!(slice.reach, Reach::PerDevice) || device.reach.includes(self.node.name, self.node.labels))
    }

    /// Takes the device, if nothing speaks against it; whether it drew from counters.
    fn allocate(&mut self, at: At, found: Found<'a>, must: bool) -> Result<Option<bool>, AllocateError> {
        let device = found.device;
        if !self.is_free(at, device) && !(device.is_shared && self.want(at).is_admin) {
            return Ok(None);
        }
        if self.want(at).is_repelled_by(&device.taints) || !self.has_room(self.want(at), device) {
            return Ok(None);
        }
        // Who has a part of a device has drawn already what all of it needs.
        let is_used = self.devices.claims.amounts(&device.id).is_some() || self.parts.contains_key(&device.id);
        let draws = !device.consumes.is_empty() && !(device.is_shared && is_used);
        if draws && !self.counters.draw(found.pool, &self.pools[found.pool], &self.devices.claims, device) {
            return Ok(None);
        }
        if !self.constrain(at, device) {
            if draws {
                self.counters.refill(found.pool, device);
            }
            if must {
                let want = self.want(at);
                let why = format!("cannot add device {} because a claim constraint would not be satisfied", device.id);
                return Err(fatal(self.tasks[at.claim].claim, want.name, &why));
            }
            return Ok(None);
        }
        let mut share = None;
        if device.is_shared {
            let amounts = capacity::consumption(device, &self.want(at).amounts);
            let parts = self.parts.entry(&device.id).or_default();
            parts.count += 1;
            for (name, amount) in &amounts {
                let sum = parts.amounts.entry(name.clone()).or_insert(Quantity::ZERO);
                *sum = *sum + *amount;
            }
            share = Some(amounts);
        } else {
            self.taking.entry(&device.id).or_default().insert(at.claim);
        }
        let chosen = Chosen { found, request: at.request, alternative: at.alternative, share };
        self.choices[at.claim].devices.push(chosen);
        Ok(Some(draws))
    }

    fn deallocate(&mut self, at: At, found: Found<'a>, drew: bool) {
        let (request, full_name) = (self.want(at).request().to_owned(), self.want(at).full_name());
        self.constraints[at.claim].iter_mut().for_each(|constraint| constraint.remove(&request, &full_name));
        if let Some(claims) = self.taking.get_mut(&found.device.id) {
            claims.remove(&at.claim);
        }
        let share = self.choices[at.claim].devices.pop().and_then(|chosen| chosen.share);
        if let (Some(amounts), Some(parts)) = (share, self.parts.get_mut(&found.device.id)) {
            parts.count -= 1;
            for (name, amount) in amounts {
                if let Some(sum) = parts.amounts.get_mut(&name) {
                    *sum = *sum - amount;
                }
            }
            if parts.count == 0 {
                self.parts.remove(&found.device.id);
            }
        }
        if drew {
            self.counters.refill(found.pool, found.device);
        }
    }

    fn constrain(&mut self, at: At, device: &'a Device) -> bool {
        let (request, full_name) = (self.want(at).request().to_owned(), self.want(at).full_name());
        let constraints = &mut self.constraints[at.claim];
        let refused = constraints.iter_mut().position(|constraint| !constraint.add(&request, &full_name, device));
        let Some(refused) = refused else { return true };
        constraints[..refused].iter_mut().for_each(|constraint| constraint.remove(&request, &full_name));
        false
    }
}
