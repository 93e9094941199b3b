//! Lists of status conditions, of whichever type.

use k8s_openapi::api::apps::v1::{DeploymentCondition, ReplicaSetCondition};
use k8s_openapi::api::core::v1::{NamespaceCondition, NodeCondition, PodCondition, ReplicationControllerCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What all conditions have.
pub trait Condition: Clone + PartialEq {
    /// Its type.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// Why.
    fn reason(&self) -> &str;
    /// When the status last changed.
    fn transition(&mut self) -> &mut Option<Time>;
}

macro_rules! condition {
    ($($condition:ty),*) => {$(
        impl Condition for $condition {
            fn kind(&self) -> &str {
                &self.type_
            }
            fn status(&self) -> &str {
                &self.status
            }
            fn reason(&self) -> &str {
                self.reason.as_deref().unwrap_or_default()
            }
            fn transition(&mut self) -> &mut Option<Time> {
                &mut self.last_transition_time
            }
        }
    )*};
}
condition!(
    DeploymentCondition,
    ReplicaSetCondition,
    ReplicationControllerCondition,
    NamespaceCondition,
    NodeCondition,
    PodCondition
);

/// The condition of this type.
pub fn find<'a, C: Condition>(conditions: &'a [C], kind: &str) -> Option<&'a C> {
    conditions.iter().find(|condition| condition.kind() == kind)
}

/// Whether the condition of this type is `True`.
pub fn is_true<C: Condition>(conditions: &[C], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status() == "True")
}

/// Puts a condition in the place of the one of its type. One that says the same with the same
/// reason stays; the transition time stays while the status does. Upstream moves a replaced
/// condition to the end, and so does this.
pub fn set<C: Condition>(conditions: &mut Vec<C>, mut new: C) {
    if let Some(old) = conditions.iter_mut().find(|condition| condition.kind() == new.kind()) {
        if old.status() == new.status() && old.reason() == new.reason() {
            return;
        }
        if old.status() == new.status() {
            *new.transition() = old.transition().clone();
        }
    }
    remove(conditions, new.kind().to_owned().as_str());
    conditions.push(new);
}

/// Removes the condition of this type.
pub fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) {
    conditions.retain(|condition| condition.kind() != kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: &str, reason: &str, at: i64) -> PodCondition {
        PodCondition {
            type_: "Ready".into(),
            status: status.into(),
            reason: Some(reason.into()),
            last_transition_time: Some(Time(jiff::Timestamp::from_second(at).unwrap())),
            ..Default::default()
        }
    }

    #[test]
    fn the_transition_time_follows_the_status() {
        let mut conditions = vec![condition("True", "a", 1)];
        set(&mut conditions, condition("True", "a", 2));
        assert_eq!(conditions, [condition("True", "a", 1)]);
        set(&mut conditions, condition("True", "b", 3));
        assert_eq!(conditions, [condition("True", "b", 1)]);
        set(&mut conditions, condition("False", "b", 4));
        assert_eq!(conditions, [condition("False", "b", 4)]);
        assert!(!is_true(&conditions, "Ready"));
        remove(&mut conditions, "Ready");
        assert!(conditions.is_empty());
    }
}
