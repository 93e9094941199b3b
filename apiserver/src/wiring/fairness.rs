//! Priority and fairness: from flags to running tasks.

use crate::options::Serving;
use apiserver_fairness::{Fairness, metrics};
use apiserver_server::Server;
use component::Supervisor;
use component::metrics::Registry as Metrics;
use std::sync::Arc;

/// `--enable-priority-and-fairness`; its metrics are added to the others.
pub(super) fn new(options: &Serving, mut registry: Metrics) -> (Option<Arc<Fairness>>, Metrics) {
    let seats = options.max_requests_inflight + options.max_mutating_requests_inflight;
    // Without limits there is nothing to share out.
    if !options.enable_priority_and_fairness || seats == 0 {
        return (None, registry);
    }
    let fairness = Arc::new(Fairness::new(seats, options.request_timeout.0));
    metrics::register(&fairness, &mut registry);
    (Some(fairness), registry)
}

/// Follows schemas and priority levels.
pub(super) fn follow(server: &Arc<Server>, supervisor: &Supervisor) {
    let Some(fairness) = server.fairness.clone() else { return };
    let registry = server.registry.clone();
    supervisor.spawn_until_stop("priority and fairness", async move { fairness.run(&registry).await });
}
