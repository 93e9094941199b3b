//! How much of a device's capacity a request takes.
//!
//! Upstream: `structured/internal/incubating/consumable_capacity.go`.

use super::Amounts;
use super::slices::{Capacity, Device, Policy, Valid};
use apimachinery::quantity::{Format, Quantity};

/// Whether the device has what the request asks for, besides what is taken by others and by what is
/// being allocated.
pub fn fits(device: &Device, asked: &Amounts, taken: Option<&Amounts>, taking: Option<&Amounts>) -> bool {
    // What the device does not have at all, it cannot give.
    if asked.keys().any(|name| !device.capacity.contains_key(name)) {
        return false;
    }
    device.capacity.iter().all(|(name, capacity)| {
        let consumed = consumed(asked.get(name), capacity);
        let others = [taken, taking].into_iter().flatten().filter_map(|amounts| amounts.get(name));
        let sum = others.fold(consumed, |sum, other| sum + *other);
        capacity.policy.as_ref().is_none_or(|policy| policy.allows(consumed)) && sum <= capacity.value
    })
}

/// What the request takes of each capacity.
pub fn consumption(device: &Device, asked: &Amounts) -> Amounts {
    let all = device.capacity.iter();
    all.map(|(name, capacity)| (name.clone(), consumed(asked.get(name), capacity))).collect()
}

/// What is asked for, rounded up to what is allowed; all of it, or the default, if nothing is.
fn consumed(asked: Option<&Quantity>, capacity: &Capacity) -> Quantity {
    let default = || capacity.policy.as_ref().and_then(|policy| policy.default).unwrap_or(capacity.value);
    let Some(asked) = asked.copied() else { return default() };
    match capacity.policy.as_ref().map(|policy| &policy.valid) {
        Some(Valid::Range { least: Some(least), step, .. }) => round_up(asked, *least, *step),
        Some(Valid::Values(values)) => values.iter().copied().find(|value| asked <= *value).unwrap_or(asked),
        Some(Valid::Range { least: None, .. } | Valid::Any) | None => asked,
    }
}

fn round_up(asked: Quantity, least: Quantity, step: Option<Quantity>) -> Quantity {
    if asked < least {
        return least;
    }
    let Some(step) = step.map(|step| step.value()).filter(|step| *step > 0) else { return asked };
    let above = asked.value().saturating_sub(least.value());
    let steps = above / step + i64::from(above % step != 0);
    Quantity::from_units(least.value().saturating_add(steps.saturating_mul(step)), Format::BinarySi)
}

impl Policy {
    fn allows(&self, amount: Quantity) -> bool {
        if self.default == Some(amount) {
            return true;
        }
        match &self.valid {
            Valid::Any => true,
            Valid::Values(values) => values.contains(&amount),
            Valid::Range { least, most, step } => {
                let above = amount.value().saturating_sub(least.map_or(0, |least| least.value()));
                let is_step =
                    step.map(|step| step.value()).filter(|step| *step > 0).is_none_or(|step| above % step == 0);
                is_step && most.is_none_or(|most| amount <= most)
            }
        }
    }
}
