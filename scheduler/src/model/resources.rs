//! Amounts of resources as integers: CPU in millis, all else in units.

use apimachinery::quantity::Quantity as Parsed;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An amount of each resource; absent means zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Millis of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral: i64,
    /// Huge pages and extended resources, sorted by name.
    pub scalars: SmallVec<[(Arc<str>, i64); 1]>,
}

type List = BTreeMap<String, Quantity>;

impl Resources {
    /// From a resource list; what cannot be read counts as zero, as the server let it in.
    pub fn of(list: Option<&List>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list.into_iter().flatten() {
            resources.set(name, quantity);
        }
        resources
    }

    fn set(&mut self, name: &str, quantity: &Quantity) {
        let Ok(amount) = quantity.0.parse::<Parsed>() else { return };
        match name {
            "cpu" => self.cpu = amount.milli_value(),
            "memory" => self.memory = amount.value(),
            "ephemeral-storage" => self.ephemeral = amount.value(),
            "pods" => {}
            _ => self.scalars.push((Arc::from(name), amount.value())),
        }
    }

    /// The amount of a scalar resource.
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.iter().find(|(known, _)| &**known == name).map_or(0, |(_, amount)| *amount)
    }

    /// Adds another amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes another amount away.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
        self.scalars.retain(|(_, amount)| *amount != 0);
    }

    /// The larger of each.
    pub fn maximum(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// Takes the amount of one resource from another.
    pub fn replace(&mut self, name: &str, other: &Self) {
        match name {
            "cpu" => self.cpu = other.cpu,
            "memory" => self.memory = other.memory,
            "ephemeral-storage" => self.ephemeral = other.ephemeral,
            _ => {
                self.scalars.retain(|(known, _)| &**known != name);
                self.scalars.extend(other.scalars.iter().filter(|(known, _)| &**known == name).cloned());
                self.scalars.sort();
            }
        }
    }

    fn combine(&mut self, other: &Self, with: fn(i64, i64) -> i64) {
        self.cpu = with(self.cpu, other.cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral = with(self.ephemeral, other.ephemeral);
        for (name, amount) in &other.scalars {
            match self.scalars.iter_mut().find(|(known, _)| known == name) {
                Some((_, mine)) => *mine = with(*mine, *amount),
                None => {
                    self.scalars.push((Arc::clone(name), with(0, *amount)));
                    self.scalars.sort();
                }
            }
        }
    }

    /// Whether there is as much of each in the other.
    pub fn fits_in(&self, other: &Self) -> bool {
        self.cpu <= other.cpu
            && self.memory <= other.memory
            && self.ephemeral <= other.ephemeral
            && self.scalars.iter().all(|(name, amount)| *amount <= other.scalar(name))
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.cpu == 0 && self.memory == 0 && self.ephemeral == 0 && self.scalars.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> Resources {
        let list = pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect();
        Resources::of(Some(&list))
    }

    #[test]
    fn amounts_are_read_and_combined() {
        let mut sum = list(&[("cpu", "1500m"), ("memory", "1Gi"), ("example.com/gpu", "2"), ("pods", "110")]);
        assert_eq!((sum.cpu, sum.memory, sum.scalar("example.com/gpu")), (1500, 1 << 30, 2));
        sum.add(&list(&[("cpu", "0.5"), ("hugepages-2Mi", "4Mi")]));
        assert_eq!((sum.cpu, sum.scalar("hugepages-2Mi")), (2000, 4 << 20));
        sum.subtract(&list(&[("example.com/gpu", "2"), ("ephemeral-storage", "0")]));
        assert_eq!(sum.scalars.len(), 1);
        sum.maximum(&list(&[("cpu", "3")]));
        assert_eq!(sum.cpu, 3000);
        assert!(list(&[("cpu", "0"), ("memory", "nonsense")]).is_zero());
    }
}
