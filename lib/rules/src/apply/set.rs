//! Sets of field paths as trees of sorted steps, and their algebra.
//!
//! Upstream: `structured-merge-diff/fieldpath/set.go`.

use super::element::Element;
use std::cmp::Ordering;

/// A set of paths. Each level is sorted, and no node is both without membership and without
/// anything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: Vec<Node>,
}

/// A step, whether the path to it is in the set, and the paths that go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The step.
    pub element: Element,
    /// Whether the path that ends here is in the set.
    pub is_member: bool,
    /// What is in the set below.
    pub below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }
}

impl FieldSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The first steps, sorted.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A set of one path of members.
    pub fn of_fields(path: &[&str]) -> Self {
        let mut set = Self::default();
        set.insert(path.iter().copied().map(Element::field));
        set
    }

    /// Adds a path.
    pub fn insert(&mut self, path: impl IntoIterator<Item = Element>) {
        let mut set = self;
        let mut path = path.into_iter().peekable();
        while let Some(element) = path.next() {
            let at = set.nodes.binary_search_by(|node| node.element.cmp(&element)).unwrap_or_else(|at| {
                set.nodes.insert(at, Node { element, is_member: false, below: Self::default() });
                at
            });
            let node = &mut set.nodes[at];
            node.is_member |= path.peek().is_none();
            set = &mut node.below;
        }
    }

    /// Adds a node of an element that is mostly greater than all before it; empty ones are
    /// left out.
    pub(super) fn push(&mut self, node: Node) {
        if node.is_empty() {
            return;
        }
        if self.nodes.last().is_none_or(|last| last.element < node.element) {
            self.nodes.push(node);
            return;
        }
        match self.nodes.binary_search_by(|present| present.element.cmp(&node.element)) {
            Err(at) => self.nodes.insert(at, node),
            Ok(at) => {
                let present = &mut self.nodes[at];
                present.is_member |= node.is_member;
                present.below = std::mem::take(&mut present.below).union(node.below);
            }
        }
    }

    /// The node of a step.
    pub fn get(&self, element: &Element) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        self.nodes.get(at)
    }

    /// Whether a path is in the set.
    pub fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.get(last).is_some_and(|node| node.is_member),
            [first, rest @ ..] => self.get(first).is_some_and(|node| node.below.has(rest)),
        }
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut nodes = Vec::with_capacity(self.nodes.len() + other.nodes.len());
        let (mut left, mut right) = (self.nodes.into_iter().peekable(), other.nodes.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            match a.element.cmp(&b.element) {
                Ordering::Less => nodes.extend(left.next()),
                Ordering::Greater => nodes.extend(right.next()),
                Ordering::Equal => nodes.extend(left.next().zip(right.next()).map(|(a, b)| Node {
                    element: a.element,
                    is_member: a.is_member || b.is_member,
                    below: a.below.union(b.below),
                })),
            }
        }
        nodes.extend(left);
        nodes.extend(right);
        Self { nodes }
    }

    /// What is in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(other, |node, other| {
            other.map_or(Node { is_member: false, below: Self::default(), ..node.clone() }, |other| Node {
                element: node.element.clone(),
                is_member: node.is_member && other.is_member,
                below: node.below.intersection(&other.below),
            })
        })
    }

    /// What is in this set and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.combined(other, |node, other| match other {
            None => node.clone(),
            Some(other) => Node {
                element: node.element.clone(),
                is_member: node.is_member && !other.is_member,
                below: node.below.difference(&other.below),
            },
        })
    }

    /// Takes a path of members out, with all that is below it.
    pub fn remove_all(&mut self, path: &[&str]) {
        self.at(path, |node| (node.is_member, node.below) = (false, Self::default()));
    }

    /// Takes a path of members out, not what is below it.
    pub fn remove(&mut self, path: &[&str]) {
        self.at(path, |node| node.is_member = false);
    }

    /// Changes the node at a path, if there is one, and drops what is empty then.
    fn at(&mut self, path: &[&str], change: impl FnOnce(&mut Node)) {
        let Some((step, rest)) = path.split_first() else { return };
        let place = self.nodes.binary_search_by(|node| node.element.cmp_field(step));
        let Some((at, node)) = place.ok().and_then(|at| Some((at, self.nodes.get_mut(at)?))) else { return };
        match rest {
            [] => change(node),
            rest => node.below.at(rest, change),
        }
        if node.is_empty() {
            self.nodes.remove(at);
        }
    }

    /// Whether any path is in both sets.
    pub fn intersects(&self, other: &Self) -> bool {
        self.nodes.iter().any(|node| {
            other
                .get(&node.element)
                .is_some_and(|other| node.is_member && other.is_member || node.below.intersects(&other.below))
        })
    }

    /// Each node with its counterpart in the other set, made into another one.
    fn combined(&self, other: &Self, make: impl Fn(&Node, Option<&Node>) -> Node) -> Self {
        let mut others = other.nodes.iter().peekable();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            while others.next_if(|other| other.element < node.element).is_some() {}
            let other = others.next_if(|other| other.element == node.element);
            nodes.push(make(node, other));
        }
        nodes.retain(|node| !node.is_empty());
        Self { nodes }
    }

    /// All paths in the order in which upstream visits them: of each level first those that end
    /// there.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.visit(&mut Vec::new(), &mut paths);
        paths
    }

    fn visit(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for node in self.nodes.iter().filter(|node| node.is_member) {
            paths.push(prefix.iter().chain([&node.element]).cloned().collect());
        }
        for node in &self.nodes {
            prefix.push(node.element.clone());
            node.below.visit(prefix, paths);
            prefix.pop();
        }
    }
}

impl FromIterator<Vec<Element>> for FieldSet {
    fn from_iter<T: IntoIterator<Item = Vec<Element>>>(paths: T) -> Self {
        let mut set = Self::default();
        paths.into_iter().for_each(|path| set.insert(path));
        set
    }
}

impl FromIterator<Node> for FieldSet {
    fn from_iter<T: IntoIterator<Item = Node>>(nodes: T) -> Self {
        let mut set = Self::default();
        nodes.into_iter().for_each(|node| set.push(node));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Vec<Element> {
        text.split('.').map(Element::field).collect()
    }

    fn set(paths: &[&str]) -> FieldSet {
        paths.iter().map(|text| path(text)).collect()
    }

    #[test]
    fn algebra() {
        let (a, b) = (set(&["a", "a.x", "a.y.z", "c"]), set(&["a.x", "a.y", "b", "c"]));
        assert_eq!(a.clone().union(b.clone()), set(&["a", "a.x", "a.y", "a.y.z", "b", "c"]));
        assert_eq!(a.intersection(&b), set(&["a.x", "c"]));
        assert_eq!(a.difference(&b), set(&["a", "a.y.z"]));
        assert!(a.intersects(&b) && !set(&["a"]).intersects(&set(&["a.x"])));
        assert!(a.has(&path("a.y.z")) && !a.has(&path("a.y")) && !a.has(&[]));
    }

    #[test]
    fn paths_are_taken_out() {
        let without = |change: fn(&mut FieldSet, &[&str]), path: &[&str]| {
            let mut left = set(&["a", "a.x", "a.x.y", "b.z"]);
            change(&mut left, path);
            left
        };
        for (path, with_all, alone) in [
            (&["a", "x"][..], &["a", "b.z"][..], &["a", "a.x.y", "b.z"][..]),
            (&["a"], &["b.z"], &["a.x", "a.x.y", "b.z"]),
            (&["b", "z"], &["a", "a.x", "a.x.y"], &["a", "a.x", "a.x.y"]),
            (&["b"], &["a", "a.x", "a.x.y"], &["a", "a.x", "a.x.y", "b.z"]),
            (&["c", "d"], &["a", "a.x", "a.x.y", "b.z"], &["a", "a.x", "a.x.y", "b.z"]),
            (&[], &["a", "a.x", "a.x.y", "b.z"], &["a", "a.x", "a.x.y", "b.z"]),
        ] {
            assert_eq!(without(FieldSet::remove_all, path), set(with_all), "{path:?}");
            assert_eq!(without(FieldSet::remove, path), set(alone), "{path:?}");
        }
    }

    #[test]
    fn paths_that_end_come_before_those_that_go_on() {
        let visited: Vec<String> = set(&["b", "a.x", "c.y", "c"])
            .paths()
            .iter()
            .map(|p| p.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(visited, [".b", ".c", ".a.x", ".c.y"]);
    }

    fn any_set() -> impl Strategy<Value = FieldSet> {
        let path = proptest::collection::vec("[a-c]", 1..4);
        proptest::collection::vec(path, 0..8).prop_map(|paths| {
            paths.into_iter().map(|p| p.iter().map(|s| Element::field(s)).collect::<Vec<_>>()).collect()
        })
    }

    proptest! {
        #[test]
        fn sets_obey_the_laws(a in any_set(), b in any_set()) {
            prop_assert_eq!(a.clone().union(b.clone()), b.clone().union(a.clone()));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.intersection(&b).union(a.difference(&b)), a.clone());
            prop_assert!(!a.difference(&b).intersects(&b));
            prop_assert_eq!(a.intersects(&b), !a.intersection(&b).is_empty());
            prop_assert_eq!(a.paths().into_iter().collect::<FieldSet>(), a);
        }
    }
}
