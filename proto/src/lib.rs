//! The gRPC contracts between the kubelet and what runs beside it on a node.
//!
//! Upstream: `staging/src/k8s.io/cri-api`.

/// The container runtime interface (`runtime.v1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
