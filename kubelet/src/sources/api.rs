//! Pods that are bound to this node.

use crate::pod::PodExt;
use crate::workers::Workers;
use client::informer::{Builder, Change, Informer, Scope};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// An informer of the node's pods that feeds the workers, and the future that keeps it current.
pub fn watch(
    client: kube::Client,
    node: &str,
    workers: Workers,
) -> (Informer<Pod>, impl Future<Output = ()> + Send + use<>) {
    let scope = Scope { field_selector: Some(format!("spec.nodeName={node}")), ..Scope::default() };
    Builder::<Pod>::new(client, scope).on_change(move |change| apply(&workers, change)).build()
}

fn apply(workers: &Workers, change: &Change<Pod>) {
    match change {
        Change::Added(pod) => update(workers, pod),
        Change::Updated(old, new) => {
            if old.uid() != new.uid() {
                remove(workers, old);
            }
            update(workers, new);
        }
        Change::Deleted(pod) => remove(workers, pod),
    }
}

/// A mirror shows a static pod, which has a worker already.
fn update(workers: &Workers, pod: &Arc<Pod>) {
    if !pod.is_mirror() && pod.spec.is_some() {
        workers.update(pod.clone());
    }
}

fn remove(workers: &Workers, pod: &Arc<Pod>) {
    if !pod.is_mirror() {
        workers.remove(pod.uid());
    }
}
