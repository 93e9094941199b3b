//! What all ports want together. Two of them may want the same: it goes when nobody wants it.

use super::director::Key;
use super::port::{Server, Wanted};
use super::sets::{Entry, Set};
use crate::model::PortName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The wants of all ports.
#[derive(Debug, Default)]
pub(super) struct Held {
    ports: BTreeMap<PortName, Wanted>,
    /// Who wants a server. The first in name order says how it is.
    servers: BTreeMap<Key, BTreeSet<PortName>>,
    entries: BTreeMap<Entry, usize>,
    addresses: BTreeMap<IpAddr, usize>,
    refused: BTreeMap<String, usize>,
    touched: BTreeSet<Key>,
}

impl Held {
    /// Replaces what one port wants.
    pub(super) fn replace(&mut self, name: &PortName, new: Option<Wanted>) {
        if let Some(old) = self.ports.remove(name) {
            for key in old.servers.keys() {
                self.touched.insert(*key);
                if let Some(ports) = self.servers.get_mut(key) {
                    ports.remove(name);
                    if ports.is_empty() {
                        self.servers.remove(key);
                    }
                }
            }
            old.entries.iter().for_each(|entry| decrease(&mut self.entries, entry));
            old.addresses.iter().for_each(|ip| decrease(&mut self.addresses, ip));
            old.refused.iter().for_each(|rule| decrease(&mut self.refused, rule));
        }
        let Some(new) = new else { return };
        for key in new.servers.keys() {
            self.touched.insert(*key);
            self.servers.entry(*key).or_default().insert(name.clone());
        }
        new.entries.iter().for_each(|entry| *self.entries.entry(entry.clone()).or_default() += 1);
        new.addresses.iter().for_each(|ip| *self.addresses.entry(*ip).or_default() += 1);
        new.refused.iter().for_each(|rule| *self.refused.entry(rule.clone()).or_default() += 1);
        self.ports.insert(name.clone(), new);
    }

    /// The servers that may have changed since this was asked last.
    pub(super) fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = Key> {
        self.servers.keys().copied()
    }

    pub(super) fn server(&self, key: &Key) -> Option<&Server> {
        self.ports.get(self.servers.get(key)?.first()?)?.servers.get(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.keys()
    }

    pub(super) fn has_entry(&self, entry: &Entry) -> bool {
        self.entries.contains_key(entry)
    }

    /// Whether a set has entries.
    pub(super) fn has(&self, set: Set) -> bool {
        self.entries.range((set, String::new())..).next().is_some_and(|((found, _), _)| *found == set)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &IpAddr> {
        self.addresses.keys()
    }

    pub(super) fn has_address(&self, ip: &IpAddr) -> bool {
        self.addresses.contains_key(ip)
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = &String> {
        self.refused.keys()
    }
}

fn decrease<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
