//! The commands of one `nft -f -`, in the order that the kernel needs: chains before what points to
//! them, sets before the rules that use them, and away with what nobody uses at the end.

use super::elements::{Container, ElementChanges};
use super::kernel::Found;
use super::names;
use super::port::Rules;
use crate::model::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A transaction in the making.
#[derive(Debug)]
pub(super) struct Transaction {
    family: Family,
    base: String,
    /// Chains with their new rules.
    written: BTreeMap<String, Vec<String>>,
    emptied: BTreeSet<String>,
    /// Sets with their time-outs in seconds.
    sets: BTreeMap<String, u32>,
    /// Sets that are made anew, because their time-out has changed.
    replaced: BTreeSet<String>,
    deleted_sets: BTreeSet<String>,
    elements: BTreeMap<Container, ElementChanges>,
}

/// Family and name of the table.
pub(super) fn table(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip kube-proxy",
        Family::V6 => "ip6 kube-proxy",
    }
}

/// The type of addresses in sets and maps.
pub(super) fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

/// A command that deletes chains.
pub(super) fn delete_chains(family: Family, chains: &[String]) -> String {
    chains.iter().map(|chain| format!("delete chain {} {chain}\n", table(family))).collect()
}

impl Transaction {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            base: String::new(),
            written: BTreeMap::new(),
            emptied: BTreeSet::new(),
            sets: BTreeMap::new(),
            replaced: BTreeSet::new(),
            deleted_sets: BTreeSet::new(),
            elements: BTreeMap::new(),
        }
    }

    /// Commands that come first.
    pub(super) fn base(&mut self, commands: &str) {
        self.base.push_str(commands);
    }

    /// Turns the chains and sets of a port into new ones.
    pub(super) fn port(&mut self, old: &Rules, new: Rules) {
        self.emptied.extend(old.chains.keys().filter(|name| !new.chains.contains_key(*name)).cloned());
        self.deleted_sets.extend(old.sets.keys().filter(|name| !new.sets.contains_key(*name)).cloned());
        let replaced: BTreeSet<_> =
            new.sets.iter().filter(|(name, timeout)| old.sets.get(*name).is_some_and(|old| old != *timeout)).collect();
        // A set that rules use cannot be made anew: they go before and come after it.
        let rewrites = !replaced.is_empty();
        self.replaced.extend(replaced.into_iter().map(|(name, _)| name.clone()));
        self.sets.extend(new.sets.into_iter().filter(|(name, timeout)| old.sets.get(name) != Some(timeout)));
        let changed = new.chains.into_iter().filter(|(name, rules)| rewrites || old.chains.get(name) != Some(rules));
        self.written.extend(changed);
    }

    /// Changes the elements of sets and maps.
    pub(super) fn elements(&mut self, changes: BTreeMap<Container, ElementChanges>) {
        self.elements = changes;
    }

    /// Of what the kernel has, what this transaction does not write goes. Sets that stay keep their
    /// elements: clients go on with their endpoints.
    pub(super) fn remove_all_but_written(&mut self, found: &Found) {
        let chains = found.chains.iter().filter(|name| names::is_per_port(name) && !self.written.contains_key(*name));
        self.emptied.extend(chains.cloned());
        for (name, timeout) in found.sets.iter().filter(|(name, _)| names::is_affinity(name)) {
            match self.sets.get(name) {
                None => {
                    self.deleted_sets.insert(name.clone());
                }
                Some(wanted) if Some(*wanted) == *timeout => {
                    self.sets.remove(name);
                }
                Some(_) => {
                    self.replaced.insert(name.clone());
                }
            }
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.base.is_empty()
            && self.written.is_empty()
            && self.emptied.is_empty()
            && self.sets.is_empty()
            && self.deleted_sets.is_empty()
            && self.elements.is_empty()
    }

    /// Chains that nobody needs afterwards.
    pub(super) fn emptied(&self) -> impl Iterator<Item = &str> {
        self.emptied.iter().map(String::as_str)
    }

    /// Whether a chain gets rules.
    pub(super) fn writes(&self, chain: &str) -> bool {
        self.written.contains_key(chain)
    }

    /// The commands.
    pub(super) fn text(&self) -> String {
        let mut text = self.base.clone();
        let table = table(self.family);
        let mut line = |command: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(command);
            text.push('\n');
        };
        for chain in self.written.keys() {
            line(format_args!("add chain {table} {chain}"));
            line(format_args!("flush chain {table} {chain}"));
        }
        for chain in self.emptied.iter().filter(|chain| !self.writes(chain)) {
            line(format_args!("flush chain {table} {chain}"));
        }
        for set in &self.replaced {
            line(format_args!("delete set {table} {set}"));
        }
        let addresses = address_type(self.family);
        for (set, timeout) in &self.sets {
            line(format_args!(
                "add set {table} {set} {{ type {addresses} ; flags dynamic,timeout ; timeout {timeout}s ; }}"
            ));
        }
        for (container, changes) in self.elements.iter().filter(|(_, changes)| !changes.delete.is_empty()) {
            line(format_args!("delete element {table} {} {{ {} }}", container.name(), changes.delete.join(" , ")));
        }
        for (container, changes) in self.elements.iter().filter(|(_, changes)| !changes.add.is_empty()) {
            line(format_args!("add element {table} {} {{ {} }}", container.name(), changes.add.join(" , ")));
        }
        for (chain, rules) in &self.written {
            for rule in rules {
                line(format_args!("add rule {table} {chain} {rule}"));
            }
        }
        for set in &self.deleted_sets {
            line(format_args!("delete set {table} {set}"));
        }
        text
    }
}
