//! What a client is told about an object that is right, but may not do what was meant.
//!
//! Asked after validation; a warning is a text for a `Warning` header.
//!
//! Upstream: `WarningsOnCreate` and `WarningsOnUpdate` in `pkg/registry/*/*/strategy.go`.

mod addresses;
mod networking;
mod services;

use apimachinery::Value;
use apimachinery::resources::ResourceInfo;

/// Takes the texts.
pub type Sink<'a> = dyn FnMut(String) + 'a;

/// What to say of a new object.
pub fn create(resource: &ResourceInfo, object: &Value, warn: &mut Sink<'_>) {
    match (&*resource.group, &*resource.plural) {
        ("networking.k8s.io", "ingresses") => networking::ingress(object, warn),
        ("discovery.k8s.io", "endpointslices") => {
            services::address_type(object, warn);
            services::slice(object, warn);
        }
        _ => both(resource, object, warn),
    }
}

/// What to say of a changed object.
pub fn update(resource: &ResourceInfo, new: &Value, _old: &Value, warn: &mut Sink<'_>) {
    both(resource, new, warn);
}

/// What to say of a changed status.
pub fn status(resource: &ResourceInfo, new: &Value, warn: &mut Sink<'_>) {
    if let ("", "services") | ("networking.k8s.io", "ingresses") = (&*resource.group, &*resource.plural) {
        services::balancer(new, warn);
    }
}

/// What to say of new and of changed objects alike.
fn both(resource: &ResourceInfo, object: &Value, warn: &mut Sink<'_>) {
    match (&*resource.group, &*resource.plural) {
        ("", "services") => services::service(object, warn),
        ("", "endpoints") => services::endpoints(object, warn),
        ("discovery.k8s.io", "endpointslices") => services::slice(object, warn),
        ("networking.k8s.io", "networkpolicies") => networking::policy(object, warn),
        _ => {}
    }
}
