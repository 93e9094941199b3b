//! The gRPC contracts with what runs beside the cluster's processes: container runtimes, plugins
//! and storage drivers beside the kubelet, key management services beside the apiserver.
//!
//! Upstream: `staging/src/k8s.io/{cri-api,kms,kubelet}`.

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

/// The container storage interface (`csi.v1`), the part of nodes.
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod csi {
    tonic::include_proto!("csi.v1");
}

/// The interface of device plugins (`v1beta1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod deviceplugin {
    tonic::include_proto!("v1beta1");
}

/// How drivers prepare the devices of claims on a node (`dra.v1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod dra {
    tonic::include_proto!("k8s.io.kubelet.pkg.apis.dra.v1");

    /// The same as it was before (`dra.v1beta1`).
    pub mod v1beta1 {
        tonic::include_proto!("k8s.io.kubelet.pkg.apis.dra.v1beta1");
    }
}

/// How a plugin says what it is (`pluginregistration.v1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod pluginregistration {
    tonic::include_proto!("pluginregistration");
}

/// What pods have of the node's devices (`podresources.v1`).
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod podresources {
    tonic::include_proto!("v1");
}

/// What containerd keeps of images (`containerd.services.snapshots.v1`), beside the container runtime interface.
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
pub mod snapshots {
    tonic::include_proto!("containerd.services.snapshots.v1");
}
