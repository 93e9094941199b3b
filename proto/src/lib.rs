//! The gRPC contracts with what runs beside the cluster's processes: container runtimes beside the
//! kubelet, key management services beside the apiserver.
//!
//! Upstream: `staging/src/k8s.io/{cri-api,kms}`.

/// The container runtime interface (`runtime.v1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}

/// The interface of key management services (`v2`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod kms {
    tonic::include_proto!("v2");
}
