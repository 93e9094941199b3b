//! Kinds that are written back as they were cached, or of which everything is read: nothing of them is dropped.

use super::SharedKind;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, ResourceQuota};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass, VolumeAttributesClass};

impl SharedKind for CSIDriver {}
impl SharedKind for CertificateSigningRequest {}
impl SharedKind for HorizontalPodAutoscaler {}
impl SharedKind for IPAddress {}
impl SharedKind for PersistentVolume {}
impl SharedKind for PersistentVolumeClaim {}
impl SharedKind for PodDisruptionBudget {}
impl SharedKind for ResourceClaimTemplate {}
impl SharedKind for ResourceQuota {}
impl SharedKind for ServiceCIDR {}
impl SharedKind for StorageClass {}
impl SharedKind for VolumeAttributesClass {}
