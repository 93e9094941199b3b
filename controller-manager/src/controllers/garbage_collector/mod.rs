//! Deletes what lost its owners; carries out foreground deletion and orphaning.
//!
//! Metadata watches of every deletable kind feed a graph of owners and dependents (`graph.rs`);
//! `plan.rs` decides about one object from live facts; `reconcile.rs` asks and acts.
//!
//! Upstream: `pkg/controller/garbagecollector`.

mod graph;
mod monitors;
mod plan;
mod reconcile;

use crate::scaffold::Context;
use client::Queue;
use graph::Graph;
use monitors::Monitors;
use parking_lot::Mutex;
use reconcile::Collector;
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "garbage-collector-controller";

/// Starts it.
pub fn start(context: &Context) {
    if !context.options.garbage_collector {
        return;
    }
    let queue = Queue::new(NAME);
    let graph = Arc::new(Mutex::new(Graph::default()));
    let monitors = Arc::new(Monitors::new(context, Arc::clone(&graph), queue.clone()));
    let collector = Arc::new(Collector::new(context.client.clone(), graph, Arc::clone(&monitors)));
    let workers = context.options.workers.garbage;
    context.supervisor.spawn_until_stop("garbage monitors", Arc::clone(&monitors).keep_current());
    context.supervisor.spawn_until_stop(NAME, async move {
        monitors.synced().await;
        let work = move |uid| {
            let collector = Arc::clone(&collector);
            async move { collector.collect(uid).await }
        };
        queue.run(workers, work).await;
    });
}
