//! Says what is wrong with an object.
//!
//! A check walks one kind's members in upstream's order and reports to a list; it is written
//! against objects that have been decoded along the schema table and defaulted.
//!
//! Upstream: `pkg/apis/*/validation/validation.go`.

mod admission;
mod batch;
pub mod check;
mod config;
mod devices;
mod extensions;
mod go_json;
mod meta;
pub mod names;
mod networking;
mod nodes;
mod pod;
mod policies;
mod rbac;
mod scaling;
mod service;
mod storage;
mod values;
mod workloads;

use apimachinery::field::FieldError;
use apimachinery::resources::ResourceInfo;
use apimachinery::{Map, Value};
use check::{At, Report};
use names::NameRule;

/// What is checked of a resource's objects, their metadata aside.
#[derive(Clone, Copy)]
struct Checks {
    name: NameRule,
    /// A new object.
    create: fn(&Value, &mut Report),
    /// An object that has changed, for itself.
    changed: fn(&Value, &mut Report),
    /// The change from the second to the first.
    update: fn(&Value, &Value, &mut Report),
    /// The change of the status.
    status: fn(&Value, &Value, &mut Report),
}

/// What is wrong with a new object, metadata first. Defaults have been applied.
pub fn create(resource: &ResourceInfo, object: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    if let Some(custom) = &resource.custom {
        meta::create(object, resource, NameRule::Subdomain, &mut out);
        return out.with(custom.create_errors(object));
    }
    let checks = checks(resource);
    if resource.is_stored() {
        meta::create(object, resource, checks.name, &mut out);
    }
    (checks.create)(object, &mut out);
    if resource.is_stored() {
        meta::create_generic(object, resource, &mut out);
    }
    out.finish()
}

/// What is wrong with a change of an object.
pub fn update(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let (mut out, checks) = (Report::default(), checks(resource));
    meta::update(new, old, resource, checks.name, &mut out);
    if let Some(custom) = &resource.custom {
        return out.with(custom.update_errors(new, old));
    }
    (checks.changed)(new, &mut out);
    (checks.update)(new, old, &mut out);
    out.finish()
}

/// What is wrong with a change of an object's status.
pub fn update_status(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let (mut out, checks) = (Report::default(), checks(resource));
    meta::update_status(new, old, resource, checks.name, &mut out);
    if let Some(custom) = &resource.custom {
        return out.with(custom.status_errors(new, old));
    }
    (checks.status)(new, old, &mut out);
    out.finish()
}

/// What is wrong with the metadata of an object inside another one.
pub fn embedded_metadata(at: &At<'_>, metadata: Option<&Map>, out: &mut Report) {
    meta::template(at, metadata, out);
}

/// What is wrong with a change of a pod's ephemeral containers, the only thing that changed.
pub fn update_ephemeral_containers(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let (mut out, checks) = (Report::default(), checks(resource));
    meta::update(new, old, resource, checks.name, &mut out);
    (checks.changed)(new, &mut out);
    pod::update::ephemeral_containers(new, old, &mut out);
    out.finish()
}

/// What is wrong with a change of the resources of a pod's containers, the only thing that
/// changed.
pub fn update_resize(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let (mut out, checks) = (Report::default(), checks(resource));
    meta::update(new, old, resource, checks.name, &mut out);
    (checks.changed)(new, &mut out);
    pod::update::resize(new, old, &mut out);
    out.finish()
}

const PLAIN: Checks = Checks {
    name: NameRule::Subdomain,
    create: |_, _| {},
    changed: |_, _| {},
    update: |_, _, _| {},
    status: |_, _, _| {},
};

impl Checks {
    /// Checks that are the same for new and for changed objects.
    const fn of(check: fn(&Value, &mut Report)) -> Self {
        Self { create: check, changed: check, ..PLAIN }
    }

    const fn named(self, name: NameRule) -> Self {
        Self { name, ..self }
    }

    const fn update(self, update: fn(&Value, &Value, &mut Report)) -> Self {
        Self { update, ..self }
    }

    const fn status(self, status: fn(&Value, &Value, &mut Report)) -> Self {
        Self { status, ..self }
    }
}

fn checks(resource: &ResourceInfo) -> Checks {
    let plural = &*resource.plural;
    match &*resource.group {
        "" => core(plural),
        "apps" | "batch" => workload(plural),
        "rbac.authorization.k8s.io" => rbac(plural),
        "storage.k8s.io" => storage_group(plural),
        "networking.k8s.io" => networking(plural),
        group => other(group, plural),
    }
}

fn core(plural: &str) -> Checks {
    match plural {
        "pods" => Checks { create: pod::create, ..Checks::of(pod::pod) }
            .update(pod::update::update)
            .status(pod::update::status),
        "podtemplates" => Checks::of(config::pod_template),
        "services" => Checks::of(service::service).named(NameRule::Label).update(service::update),
        "endpoints" => Checks::of(service::endpoints),
        "nodes" => Checks::of(nodes::node).update(nodes::node_update).status(nodes::node_update),
        "namespaces" => Checks::of(config::namespace).named(NameRule::Label),
        "configmaps" => Checks::of(config::config_map).update(config::config_map_update),
        "secrets" => Checks::of(config::secret).update(config::secret_update),
        "resourcequotas" => Checks::of(config::resource_quota).update(config::resource_quota_update),
        "limitranges" => Checks::of(config::limit_range),
        "persistentvolumes" => Checks::of(storage::volume).update(storage::volume_update),
        "persistentvolumeclaims" => Checks::of(storage::claim).update(storage::claim_update),
        "events" => Checks::of(config::event),
        "replicationcontrollers" => Checks::of(workloads::replication_controller).status(workloads::counts),
        _ => PLAIN,
    }
}

fn workload(plural: &str) -> Checks {
    match plural {
        "deployments" => Checks::of(workloads::deployment).update(workloads::selector_update),
        "replicasets" => Checks::of(workloads::replica_set).update(workloads::selector_update),
        "statefulsets" => Checks::of(workloads::stateful_set).update(workloads::stateful_set_update),
        "daemonsets" => Checks::of(workloads::daemon_set).update(workloads::selector_update),
        "controllerrevisions" => {
            Checks { create: workloads::controller_revision_create, ..Checks::of(workloads::controller_revision) }
                .update(workloads::controller_revision_update)
        }
        "jobs" => Checks::of(batch::job).update(batch::job_update),
        // Jobs get the cron job's name and eleven letters more.
        "cronjobs" => Checks::of(batch::cron_job).named(NameRule::Short(52)),
        _ => PLAIN,
    }
    .status(workloads::counts)
}

fn rbac(plural: &str) -> Checks {
    match plural {
        "roles" => Checks::of(rbac::role),
        "clusterroles" => Checks::of(rbac::cluster_role),
        "rolebindings" => Checks::of(rbac::role_binding).update(rbac::binding_update),
        "clusterrolebindings" => Checks::of(rbac::cluster_role_binding).update(rbac::binding_update),
        _ => PLAIN,
    }
    .named(NameRule::PathSegment)
}

fn storage_group(plural: &str) -> Checks {
    match plural {
        "storageclasses" => Checks::of(storage::class).update(storage::class_update),
        "volumeattachments" => Checks::of(storage::attachment).update(storage::spec_update),
        _ => PLAIN,
    }
}

fn networking(plural: &str) -> Checks {
    match plural {
        "ingresses" => Checks::of(networking::ingress),
        "ingressclasses" => PLAIN.update(networking::ingress_class_update),
        "networkpolicies" => Checks::of(networking::network_policy),
        "ipaddresses" => PLAIN.named(NameRule::Address),
        _ => PLAIN,
    }
}

fn other(group: &str, plural: &str) -> Checks {
    match (group, plural) {
        ("autoscaling", _) => Checks::of(scaling::autoscaler),
        ("policy", "poddisruptionbudgets") => Checks::of(scaling::disruption_budget),
        ("discovery.k8s.io", _) => Checks::of(service::slice).update(service::slice_update),
        ("coordination.k8s.io", "leases") => Checks::of(config::lease),
        ("scheduling.k8s.io", "priorityclasses") => {
            Checks { create: config::priority_class, ..PLAIN }.update(config::priority_class_update)
        }
        ("node.k8s.io", _) => Checks::of(nodes::runtime_class).update(nodes::runtime_class_update),
        ("events.k8s.io", _) => Checks::of(config::event),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            Checks::of(extensions::webhooks)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => {
            Checks::of(policies::validating).status(policies::status)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => {
            Checks::of(policies::validating_binding)
        }
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => Checks::of(policies::mutating),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings") => Checks::of(policies::mutating_binding),
        ("resource.k8s.io", "deviceclasses") => Checks::of(devices::class),
        ("resource.k8s.io", "resourceclaims") => Checks::of(devices::claim),
        ("resource.k8s.io", "resourceclaimtemplates") => Checks::of(devices::claim_template),
        ("apiregistration.k8s.io", "apiservices") => Checks::of(extensions::api_service).named(NameRule::PathSegment),
        ("certificates.k8s.io", "certificatesigningrequests") => PLAIN.update(storage::spec_update),
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests;
