//! The two kinds that keep a number of pods, as one: a replication controller is read as the
//! replica set that says the same, and only its status is written back.
//!
//! Upstream: `pkg/controller/replication/conversion.go`.

use crate::scaffold::owning::Owning;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    ReplicationController, ReplicationControllerCondition, ReplicationControllerSpec, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;
use std::borrow::Cow;

/// A kind whose objects keep a number of pods of one template.
pub(crate) trait Replicating: Owning + Serialize + kube::Resource<Scope = NamespaceResourceScope> {
    /// The replica set that says the same.
    fn as_set(&self) -> Cow<'_, ReplicaSet>;
    /// The same object with the status of that replica set.
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicating for ReplicaSet {
    fn as_set(&self) -> Cow<'_, ReplicaSet> {
        Cow::Borrowed(self)
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

impl Replicating for ReplicationController {
    fn as_set(&self) -> Cow<'_, ReplicaSet> {
        Cow::Owned(ReplicaSet {
            metadata: self.metadata.clone(),
            spec: self.spec.as_ref().map(set_spec),
            status: self.status.as_ref().map(set_status),
        })
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(own_status(status)), ..self.clone() }
    }
}

fn set_spec(spec: &ReplicationControllerSpec) -> ReplicaSetSpec {
    ReplicaSetSpec {
        replicas: spec.replicas,
        min_ready_seconds: spec.min_ready_seconds,
        selector: LabelSelector { match_labels: spec.selector.clone(), match_expressions: None },
        template: spec.template.clone(),
    }
}

fn set_status(status: &ReplicationControllerStatus) -> ReplicaSetStatus {
    let condition = |condition: &ReplicationControllerCondition| ReplicaSetCondition {
        type_: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: condition.last_transition_time.clone(),
    };
    ReplicaSetStatus {
        replicas: status.replicas,
        fully_labeled_replicas: status.fully_labeled_replicas,
        ready_replicas: status.ready_replicas,
        available_replicas: status.available_replicas,
        observed_generation: status.observed_generation,
        conditions: status.conditions.as_ref().map(|list| list.iter().map(condition).collect()),
        terminating_replicas: None,
    }
}

fn own_status(status: ReplicaSetStatus) -> ReplicationControllerStatus {
    let condition = |condition: ReplicaSetCondition| ReplicationControllerCondition {
        type_: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        last_transition_time: condition.last_transition_time,
    };
    ReplicationControllerStatus {
        replicas: status.replicas,
        fully_labeled_replicas: status.fully_labeled_replicas,
        ready_replicas: status.ready_replicas,
        available_replicas: status.available_replicas,
        observed_generation: status.observed_generation,
        conditions: status.conditions.map(|list| list.into_iter().map(condition).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn controller() -> ReplicationController {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "n", "uid": "u", "generation": 3},
            "spec": {"replicas": 2, "minReadySeconds": 5, "selector": {"app": "web"},
                     "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
            "status": {"replicas": 1, "observedGeneration": 2, "conditions":
                [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_replication_controller_reads_as_a_replica_set() {
        let controller = controller();
        let set = controller.as_set();
        let spec = set.spec.as_ref().unwrap();
        assert_eq!((spec.replicas, spec.min_ready_seconds), (Some(2), Some(5)));
        assert_eq!(crate::objects::selector::Selector::new(&spec.selector).unwrap(), controller.selector().unwrap());
        assert_eq!(set.metadata, controller.metadata);
        assert!(spec.template.is_some());
    }

    #[test]
    fn a_status_survives_the_way_there_and_back() {
        let controller = controller();
        let status = controller.as_set().status.clone().unwrap();
        assert_eq!(controller.with_status(status), controller);
    }
}
