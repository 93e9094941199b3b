//! What a client is told about an object that is right, but may not do what was meant.
//!
//! Asked after validation; a warning is a text for a `Warning` header.
//!
//! Upstream: `WarningsOnCreate` and `WarningsOnUpdate` in `pkg/registry/*/*/strategy.go`.

mod addresses;
mod config;
mod custom;
mod labels;
mod networking;
mod pods;
mod resources;
mod services;
mod storage;
#[cfg(test)]
mod testing;
mod workloads;

use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;

/// Takes the texts.
pub type Sink<'a> = dyn FnMut(String) + 'a;

/// What to say of a new object.
///
/// Upstream: `WarningsOnCreate` of the resource's strategy.
pub fn create(resource: &ResourceInfo, object: &Value, warn: &mut Sink<'_>) {
    if resource.custom.is_some() {
        return custom::finalizers(object, None, warn);
    }
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => pods::create(object, warn),
        ("", "resourcequotas") => config::quota(object, warn),
        ("networking.k8s.io", "ingresses") => networking::ingress(object, warn),
        ("discovery.k8s.io", "endpointslices") => {
            services::address_type(object, warn);
            services::slice(object, warn);
        }
        (_, plural) if has_template(resource) => workloads::create(plural, object, warn),
        _ => both(resource, object, None, warn),
    }
}

/// What to say of a changed object.
///
/// Upstream: `WarningsOnUpdate` of the resource's strategy.
pub fn update(resource: &ResourceInfo, new: &Value, old: &Value, warn: &mut Sink<'_>) {
    match &*resource.plural {
        _ if resource.custom.is_some() => custom::finalizers(new, Some(old), warn),
        plural if has_template(resource) => workloads::update(plural, new, old, warn),
        _ => both(resource, new, Some(old), warn),
    }
}

/// What to say of a changed status.
///
/// Upstream: `WarningsOnUpdate` of the strategy of the resource's status, which most do not share with the resource.
pub fn status(resource: &ResourceInfo, new: &Value, old: &Value, warn: &mut Sink<'_>) {
    match (&*resource.group, &*resource.plural) {
        _ if resource.custom.is_some() => custom::finalizers(new, Some(old), warn),
        ("", "pods") => pods::status(new, warn),
        ("", "services") | ("networking.k8s.io", "ingresses") => services::balancer(new, warn),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => config::static_name(new, warn),
        _ => {}
    }
}

/// What to say of a deletion with these options.
///
/// Upstream: `pkg/registry/batch/job/storage/storage.go`.
pub fn delete(resource: &ResourceInfo, options: &Value, warn: &mut Sink<'_>) {
    let says_what_of_pods = options.has("propagationPolicy") || options.has("orphanDependents");
    if ("batch", "jobs") == (&*resource.group, &*resource.plural) && !says_what_of_pods {
        let remedy =
            "set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";
        warn(format!("child pods are preserved by default when jobs are deleted; {remedy}"));
    }
}

/// Whether objects have a template of pods.
fn has_template(resource: &ResourceInfo) -> bool {
    match &*resource.group {
        "" => matches!(&*resource.plural, "podtemplates" | "replicationcontrollers"),
        "apps" => resource.plural != "controllerrevisions",
        group => group == "batch",
    }
}

/// What to say of new and of changed objects alike; a new one has no old one.
fn both(resource: &ResourceInfo, new: &Value, old: Option<&Value>, warn: &mut Sink<'_>) {
    match (&*resource.group, &*resource.plural) {
        ("", "services") => services::service(new, warn),
        ("", "endpoints") => services::endpoints(new, warn),
        ("", "nodes") => config::node(new, warn),
        ("", "persistentvolumes") => storage::volume(new, warn),
        ("", "persistentvolumeclaims") => storage::claim(new, warn),
        ("", "serviceaccounts") => config::account(new, old, warn),
        ("discovery.k8s.io", "endpointslices") => services::slice(new, warn),
        ("networking.k8s.io", "networkpolicies") => networking::policy(new, warn),
        ("node.k8s.io", "runtimeclasses") => config::runtime_class(new, warn),
        ("resource.k8s.io", "resourceslices") => config::resource_slice(new, warn),
        ("storage.k8s.io", "storageclasses") => storage::class(new, warn),
        ("storage.k8s.io", "csistoragecapacities") => storage::capacity(new, warn),
        ("storage.k8s.io", "csidrivers") => storage::driver(new, old, warn),
        ("admissionregistration.k8s.io", _) => config::static_name(new, warn),
        _ => {}
    }
}
