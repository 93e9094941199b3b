//! The elements of sets and maps, and which port wants them.
//!
//! Several ports can want the same element: the cluster IP of a Service with many ports, or two
//! Services with the same external address, of which the one that comes first by name gets it.

use crate::model::PortName;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A set or map whose elements come from ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Container {
    ClusterIps,
    ServiceIps,
    FirewallIps,
    NoEndpointServices,
    NoEndpointNodePorts,
    ServiceNodePorts,
    HairpinConnections,
}

impl Container {
    pub(super) const ALL: [Self; 7] = [
        Self::ClusterIps,
        Self::ServiceIps,
        Self::FirewallIps,
        Self::NoEndpointServices,
        Self::NoEndpointNodePorts,
        Self::ServiceNodePorts,
        Self::HairpinConnections,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClusterIps => "cluster-ips",
            Self::ServiceIps => "service-ips",
            Self::FirewallIps => "firewall-ips",
            Self::NoEndpointServices => "no-endpoint-services",
            Self::NoEndpointNodePorts => "no-endpoint-nodeports",
            Self::ServiceNodePorts => "service-nodeports",
            Self::HairpinConnections => "hairpin-connections",
        }
    }

    /// `set` or `map`.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ClusterIps | Self::HairpinConnections => "set",
            _ => "map",
        }
    }
}

/// An element as a port wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) container: Container,
    /// `10.96.0.1 . tcp . 80`.
    pub(super) key: String,
    /// What follows the key: comment and verdict. Empty in a set.
    pub(super) value: String,
}

/// All elements of the table.
#[derive(Debug, Default)]
pub(super) struct Elements {
    wanted: HashMap<Place, Vec<Claim>>,
    /// What the kernel has at the places that were touched.
    before: BTreeMap<Place, Option<String>>,
}

type Place = (Container, String);

#[derive(Debug)]
struct Claim {
    owner: Arc<PortName>,
    value: String,
}

/// How the elements of one container change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ElementChanges {
    /// Keys to delete, before others are added.
    pub(super) delete: Vec<String>,
    /// Elements to add.
    pub(super) add: Vec<String>,
}

impl Elements {
    /// Replaces what a port wants.
    pub(super) fn replace(&mut self, owner: &Arc<PortName>, old: Vec<Element>, new: Vec<Element>) {
        for element in &old {
            if !new.contains(element) {
                self.release(owner, element);
            }
        }
        for element in new {
            if !old.contains(&element) {
                self.claim(owner, element);
            }
        }
    }

    /// What has changed since the last call.
    pub(super) fn take_changes(&mut self) -> BTreeMap<Container, ElementChanges> {
        let mut changes: BTreeMap<Container, ElementChanges> = BTreeMap::new();
        for ((container, key), before) in std::mem::take(&mut self.before) {
            let place = (container, key);
            let now = self.wanted.get(&place).and_then(|claims| claims.first()).map(|claim| &claim.value);
            if now == before.as_ref() {
                continue;
            }
            let changes = changes.entry(container).or_default();
            if let Some(value) = now {
                changes.add.push(format!("{}{value}", place.1));
            }
            if before.is_some() {
                changes.delete.push(place.1);
            }
        }
        changes
    }

    fn claim(&mut self, owner: &Arc<PortName>, element: Element) {
        let place = (element.container, element.key);
        self.touch(&place);
        let claims = self.wanted.entry(place).or_default();
        let at = claims.partition_point(|claim| claim.owner <= *owner);
        claims.insert(at, Claim { owner: Arc::clone(owner), value: element.value });
    }

    fn release(&mut self, owner: &Arc<PortName>, element: &Element) {
        let place = (element.container, element.key.clone());
        self.touch(&place);
        if let Some(claims) = self.wanted.get_mut(&place) {
            let ours = claims.iter().position(|claim| claim.owner == *owner && claim.value == element.value);
            ours.map(|at| claims.remove(at));
            if claims.is_empty() {
                self.wanted.remove(&place);
            }
        }
    }

    fn touch(&mut self, place: &Place) {
        if !self.before.contains_key(place) {
            let value = self.wanted.get(place).and_then(|claims| claims.first()).map(|claim| claim.value.clone());
            self.before.insert(place.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn owner(service: &str) -> Arc<PortName> {
        let (namespace, port) = ("n".into(), String::new());
        Arc::new(PortName { namespace, service: service.into(), port, protocol: Protocol::Tcp })
    }

    fn element(key: &str, value: &str) -> Element {
        Element { container: Container::ServiceIps, key: key.into(), value: value.into() }
    }

    fn changes(elements: &mut Elements) -> (Vec<String>, Vec<String>) {
        let changes = elements.take_changes().remove(&Container::ServiceIps).unwrap_or_default();
        (changes.delete, changes.add)
    }

    #[test]
    fn the_first_by_name_gets_an_element_that_two_want() {
        let mut elements = Elements::default();
        elements.replace(&owner("b"), vec![], vec![element("k", " : goto b")]);
        assert_eq!(changes(&mut elements), (vec![], vec!["k : goto b".into()]));
        elements.replace(&owner("a"), vec![], vec![element("k", " : goto a")]);
        assert_eq!(changes(&mut elements), (vec!["k".into()], vec!["k : goto a".into()]));
        elements.replace(&owner("c"), vec![], vec![element("k", " : goto c")]);
        assert_eq!(changes(&mut elements), (vec![], vec![]));
        elements.replace(&owner("a"), vec![element("k", " : goto a")], vec![]);
        assert_eq!(changes(&mut elements), (vec!["k".into()], vec!["k : goto b".into()]));
    }

    #[test]
    fn what_goes_and_comes_back_is_no_change() {
        let mut elements = Elements::default();
        let (one, two) = (element("k", ""), element("k2", ""));
        elements.replace(&owner("a"), vec![], vec![one.clone()]);
        elements.take_changes();
        elements.replace(&owner("a"), vec![one.clone()], vec![two.clone()]);
        elements.replace(&owner("a"), vec![two], vec![one.clone()]);
        assert_eq!(changes(&mut elements), (vec![], vec![]));
        elements.replace(&owner("a"), vec![one], vec![]);
        assert_eq!(changes(&mut elements), (vec!["k".into()], vec![]));
    }
}
