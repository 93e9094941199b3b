//! Labels of nodes that have other names by now.
//!
//! Upstream: `pkg/api/node/util.go`.

use super::Sink;
use crate::tree::Tree;
use crate::validation::check::At;
use crate::validation::names::label_value_errors;
use apimachinery::Value;

const DEPRECATED: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#),
    ("beta.kubernetes.io/os", r#"deprecated since v1.14; use "kubernetes.io/os" instead"#),
    (
        "failure-domain.beta.kubernetes.io/region",
        r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
    ),
    ("failure-domain.beta.kubernetes.io/zone", r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#),
    ("beta.kubernetes.io/instance-type", r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", r#"use "node-role.kubernetes.io/control-plane" instead"#),
];

/// What to use in place of a label, if it is deprecated.
pub(super) fn deprecation(label: &str) -> Option<&'static str> {
    DEPRECATED.into_iter().find(|(name, _)| *name == label).map(|(_, instead)| instead)
}

/// The keys of a map from labels to values, each with what to use in its place.
pub(super) fn deprecated_keys<'a>(
    object: &'a Value,
    member: &'a str,
) -> impl Iterator<Item = (&'a str, &'static str)> + 'a {
    object.entries(member).filter_map(|(key, _)| Some((key, deprecation(key)?)))
}

/// Whether the values of a term are looked at, too: those that validation does not see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Validation has done it.
    Checked,
    /// Nobody has.
    Unchecked,
}

/// A term of a node selector.
pub(super) fn term(at: &At<'_>, term: &Value, values: Values, warn: &mut Sink<'_>) {
    let at = at.child("matchExpressions");
    for (index, expression) in term.items("matchExpressions").iter().enumerate() {
        let at = at.index(index);
        key(&at, expression, warn);
        if values == Values::Unchecked {
            let at = at.child("values");
            for (index, value) in expression.texts("values").enumerate() {
                for wrong in label_value_errors(value) {
                    warn(format!("{}: {value} is invalid, {wrong}", at.index(index).path()));
                }
            }
        }
    }
}

/// A selector of nodes that is made as those of labels are.
pub(super) fn selector(at: &At<'_>, selector: &Value, warn: &mut Sink<'_>) {
    let expressions = at.child("matchExpressions");
    for (index, expression) in selector.items("matchExpressions").iter().enumerate() {
        key(&expressions.index(index), expression, warn);
    }
    let labels = at.child("matchLabels");
    for (label, instead) in deprecated_keys(selector, "matchLabels") {
        warn(format!("{}: {instead}", labels.child(label).path()));
    }
}

fn key(at: &At<'_>, expression: &Value, warn: &mut Sink<'_>) {
    let key = expression.text("key");
    if let Some(instead) = deprecation(key) {
        warn(format!("{}: {key} is {instead}", at.child("key").path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warnings::testing::said;
    use serde_json::json;

    #[test]
    fn terms() {
        let object = json!({"matchExpressions": [{"key": "a"},
            {"key": "beta.kubernetes.io/os", "values": ["linux", "-"]}]});
        let old = r#"x.matchExpressions[1].key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead"#;
        assert_eq!(said(|warn| term(&At::root("x"), &object, Values::Checked, warn)), [old]);
        let all = said(|warn| term(&At::root("x"), &object, Values::Unchecked, warn));
        assert_eq!((all.len(), &*all[0]), (2, old));
        assert!(all[1].starts_with("x.matchExpressions[1].values[1]: - is invalid, a valid label must be"), "{all:?}");
    }

    #[test]
    fn selectors() {
        let object = json!({"matchLabels": {"node-role.kubernetes.io/master": "", "a": "b"}});
        assert_eq!(
            said(|warn| selector(&At::root("x"), &object, warn)),
            [r#"x.matchLabels.node-role.kubernetes.io/master: use "node-role.kubernetes.io/control-plane" instead"#]
        );
    }
}
