//! Prints objects as the rows of a `Table`.
//!
//! A [`Row`] does not depend on the time, so it can be kept; [`Row::render`] fills in the ages.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`.

mod access;
mod admission;
mod batch;
mod cell;
mod column;
mod config;
mod custom;
mod devices;
mod duration;
mod events;
mod network;
mod nodes;
mod pods;
mod scaling;
mod services;
mod storage;
mod words;
mod workloads;

pub use cell::{Cell, Part, Row};
pub use column::Column;
pub use duration::human;

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use column::{NAME, date};
use jiff::Timestamp;
use std::borrow::Cow;

/// How a resource is printed.
struct Printer {
    columns: &'static [Column<'static>],
    /// One cell for each column.
    row: fn(&Value) -> Vec<Cell>,
}

/// For resources without a printer of their own.
static DEFAULT: Printer = Printer {
    columns: &[NAME, date("Created At", "When the object was made.")],
    row: |object| vec![name(object), Cell::text(object.meta_str("creationTimestamp"))],
};

/// The columns of the resource.
pub fn columns(resource: &ResourceInfo) -> Cow<'_, [Column<'_>]> {
    match &resource.custom {
        Some(custom) => custom::columns(&**custom).into(),
        None => printer(resource).columns.into(),
    }
}

/// The cells of one object, one for each of [`columns`], without the time in them.
pub fn row(resource: &ResourceInfo, object: &Value) -> Row {
    match &resource.custom {
        Some(custom) => Row(custom::cells(&**custom, object)),
        None => Row((printer(resource).row)(object)),
    }
}

/// Whether nobody prints the resource better than with its name and its time.
pub fn is_plain(resource: &ResourceInfo) -> bool {
    resource.custom.is_none() && std::ptr::eq(printer(resource), &raw const DEFAULT)
}

/// The columns of a scale of the resource.
pub fn scale_columns(resource: &ResourceInfo) -> &'static [Column<'static>] {
    if resource.custom.is_some() { scaling::CUSTOM_SCALE } else { scaling::SCALE }
}

/// The cells of a scale, one for each of [`scale_columns`].
pub fn scale_row(scale: &Value) -> Row {
    Row(scaling::scale_row(scale))
}

/// The cells of one object at this time.
pub fn cells(resource: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<Value> {
    row(resource, object).render(now)
}

/// The cells of one object as text, for printing without a server.
pub fn texts(resource: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<String> {
    row(resource, object).texts(now)
}

fn printer(resource: &ResourceInfo) -> &'static Printer {
    let plural = &*resource.plural;
    let own = match &*resource.group {
        "" => core(plural),
        "apps" => apps(plural),
        "autoscaling" if plural == "horizontalpodautoscalers" => Some(&scaling::AUTOSCALER),
        "batch" => match plural {
            "jobs" => Some(&batch::JOB),
            "cronjobs" => Some(&batch::CRON_JOB),
            _ => None,
        },
        "networking.k8s.io" => networking(plural),
        "storage.k8s.io" => storage_group(plural),
        "admissionregistration.k8s.io" => admission_group(plural),
        "resource.k8s.io" => resource_group(plural),
        group => other(group, plural),
    };
    own.unwrap_or(&DEFAULT)
}

fn core(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "pods" => &pods::POD,
        "podtemplates" => &workloads::POD_TEMPLATE,
        "services" => &services::SERVICE,
        "endpoints" => &services::ENDPOINTS,
        "nodes" => &nodes::NODE,
        "namespaces" => &config::NAMESPACE,
        "configmaps" => &config::CONFIG_MAP,
        "secrets" => &config::SECRET,
        "serviceaccounts" => &config::NAME_AND_AGE,
        "resourcequotas" => &config::RESOURCE_QUOTA,
        "componentstatuses" => &config::COMPONENT_STATUS,
        "events" => &events::EVENT,
        "persistentvolumes" => &storage::PERSISTENT_VOLUME,
        "persistentvolumeclaims" => &storage::PERSISTENT_VOLUME_CLAIM,
        "replicationcontrollers" => &workloads::REPLICATION_CONTROLLER,
        _ => return None,
    })
}

fn apps(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "deployments" => &workloads::DEPLOYMENT,
        "replicasets" => &workloads::REPLICA_SET,
        "statefulsets" => &workloads::STATEFUL_SET,
        "daemonsets" => &workloads::DAEMON_SET,
        "controllerrevisions" => &workloads::CONTROLLER_REVISION,
        _ => return None,
    })
}

fn networking(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "ingresses" => &network::INGRESS,
        "ingressclasses" => &network::INGRESS_CLASS,
        "networkpolicies" => &network::NETWORK_POLICY,
        "ipaddresses" => &network::IP_ADDRESS,
        "servicecidrs" => &network::SERVICE_CIDR,
        _ => return None,
    })
}

fn storage_group(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "storageclasses" => &storage::STORAGE_CLASS,
        "volumeattachments" => &storage::VOLUME_ATTACHMENT,
        "volumeattributesclasses" => &storage::VOLUME_ATTRIBUTES_CLASS,
        "csidrivers" => &storage::CSI_DRIVER,
        "csinodes" => &storage::CSI_NODE,
        _ => return None,
    })
}

fn admission_group(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => &admission::WEBHOOKS,
        "validatingadmissionpolicies" => &admission::VALIDATING_POLICY,
        "mutatingadmissionpolicies" => &admission::MUTATING_POLICY,
        "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings" => &admission::BINDING,
        _ => return None,
    })
}

fn resource_group(plural: &str) -> Option<&'static Printer> {
    Some(match plural {
        "resourceclaims" => &devices::CLAIM,
        "resourceslices" => &devices::SLICE,
        "deviceclasses" | "resourceclaimtemplates" => &config::NAME_AND_AGE,
        _ => return None,
    })
}

fn other(group: &str, plural: &str) -> Option<&'static Printer> {
    Some(match (group, plural) {
        ("apiregistration.k8s.io", "apiservices") => &admission::API_SERVICE,
        ("certificates.k8s.io", "certificatesigningrequests") => &access::SIGNING_REQUEST,
        ("coordination.k8s.io", "leases") => &config::LEASE,
        ("discovery.k8s.io", "endpointslices") => &services::ENDPOINT_SLICE,
        ("events.k8s.io", "events") => &events::EVENT,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => &access::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => &access::PRIORITY_LEVEL,
        ("node.k8s.io", "runtimeclasses") => &config::RUNTIME_CLASS,
        ("policy", "poddisruptionbudgets") => &scaling::DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &access::BINDING,
        ("scheduling.k8s.io", "priorityclasses") => &config::PRIORITY_CLASS,
        _ => return None,
    })
}

fn name(object: &Value) -> Cell {
    Cell::text(object.name())
}

fn age(object: &Value) -> Cell {
    Cell::since(object.meta_str("creationTimestamp"))
}

#[cfg(test)]
mod tests;
