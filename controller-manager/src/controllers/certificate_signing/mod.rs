//! Signs approved requests, for the signers that a certificate authority is configured for.
//!
//! Upstream: `pkg/controller/certificates/signer`.

mod plan;
mod reconcile;

use crate::objects::requests::{CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN};
use crate::scaffold::{Context, Lane};

/// The controller's name.
pub const NAME: &str = "certificatesigningrequest-signing-controller";
const WORKERS: usize = 5;

/// Starts it.
pub fn start(context: &Context) {
    let signers = &context.options.signers;
    let table = [
        (KUBELET_SERVING, "csrsigning-kubelet-serving", &signers.kubelet_serving),
        (KUBELET_CLIENT, "csrsigning-kubelet-client", &signers.kubelet_client),
        (CLIENT, "csrsigning-kube-apiserver-client", &signers.client),
        (LEGACY_UNKNOWN, "csrsigning-legacy-unknown", &signers.legacy_unknown),
    ];
    for (signer, name, files) in table {
        let Some(files) = files.clone() else {
            tracing::info!(signer, "no certificate authority is configured: its requests are not signed");
            continue;
        };
        let mut lane = Lane::new(context, name);
        let requests = lane.watches();
        let client = context.client.clone();
        lane.run(WORKERS, reconcile::Signer { client, requests, signer, files, longest: signers.duration });
    }
}
