//! Taints and tolerations.
//!
//! Upstream: `component-helpers/scheduling/corev1`.

use k8s_openapi::api::core::v1 as core;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// They do not come.
    NoSchedule,
    /// They rather do not come.
    PreferNoSchedule,
    /// They do not come, and those there go.
    NoExecute,
}

impl Effect {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }

    /// Whether it keeps pods away for certain.
    pub fn is_hard(self) -> bool {
        self != Self::PreferNoSchedule
    }
}

/// A node's taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

impl Taint {
    /// From the API's form; `None` if the effect is unknown.
    pub fn of(taint: &core::Taint) -> Option<Self> {
        let effect = Effect::parse(&taint.effect)?;
        Some(Self { key: taint.key.clone(), value: taint.value.clone().unwrap_or_default(), effect })
    }
}

/// A pod's toleration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// `None`: every key.
    key: Option<String>,
    value: Value,
    /// `None`: every effect.
    effect: Option<Effect>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Any,
    Equal(String),
    Greater(i64),
    Less(i64),
    /// An unknown operator or number.
    Never,
}

impl Toleration {
    /// From the API's form.
    pub fn of(toleration: &core::Toleration) -> Self {
        let text = toleration.value.clone().unwrap_or_default();
        let number = text.parse();
        let value = match toleration.operator.as_deref().unwrap_or_default() {
            "Exists" => Value::Any,
            "" | "Equal" => Value::Equal(text),
            "Gt" => number.map_or(Value::Never, Value::Greater),
            "Lt" => number.map_or(Value::Never, Value::Less),
            _ => Value::Never,
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let effect = given(&toleration.effect);
        Self {
            key: given(&toleration.key),
            // An unknown effect tolerates nothing rather than everything.
            value: if effect.as_deref().is_some_and(|e| Effect::parse(e).is_none()) { Value::Never } else { value },
            effect: effect.and_then(|effect| Effect::parse(&effect)),
        }
    }

    /// Whether it covers soft taints.
    pub fn covers_soft(&self) -> bool {
        self.effect.is_none_or(|effect| !effect.is_hard())
    }

    /// Whether it tolerates the taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let number = || taint.value.parse::<i64>().ok();
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && match &self.value {
                Value::Any => true,
                Value::Equal(value) => *value == taint.value,
                Value::Greater(bound) => number().is_some_and(|number| number > *bound),
                Value::Less(bound) => number().is_some_and(|number| number < *bound),
                Value::Never => false,
            }
    }
}

/// The first hard taint that none of the tolerations covers.
pub fn untolerated<'t>(taints: &'t [Taint], tolerations: &[Toleration]) -> Option<&'t Taint> {
    taints.iter().find(|taint| taint.effect.is_hard() && !tolerations.iter().any(|t| t.tolerates(taint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerations_match_by_key_value_and_effect() {
        let taint = Taint { key: "k".into(), value: "5".into(), effect: Effect::NoSchedule };
        let table = [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"key": "k", "value": "5"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "6"}), false),
            (json!({"key": "k", "value": "5", "effect": "NoExecute"}), false),
            (json!({"key": "k", "value": "5", "effect": "Nonesuch"}), false),
            (json!({"key": "k", "operator": "Gt", "value": "4"}), true),
            (json!({"key": "k", "operator": "Lt", "value": "4"}), false),
        ];
        for (json, expected) in table {
            let toleration = Toleration::of(&serde_json::from_value(json.clone()).unwrap());
            assert_eq!(toleration.tolerates(&taint), expected, "{json}");
        }
    }

    #[test]
    fn soft_taints_keep_nobody_away() {
        let soft = Taint { key: "k".into(), value: String::new(), effect: Effect::PreferNoSchedule };
        let hard = Taint { effect: Effect::NoExecute, ..soft.clone() };
        assert_eq!(untolerated(std::slice::from_ref(&soft), &[]), None);
        assert_eq!(untolerated(&[soft, hard.clone()], &[]), Some(&hard));
    }
}
