//! Keeps as many pods of a replication controller's template as it asks for, by the controller of
//! replica sets.
//!
//! Upstream: `pkg/controller/replication`.

use crate::scaffold::Context;
use k8s_openapi::api::core::v1::ReplicationController;

/// The controller's name.
pub const NAME: &str = "replicationcontroller-controller";

/// Starts it.
pub fn start(context: &Context) {
    let workers = context.options.workers.replication;
    super::replicaset::start_for::<ReplicationController>(context, NAME, "replication-controller", workers);
}
