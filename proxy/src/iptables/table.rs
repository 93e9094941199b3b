//! Chains and rules as values.

use std::collections::BTreeMap;

/// Chains of one table by name; rules without the leading `-A CHAIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains(BTreeMap<String, Vec<String>>);

impl Chains {
    /// Makes an empty chain, if there is none of this name.
    pub fn add(&mut self, name: impl Into<String>) -> &mut Vec<String> {
        self.0.entry(name.into()).or_default()
    }

    /// Appends a rule to a chain.
    pub fn rule(&mut self, chain: &str, rule: impl Into<String>) {
        match self.0.get_mut(chain) {
            Some(rules) => rules.push(rule.into()),
            None => {
                self.0.insert(chain.to_owned(), vec![rule.into()]);
            }
        }
    }

    /// A chain's rules.
    pub fn get(&self, name: &str) -> Option<&Vec<String>> {
        self.0.get(name)
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Keeps only the chains whose name passes.
    pub fn retain(&mut self, test: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| test(name));
    }

    /// Appends the rules of another table.
    pub fn extend(&mut self, other: Self) {
        for (name, rules) in other.0 {
            self.0.entry(name).or_default().extend(rules);
        }
    }

    /// All chains in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.0.iter()
    }
}

/// A rule in a chain of the kernel that leads into ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// `nat` or `filter`.
    pub table: &'static str,
    /// The kernel's chain.
    pub from: &'static str,
    /// Arguments of the rule.
    pub rule: Vec<String>,
}

/// Everything the proxy wants in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The table `filter`.
    pub filter: Chains,
    /// The table `nat`.
    pub nat: Chains,
    /// Rules at the head of the kernel's own chains.
    pub jumps: Vec<Jump>,
}
