//! Taints keep pods away from a node; tolerations let them stay.
//!
//! Upstream: `component-helpers/scheduling/corev1/helpers.go`, `api/core/v1/toleration.go`.

use crate::tree::Tree;
use apimachinery::Value;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// They are not placed on the node.
    NoSchedule,
    /// They are placed on the node only if no other is left.
    PreferNoSchedule,
    /// They are evicted.
    NoExecute,
}

/// A taint of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taint<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value, often empty.
    pub value: &'a str,
    /// What it does.
    pub effect: Effect,
}

/// A toleration of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toleration<'a> {
    /// The taint's name; empty for all.
    pub key: &'a str,
    /// What the taint's value must be.
    pub operator: Comparison,
    /// The value to compare with.
    pub value: &'a str,
    /// The effect that is tolerated; `None` for all.
    pub effect: Option<Effect>,
    /// How long `NoExecute` is tolerated; `None` for ever.
    pub seconds: Option<i64>,
}

/// What a toleration asks of a taint's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same value.
    Equal,
    /// Any value.
    Exists,
    /// An integer below the toleration's.
    Less,
    /// An integer above the toleration's.
    Greater,
    /// An unknown operator tolerates nothing.
    Unknown,
}

impl Effect {
    /// The effect of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "NoSchedule" => Self::NoSchedule,
            "PreferNoSchedule" => Self::PreferNoSchedule,
            "NoExecute" => Self::NoExecute,
            _ => return None,
        })
    }
}

impl Comparison {
    /// The operator of this name; empty is `Equal`.
    pub fn parse(name: &str) -> Self {
        match name {
            "" | "Equal" => Self::Equal,
            "Exists" => Self::Exists,
            "Lt" => Self::Less,
            "Gt" => Self::Greater,
            _ => Self::Unknown,
        }
    }
}

impl<'a> Taint<'a> {
    /// A `core/v1.Taint`; `None` if its effect is unknown.
    pub fn of(taint: &'a Value) -> Option<Self> {
        Some(Self { key: taint.text("key"), value: taint.text("value"), effect: Effect::parse(taint.text("effect"))? })
    }
}

impl<'a> Toleration<'a> {
    /// A `core/v1.Toleration`; `None` if its effect is unknown.
    pub fn of(toleration: &'a Value) -> Option<Self> {
        let effect = match toleration.text("effect") {
            "" => None,
            name => Some(Effect::parse(name)?),
        };
        Some(Self {
            key: toleration.text("key"),
            operator: Comparison::parse(toleration.text("operator")),
            value: toleration.text("value"),
            effect,
            seconds: toleration.at("tolerationSeconds").and_then(Value::as_i64),
        })
    }

    /// Whether a pod with this toleration may be where the taint is.
    pub fn tolerates(&self, taint: &Taint<'_>) -> bool {
        let numbers = || Some((taint.value.parse::<i64>().ok()?, self.value.parse::<i64>().ok()?));
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match self.operator {
                Comparison::Equal => self.value == taint.value,
                Comparison::Exists => true,
                Comparison::Less => numbers().is_some_and(|(taint, own)| taint < own),
                Comparison::Greater => numbers().is_some_and(|(taint, own)| taint > own),
                Comparison::Unknown => false,
            }
    }
}

/// The first taint that counts and that no toleration covers.
pub fn untolerated<'t>(
    taints: impl IntoIterator<Item = Taint<'t>>,
    tolerations: &[Toleration<'_>],
    counts: impl Fn(Effect) -> bool,
) -> Option<Taint<'t>> {
    taints.into_iter().find(|taint| counts(taint.effect) && !tolerations.iter().any(|t| t.tolerates(taint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerations() {
        let taint = json!({"key": "k", "value": "5", "effect": "NoSchedule"});
        let taint = Taint::of(&taint).expect("a taint");
        for (toleration, want) in [
            (json!({"key": "k", "value": "5"}), true),
            (json!({"key": "k", "value": "6"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"key": "x", "operator": "Exists"}), false),
            (json!({"operator": "Exists", "effect": "NoSchedule"}), true),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "k", "operator": "Lt", "value": "6"}), true),
            (json!({"key": "k", "operator": "Gt", "value": "6"}), false),
            (json!({"key": "k", "operator": "Gt", "value": "x"}), false),
            (json!({"key": "k", "operator": "?", "value": "5"}), false),
        ] {
            assert_eq!(Toleration::of(&toleration).expect("one").tolerates(&taint), want, "{toleration}");
        }
    }

    #[test]
    fn finds_what_is_not_tolerated() {
        let taint = |key, effect| Taint { key, value: "", effect };
        let taints =
            [taint("a", Effect::PreferNoSchedule), taint("b", Effect::NoSchedule), taint("c", Effect::NoExecute)];
        let tolerates_b = Toleration { key: "b", operator: Comparison::Exists, value: "", effect: None, seconds: None };
        let hard = |effect| effect != Effect::PreferNoSchedule;
        assert_eq!(untolerated(taints, &[], hard), Some(taints[1]));
        assert_eq!(untolerated(taints, &[tolerates_b], hard), Some(taints[2]));
        assert_eq!(untolerated(taints, &[tolerates_b], |e| e == Effect::NoSchedule), None);
    }
}
