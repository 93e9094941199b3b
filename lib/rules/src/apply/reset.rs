//! Fields that a request has no say in, so that nobody comes to manage them by it: the status on
//! the object itself, everything else on `/status`.
//!
//! Upstream: `rest.ResetFieldsStrategy`, `rest.ResetFieldsFilterStrategy`.

use super::element::Element;
use super::set::{FieldSet, Node};

/// Paths of members; `*` stands for any list element.
pub type Paths = &'static [&'static [&'static str]];

/// The fields that a request resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// These, and all below them.
    These(Paths),
    /// All but these, and what is below them.
    AllBut(Paths),
}

impl Reset {
    /// No fields.
    pub const NOTHING: Self = Self::These(&[]);

    /// A set without the fields.
    pub(super) fn filter(self, mut set: FieldSet) -> FieldSet {
        match self {
            Self::These(paths) => {
                paths.iter().for_each(|path| set.remove_all(path));
                set
            }
            Self::AllBut(paths) => kept(&set, paths.to_vec()),
        }
    }
}

/// What lies on one of the paths or below it.
fn kept(set: &FieldSet, paths: Vec<&'static [&'static str]>) -> FieldSet {
    let nodes = set.nodes().iter().map(|node| {
        let rest: Vec<&[&str]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(step, _)| fits(step, node))
            .map(|(_, rest)| rest)
            .collect();
        if rest.iter().any(|rest| rest.is_empty()) {
            return node.clone();
        }
        Node { element: node.element.clone(), is_member: false, below: kept(&node.below, rest) }
    });
    nodes.collect()
}

fn fits(step: &str, node: &Node) -> bool {
    match &node.element {
        Element::Field(name) => **name == *step,
        _ => step == "*",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::{decode, encode};
    use super::*;
    use serde_json::json;

    #[test]
    fn filters() {
        let set = || {
            let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:status": {"f:phase": {}},
                "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}}});
            decode(&fields).expect("a set")
        };
        for (reset, want) in [
            (
                Reset::These(&[&["status"], &["metadata", "labels"], &["gone"]]),
                json!({"f:spec": encode(&set())["f:spec"]}),
            ),
            (Reset::AllBut(&[&["status"]]), json!({"f:status": {"f:phase": {}}})),
            (
                Reset::AllBut(&[&["spec", "containers", "*", "resources"]]),
                json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:resources": {"f:limits": {}}}}}}),
            ),
            (Reset::NOTHING, encode(&set())),
        ] {
            assert_eq!(encode(&reset.filter(set())), want, "{reset:?}");
        }
    }
}
