//! Says what is wrong with an object.
//!
//! A check walks one kind's members in upstream's order and reports to a list; it is written
//! against objects that have been decoded along the schema table and defaulted.
//!
//! Upstream: `pkg/apis/*/validation/validation.go`.

pub(crate) mod addresses;
mod admission;
mod batch;
mod certificates;
pub mod check;
mod conditions;
mod config;
mod devices;
mod endpoints;
mod events;
mod extensions;
mod flow;
mod go_json;
mod ingress;
mod meta;
pub mod names;
mod networking;
mod nodes;
mod pod;
mod policies;
mod printed;
mod quotas;
mod rbac;
mod scaling;
mod service;
mod storage;
#[cfg(test)]
mod testing;
mod urls;
mod values;
mod webhooks;
mod workloads;

pub use pod::{app_armor_field, qos};
pub use service::related_addresses;
pub(crate) use values::quantity;

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
    let behind = meta::update(new, old, resource, checks.name, &mut out);
    if let Some(custom) = &resource.custom {
        return out.with(custom.update_errors(new, old));
    }
    (checks.changed)(new, &mut out);
    out.append(behind);
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

/// What is wrong with a change of the verdict on a certificate signing request.
pub fn update_approval(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let (mut out, checks) = (Report::default(), checks(resource));
    let behind = meta::update(new, old, resource, checks.name, &mut out);
    (checks.changed)(new, &mut out);
    out.append(behind);
    certificates::approval(new, old, &mut out);
    out.finish()
}

/// What is wrong with a change of a namespace's finalizers, the only thing that changed.
pub fn update_finalize(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    meta::update_status(new, old, resource, checks(resource).name, &mut out);
    config::namespace_finalize(new, &mut out);
    out.finish()
}

/// What is wrong with the scale of an object of a resource.
///
/// Upstream: `ValidateScale` in `pkg/apis/autoscaling/validation`.
pub fn scale(resource: &ResourceInfo, scale: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    meta::create(scale, resource, NameRule::Subdomain, &mut out);
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default();
    if replicas < 0 {
        out.invalid(&At::root("spec").child("replicas"), replicas, "must be greater than or equal to 0");
    }
    out.finish()
}

/// What is wrong with the metadata of an object inside another one.
pub fn embedded_metadata(at: &At<'_>, metadata: Option<&Map>, out: &mut Report) {
    meta::template(at, metadata, out);
}

/// What is wrong with a change of a pod's ephemeral containers, the only thing that changed.
pub fn update_ephemeral_containers(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    let behind = meta::update(new, old, resource, checks(resource).name, &mut out);
    out.append(behind);
    pod::ephemeral_containers(new, old, &mut out);
    out.finish()
}

/// What is wrong with a change of the resources of a pod's containers, the only thing that
/// changed.
pub fn update_resize(resource: &ResourceInfo, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    let behind = meta::update(new, old, resource, checks(resource).name, &mut out);
    out.append(behind);
    pod::resize(new, old, &mut out);
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

    /// Checks of a new object, and of a change together with what it was before.
    const fn split(create: fn(&Value, &mut Report), update: fn(&Value, &Value, &mut Report)) -> Self {
        Self { create, update, ..PLAIN }
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
        "pods" => Checks { create: pod::create, ..PLAIN }.update(pod::update::update).status(pod::status),
        "podtemplates" => Checks { create: config::pod_template, ..PLAIN }.update(config::pod_template_update),
        "services" => Checks { create: service::create, ..PLAIN }
            .named(NameRule::Label)
            .update(service::update)
            .status(service::status),
        "endpoints" => Checks { create: endpoints::endpoints, ..PLAIN }.update(endpoints::endpoints_update),
        "nodes" => Checks::of(nodes::node).update(nodes::node_update).status(nodes::node_update),
        "namespaces" => Checks::of(config::namespace).named(NameRule::Label).status(config::namespace_status),
        "configmaps" => Checks::of(config::config_map).update(config::config_map_update),
        "secrets" => Checks::of(config::secret).update(config::secret_update),
        "resourcequotas" => Checks::of(quotas::quota).update(quotas::quota_update).status(quotas::quota_status),
        "limitranges" => Checks::of(quotas::limit_range),
        "persistentvolumes" => Checks::split(storage::volume, storage::volume_update).status(storage::volume_status),
        "persistentvolumeclaims" => Checks::split(storage::claim, storage::claim_update).status(storage::claim_status),
        "events" => Checks::of(events::core).named(NameRule::PathSegment),
        "replicationcontrollers" => {
            Checks::of(workloads::replication_controller).status(workloads::status::replica_set)
        }
        _ => PLAIN,
    }
}

fn workload(plural: &str) -> Checks {
    match plural {
        "deployments" => {
            Checks::of(workloads::deployment).update(workloads::selector_update).status(workloads::status::deployment)
        }
        "replicasets" => {
            Checks::of(workloads::replica_set).update(workloads::selector_update).status(workloads::status::replica_set)
        }
        "statefulsets" => Checks::split(workloads::stateful_set, workloads::stateful_set_update)
            .named(NameRule::Label)
            .status(workloads::status::stateful_set),
        "daemonsets" => {
            Checks::split(workloads::daemon_set, workloads::daemon_set_update).status(workloads::status::daemon_set)
        }
        "controllerrevisions" => {
            Checks { create: workloads::controller_revision_create, ..Checks::of(workloads::controller_revision) }
                .update(workloads::controller_revision_update)
        }
        "jobs" => Checks::split(batch::job, batch::job_update).status(batch::job_status),
        // Jobs get the cron job's name and eleven letters more.
        "cronjobs" => Checks::split(batch::cron_job, batch::cron_job_update).named(NameRule::Short(52)),
        _ => PLAIN,
    }
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
        "volumeattachments" => {
            Checks::of(storage::attachment).update(storage::attachment_update).status(storage::attachment_status)
        }
        "volumeattributesclasses" => Checks::split(storage::attributes_class, storage::attributes_class_update),
        "csidrivers" => Checks::of(storage::driver).update(storage::driver_update),
        "csinodes" => Checks::of(storage::node).update(storage::node_update),
        "csistoragecapacities" => Checks::split(storage::capacity, storage::capacity_update),
        _ => PLAIN,
    }
}

fn networking(plural: &str) -> Checks {
    match plural {
        "ingresses" => {
            Checks { create: ingress::create, ..PLAIN }.update(ingress::update).status(service::ingress_status)
        }
        "ingressclasses" => Checks { create: ingress::class, ..PLAIN }.update(ingress::class_update),
        "networkpolicies" => Checks { create: networking::policy, ..PLAIN }.update(networking::policy_update),
        "ipaddresses" => Checks::of(networking::address).named(NameRule::Address).update(networking::address_update),
        "servicecidrs" => Checks { create: networking::ranges, ..PLAIN }.update(networking::ranges_update),
        _ => PLAIN,
    }
}

fn other(group: &str, plural: &str) -> Checks {
    match (group, plural) {
        ("autoscaling", _) => {
            Checks::split(scaling::autoscaler, scaling::autoscaler_update).status(scaling::autoscaler_status)
        }
        ("policy", "poddisruptionbudgets") => {
            Checks::split(scaling::disruption_budget, scaling::disruption_budget_update)
                .status(scaling::disruption_budget_status)
        }
        ("discovery.k8s.io", _) => Checks { create: endpoints::slice, ..PLAIN }.update(endpoints::slice_update),
        ("coordination.k8s.io", "leases") => Checks::of(config::lease),
        ("scheduling.k8s.io", "priorityclasses") => {
            Checks { create: config::priority_class, ..PLAIN }.update(config::priority_class_update)
        }
        ("node.k8s.io", _) => Checks::of(nodes::runtime_class).update(nodes::runtime_class_update),
        ("events.k8s.io", _) => Checks { create: events::create, ..Checks::of(events::changed) }.update(events::update),
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => {
            Checks::of(flow::schema).status(|new, _, out| flow::status(new, out))
        }
        ("flowcontrol.apiserver.k8s.io", _) => {
            Checks::of(flow::priority_level).status(|new, _, out| flow::status(new, out))
        }
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            Checks { create: webhooks::create, ..PLAIN }.update(webhooks::update)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => {
            Checks::of(policies::validating).status(policies::status)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => {
            Checks::of(policies::validating_binding)
        }
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => Checks::of(policies::mutating),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings") => Checks::of(policies::mutating_binding),
        ("resource.k8s.io", "deviceclasses") => {
            Checks { create: devices::class, ..PLAIN }.update(devices::class_update)
        }
        ("resource.k8s.io", "resourceclaims") => {
            Checks { create: devices::claim, ..PLAIN }.update(devices::claim_update).status(devices::claim_status)
        }
        ("resource.k8s.io", "resourceclaimtemplates") => {
            Checks::of(devices::claim_template).update(devices::claim_template_update)
        }
        ("resource.k8s.io", "resourceslices") => {
            Checks { create: devices::slice, ..PLAIN }.update(devices::slice_update)
        }
        ("apiregistration.k8s.io", "apiservices") => {
            Checks::of(extensions::api_service).named(NameRule::PathSegment).status(extensions::api_service_status)
        }
        ("certificates.k8s.io", "certificatesigningrequests") => Checks { create: certificates::create, ..PLAIN }
            .named(NameRule::PathSegment)
            .update(certificates::update)
            .status(certificates::status),
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests;
