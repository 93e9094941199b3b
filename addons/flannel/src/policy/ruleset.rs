//! A table of nftables as a value, and the commands that turn one into another. Pure.

use crate::config::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The table's name.
pub(super) const TABLE: &str = "flannel-policy";
/// Elements in one command: nft reads a line as a whole.
const ELEMENTS: usize = 500;

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Addresses.
    Addresses,
    /// Pairs of addresses.
    Pairs,
    /// Addresses with protocol and port.
    Ports,
    /// What happens to the packets of an address.
    Verdicts,
}

/// A set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What it holds.
    pub kind: Kind,
    /// Its elements, as nft writes them.
    pub elements: BTreeSet<String>,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Sets and maps by name.
    pub sets: BTreeMap<String, Set>,
    /// Rules of each chain.
    pub chains: BTreeMap<String, Vec<String>>,
}

/// The chain that packets enter by.
pub(super) const BASE: &str = "forward";
/// Before the rules of others, so that nobody accepts what is dropped here.
const HOOK: &str = "{ type filter hook forward priority filter - 5; policy accept; }";

impl Ruleset {
    /// The set with this name, made if there is none.
    pub fn set(&mut self, name: &str, kind: Kind) -> &mut BTreeSet<String> {
        let empty = || Set { kind, elements: BTreeSet::new() };
        &mut self.sets.entry(name.to_owned()).or_insert_with(empty).elements
    }

    /// Commands for a kernel whose table is not known.
    pub fn write(&self, family: Family) -> Vec<String> {
        let table = table(family);
        // Adding first lets the deletion succeed when there is none.
        let start = [format!("add table {table}"), format!("delete table {table}"), format!("add table {table}")];
        start.into_iter().chain(Self::default().turn_into(self, family)).collect()
    }

    /// Commands that turn this table into `new`; all of them make one transaction.
    pub fn turn_into(&self, new: &Self, family: Family) -> Vec<String> {
        let (table, mut commands) = (table(family), Vec::new());
        for (name, set) in new.sets.iter().filter(|(name, _)| !self.sets.contains_key(*name)) {
            commands.push(format!("add {} {table} {name} {{ {}; }}", set.kind.word(), set.kind.definition(family)));
        }
        for name in new.chains.keys().filter(|name| !self.chains.contains_key(*name)) {
            let hook = if name == BASE { HOOK } else { "" };
            commands.push(format!("add chain {table} {name} {hook}").trim_end().to_owned());
        }
        for (name, rules) in new.chains.iter().filter(|(name, rules)| self.chains.get(*name) != Some(rules)) {
            commands.extend(self.chains.contains_key(name).then(|| format!("flush chain {table} {name}")));
            commands.extend(rules.iter().map(|rule| format!("add rule {table} {name} {rule}")));
        }
        let none = BTreeSet::new();
        for (name, set) in &new.sets {
            let old = self.sets.get(name).map_or(&none, |old| &old.elements);
            elements(&mut commands, "delete", &table, name, old.difference(&set.elements));
            elements(&mut commands, "add", &table, name, set.elements.difference(old));
        }
        let gone = || self.chains.keys().filter(|name| !new.chains.contains_key(*name));
        commands.extend(gone().map(|name| format!("flush chain {table} {name}")));
        commands.extend(gone().map(|name| format!("delete chain {table} {name}")));
        for (name, set) in self.sets.iter().filter(|(name, _)| !new.sets.contains_key(*name)) {
            commands.push(format!("delete {} {table} {name}", set.kind.word()));
        }
        commands
    }
}

/// Family and name of the table.
pub(super) fn table(family: Family) -> String {
    format!("{} {TABLE}", protocol(family))
}

/// The family's word in rules.
pub(super) fn protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl Kind {
    fn word(self) -> &'static str {
        if self == Self::Verdicts { "map" } else { "set" }
    }

    fn definition(self, family: Family) -> String {
        let address = if family == Family::V4 { "ipv4_addr" } else { "ipv6_addr" };
        match self {
            Self::Addresses => format!("type {address}"),
            Self::Pairs => format!("type {address} . {address}"),
            Self::Ports => format!("type {address} . inet_proto . inet_service"),
            Self::Verdicts => format!("type {address} : verdict"),
        }
    }
}

fn elements<'a>(commands: &mut Vec<String>, verb: &str, table: &str, set: &str, all: impl Iterator<Item = &'a String>) {
    let all: Vec<&String> = all.collect();
    for some in all.chunks(ELEMENTS) {
        let mut command = format!("{verb} element {table} {set} {{ ");
        for (number, element) in some.iter().enumerate() {
            let _ = write!(command, "{}{element}", if number == 0 { "" } else { ", " });
        }
        command.push_str(" }");
        commands.push(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset(sets: &[(&str, Kind, &[&str])], chains: &[(&str, &[&str])]) -> Ruleset {
        let mut ruleset = Ruleset::default();
        for (name, kind, elements) in sets {
            ruleset.set(name, *kind).extend(elements.iter().map(|e| (*e).to_owned()));
        }
        for (name, rules) in chains {
            ruleset.chains.insert((*name).to_owned(), rules.iter().map(|r| (*r).to_owned()).collect());
        }
        ruleset
    }

    #[test]
    fn a_new_table_replaces_whatever_was_there() {
        let new = ruleset(&[("a", Kind::Addresses, &["10.0.0.1"])], &[(BASE, &["ip saddr @a drop"])]);
        assert_eq!(
            new.write(Family::V4),
            [
                "add table ip flannel-policy",
                "delete table ip flannel-policy",
                "add table ip flannel-policy",
                "add set ip flannel-policy a { type ipv4_addr; }",
                "add chain ip flannel-policy forward { type filter hook forward priority filter - 5; policy accept; }",
                "add rule ip flannel-policy forward ip saddr @a drop",
                "add element ip flannel-policy a { 10.0.0.1 }",
            ]
        );
    }

    #[test]
    fn only_differences_are_written() {
        let old = ruleset(
            &[
                ("a", Kind::Addresses, &["10.0.0.1", "10.0.0.2"]),
                ("m", Kind::Verdicts, &["10.0.0.1 : goto x"]),
                ("s", Kind::Ports, &[]),
            ],
            &[("x", &["drop"]), ("y", &["ip daddr @s drop"]), ("z", &["accept"])],
        );
        let new = ruleset(
            &[("a", Kind::Addresses, &["10.0.0.2", "10.0.0.3"]), ("m", Kind::Verdicts, &["10.0.0.1 : goto w"])],
            &[("w", &["drop"]), ("x", &["accept"]), ("z", &["accept"])],
        );
        assert_eq!(
            old.turn_into(&new, Family::V6),
            [
                "add chain ip6 flannel-policy w",
                "add rule ip6 flannel-policy w drop",
                "flush chain ip6 flannel-policy x",
                "add rule ip6 flannel-policy x accept",
                "delete element ip6 flannel-policy a { 10.0.0.1 }",
                "add element ip6 flannel-policy a { 10.0.0.3 }",
                "delete element ip6 flannel-policy m { 10.0.0.1 : goto x }",
                "add element ip6 flannel-policy m { 10.0.0.1 : goto w }",
                "flush chain ip6 flannel-policy y",
                "delete chain ip6 flannel-policy y",
                "delete set ip6 flannel-policy s",
            ]
        );
        assert!(new.turn_into(&new, Family::V4).is_empty());
    }

    #[test]
    fn long_lists_are_split() {
        let mut new = Ruleset::default();
        new.set("a", Kind::Addresses).extend((0..1200_u32).map(|n| format!("10.0.{}.{}", n / 250, n % 250)));
        let adds = Ruleset::default().turn_into(&new, Family::V4);
        assert_eq!(adds.iter().filter(|command| command.starts_with("add element")).count(), 3);
    }
}
