//! What a deployment's spec asks for, resolved to numbers.

use crate::objects::amount::{Round, resolve};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The numbers of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Limits {
    pub(super) replicas: i32,
    /// Pods beyond `replicas` during a rollout.
    pub(super) surge: i32,
    /// Pods below `replicas` during a rollout.
    pub(super) unavailable: i32,
    /// The strategy is Recreate, not RollingUpdate.
    pub(super) recreate: bool,
    pub(super) paused: bool,
    /// Old replica sets to keep; all if `None`.
    pub(super) history: Option<usize>,
}

impl Limits {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.clone().unwrap_or_default();
        let replicas = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.unwrap_or_default();
        let recreate = strategy.type_.as_deref() == Some("Recreate");
        let rolling = strategy.rolling_update.unwrap_or_default();
        let (surge, unavailable) = match recreate || replicas == 0 {
            true => (0, 0),
            false => fence(rolling.max_surge.as_ref(), rolling.max_unavailable.as_ref(), replicas),
        };
        // The largest number means no limit, as clients of old API versions sent it.
        let history = spec.revision_history_limit.filter(|limit| *limit != i32::MAX);
        Self {
            replicas,
            surge,
            unavailable,
            recreate,
            paused: spec.paused == Some(true),
            history: history.map(|limit| usize::try_from(limit).unwrap_or(0)),
        }
    }

    /// The most pods there may be.
    pub(super) fn most(&self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    /// The fewest pods that must be available.
    pub(super) fn fewest(&self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// Both at zero would allow no step at all: then one pod may be missing.
fn fence(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, replicas: i32) -> (i32, i32) {
    let surge = surge.map_or(Some(0), |amount| resolve(amount, replicas, Round::Up)).unwrap_or(0).max(0);
    let unavailable = unavailable.map_or(Some(0), |amount| resolve(amount, replicas, Round::Down)).unwrap_or(0).max(0);
    match (surge, unavailable) {
        (0, 0) => (0, 1),
        (surge, unavailable) => (surge, unavailable.min(replicas)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences() {
        let text = |t: &str| IntOrString::String(t.into());
        let table = [
            (text("25%"), text("25%"), 3, (1, 0)),
            (text("25%"), text("25%"), 10, (3, 2)),
            (IntOrString::Int(0), text("10%"), 5, (0, 1)),
            (IntOrString::Int(0), IntOrString::Int(9), 5, (0, 5)),
            (IntOrString::Int(2), IntOrString::Int(0), 5, (2, 0)),
        ];
        for (surge, unavailable, replicas, expected) in table {
            assert_eq!(
                fence(Some(&surge), Some(&unavailable), replicas),
                expected,
                "{surge:?} {unavailable:?} of {replicas}"
            );
        }
    }
}
