//! Scales what pods come from, by what the pods use or by other measures.
//!
//! Upstream: `pkg/controller/podautoscaler`.

mod evaluate;
mod metrics;
mod plan;
mod reconcile;
mod scale;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "horizontal-pod-autoscaler-controller";

/// Starts it.
pub fn start(context: &Context) {
    let flags = context.options.autoscaler;
    let mut lane = Lane::new(context, NAME);
    let autoscalers = lane.maps(|change: &Change<HorizontalPodAutoscaler>| match change {
        // The status is our own doing.
        Change::Updated(before, after) if before.spec == after.spec => Vec::new(),
        change => vec![ObjectKey::of(&**change.object())],
    });
    let pods = lane.reads();
    let controller = reconcile::Autoscalers {
        autoscalers,
        pods,
        scales: scale::Scales::new(context.client.clone()),
        metrics: metrics::Metrics { client: context.client.clone() },
        recorder: context.recorder("horizontal-pod-autoscaler"),
        client: context.client.clone(),
        flags,
        histories: Mutex::default(),
        selectors: Mutex::default(),
    };
    lane.run(flags.concurrent_horizontal_pod_autoscaler_syncs, controller);
}
