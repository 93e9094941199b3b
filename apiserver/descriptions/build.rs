//! Collects what the schemas of `k8s-openapi` say of types and of their members, and compresses it.
//! Only the text goes into the binary: the types are compiled for this program alone.

use flate2::{Compression, write::DeflateEncoder};
use k8s_openapi::api::core::v1::ConfigMap;
use schemars::SchemaGenerator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";

/// Texts by member; the type's own stands under the empty name.
type Members<'a> = BTreeMap<&'a str, &'a str>;

/// Tells the generator of types, which tell it of all that they refer to.
macro_rules! tell {
    ($generator:ident, $($($module:ident)::+ { $($kind:ident)+ })+) => {
        $({
            use k8s_openapi::$($module)::+ as module;
            $($generator.subschema_for::<module::$kind>();)+
        })+
    };
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut generator = SchemaGenerator::default();
    tell(&mut generator);
    let definitions = generator.definitions();
    let mut texts: BTreeMap<&str, Members<'_>> =
        definitions.iter().map(|(name, schema)| (name.as_str(), members(schema))).collect();
    if let Some(event) = texts.get_mut(WATCH_EVENT) {
        split_event(event);
    }
    let target = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("texts.deflate");
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&serde_json::to_vec(&texts)?)?;
    std::fs::write(target, encoder.finish()?)?;
    Ok(())
}

fn members(schema: &Value) -> Members<'_> {
    let text = |of: &'static str, schema| Some((of, described(schema)?));
    let own = text("", schema);
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    own.into_iter().chain(members.filter_map(|(name, member)| Some((name.as_str(), described(member)?)))).collect()
}

/// The type's text ends with the one of its member.
fn split_event(event: &mut Members<'_>) {
    if let Some((own, object)) = event.get("").and_then(|text| text.split_once("\n\n")) {
        event.insert("", own);
        event.insert("object", object);
    }
}

fn described(schema: &Value) -> Option<&str> {
    Some(schema.get("description")?.as_str()?.trim_end()).filter(|text| !text.is_empty())
}

/// Every kind of every group, and what operations have besides.
fn tell(generator: &mut SchemaGenerator) {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::WatchEvent;
    generator.subschema_for::<WatchEvent<ConfigMap>>();
    tell!(generator,
        api::admissionregistration::v1 {
            MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
            ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
        }
        api::admissionregistration::v1alpha1 { MutatingAdmissionPolicy MutatingAdmissionPolicyBinding }
        api::admissionregistration::v1beta1 { MutatingAdmissionPolicy MutatingAdmissionPolicyBinding }
        api::apiserverinternal::v1alpha1 { StorageVersion }
        api::apps::v1 { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
        api::authentication::v1 { SelfSubjectReview TokenRequest TokenReview }
        api::authorization::v1 {
            LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
        }
        api::autoscaling::v1 { HorizontalPodAutoscaler Scale }
        api::autoscaling::v2 { HorizontalPodAutoscaler }
        api::batch::v1 { CronJob Job }
        api::certificates::v1 { CertificateSigningRequest }
        api::certificates::v1alpha1 { ClusterTrustBundle }
        api::certificates::v1beta1 { ClusterTrustBundle PodCertificateRequest }
        api::coordination::v1 { Lease }
        api::coordination::v1alpha2 { LeaseCandidate }
        api::coordination::v1beta1 { LeaseCandidate }
        api::core::v1 {
            Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume
            PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
        }
        api::discovery::v1 { EndpointSlice }
        api::events::v1 { Event }
        api::flowcontrol::v1 { FlowSchema PriorityLevelConfiguration }
        api::networking::v1 { IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR }
        api::networking::v1beta1 { IPAddress ServiceCIDR }
        api::node::v1 { RuntimeClass }
        api::policy::v1 { Eviction PodDisruptionBudget }
        api::rbac::v1 { ClusterRole ClusterRoleBinding Role RoleBinding }
        api::resource::v1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::resource::v1alpha3 { DeviceTaintRule ResourcePoolStatusRequest }
        api::resource::v1beta1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::resource::v1beta2 { DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate ResourceSlice }
        api::scheduling::v1 { PriorityClass }
        api::scheduling::v1alpha2 { PodGroup Workload }
        api::storage::v1 {
            CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
        }
        api::storage::v1beta1 { VolumeAttributesClass }
        api::storagemigration::v1beta1 { StorageVersionMigration }
        apiextensions_apiserver::pkg::apis::apiextensions::v1 { CustomResourceDefinition }
        apimachinery::pkg::apis::meta::v1 {
            APIGroup APIGroupList APIResourceList APIVersions DeleteOptions ListMeta MicroTime Patch Status
        }
        apimachinery::pkg::version { Info }
        kube_aggregator::pkg::apis::apiregistration::v1 { APIService }
    );
}
