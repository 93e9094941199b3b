//! The table of all controllers. To add one: its folder, and a line here.
//!
//! Upstream: `cmd/kube-controller-manager/names`, `app/controllermanager.go`.

use super::identity::Identities;
use super::selection::{Default, Selection};
use crate::controllers;
use crate::scaffold::Context;
use std::collections::HashMap;

/// What starts a controller.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// Its constructor.
    With(fn(&Context)),
    /// Known upstream, but not started there either by default: its gate is off, or a cloud's own
    /// controller manager does its work.
    NotBuilt,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Name, as in `--controllers`.
    pub name: &'static str,
    /// The name of old, still accepted.
    pub alias: &'static str,
    /// Its service account in `kube-system`; empty for one that speaks as the process itself.
    pub account: &'static str,
    /// Whether it runs without being named.
    pub default: Default,
    /// How it starts.
    pub start: Start,
}

const fn built(name: &'static str, alias: &'static str, account: &'static str, start: fn(&Context)) -> Registration {
    Registration { name, alias, account, default: Default::On, start: Start::With(start) }
}

/// One that only runs if it is named.
const fn optional(name: &'static str, alias: &'static str, account: &'static str, start: fn(&Context)) -> Registration {
    Registration { name, alias, account, default: Default::Off, start: Start::With(start) }
}

const fn missing(name: &'static str, alias: &'static str) -> Registration {
    Registration { name, alias, account: "", default: Default::Off, start: Start::NotBuilt }
}

/// All controllers, in upstream's order of starting.
#[rustfmt::skip]
pub static CONTROLLERS: &[Registration] = &[
    built(controllers::serviceaccount_token::NAME, "serviceaccount-token", "", controllers::serviceaccount_token::start),
    built(controllers::endpoints::NAME, "endpoint", "endpoint-controller", controllers::endpoints::start),
    built(controllers::endpointslice::NAME, "endpointslice", "endpointslice-controller", controllers::endpointslice::start),
    built(controllers::replicationcontroller::NAME, "replicationcontroller", "replication-controller", controllers::replicationcontroller::start),
    built(controllers::endpointslice_mirroring::NAME, "endpointslicemirroring", "endpointslicemirroring-controller", controllers::endpointslice_mirroring::start),
    built(controllers::pod_gc::NAME, "podgc", "pod-garbage-collector", controllers::pod_gc::start),
    built(controllers::resourcequota::NAME, "resourcequota", "resourcequota-controller", controllers::resourcequota::start),
    built(controllers::namespace::NAME, "namespace", "namespace-controller", controllers::namespace::start),
    built(controllers::serviceaccount::NAME, "serviceaccount", "service-account-controller", controllers::serviceaccount::start),
    built(controllers::garbage_collector::NAME, "garbagecollector", "generic-garbage-collector", controllers::garbage_collector::start),
    built(controllers::daemonset::NAME, "daemonset", "daemon-set-controller", controllers::daemonset::start),
    built(controllers::job::NAME, "job", "job-controller", controllers::job::start),
    built(controllers::deployment::NAME, "deployment", "deployment-controller", controllers::deployment::start),
    built(controllers::replicaset::NAME, "replicaset", "replicaset-controller", controllers::replicaset::start),
    built(controllers::statefulset::NAME, "statefulset", "statefulset-controller", controllers::statefulset::start),
    built(controllers::cronjob::NAME, "cronjob", "cronjob-controller", controllers::cronjob::start),
    built(controllers::horizontal_pod_autoscaler::NAME, "horizontalpodautoscaling", "horizontal-pod-autoscaler", controllers::horizontal_pod_autoscaler::start),
    built(controllers::disruption::NAME, "disruption", "disruption-controller", controllers::disruption::start),
    built(controllers::certificate_signing::NAME, "csrsigning", "certificate-controller", controllers::certificate_signing::start),
    built(controllers::certificate_approving::NAME, "csrapproving", "certificate-controller", controllers::certificate_approving::start),
    built(controllers::certificate_cleaner::NAME, "csrcleaner", "certificate-controller", controllers::certificate_cleaner::start),
    missing("podcertificaterequest-cleaner-controller", ""),
    built(controllers::node_ttl::NAME, "ttl", "ttl-controller", controllers::node_ttl::start),
    optional(controllers::bootstrap_signer::NAME, "bootstrapsigner", "bootstrap-signer", controllers::bootstrap_signer::start),
    optional(controllers::token_cleaner::NAME, "tokencleaner", "token-cleaner", controllers::token_cleaner::start),
    built(controllers::node_ipam::NAME, "nodeipam", "node-controller", controllers::node_ipam::start),
    built(controllers::node_lifecycle::NAME, "nodelifecycle", "node-controller", controllers::node_lifecycle::start),
    missing("service-lb-controller", "service"),
    missing("node-route-controller", "route"),
    missing("cloud-node-lifecycle-controller", "cloud-node-lifecycle"),
    built(controllers::persistentvolume_binder::NAME, "persistentvolume-binder", "persistent-volume-binder", controllers::persistentvolume_binder::start),
    built(controllers::attach_detach::NAME, "attachdetach", "attachdetach-controller", controllers::attach_detach::start),
    built(controllers::persistentvolume_expander::NAME, "persistentvolume-expander", "expand-controller", controllers::persistentvolume_expander::start),
    built(controllers::clusterrole_aggregation::NAME, "clusterrole-aggregation", "clusterrole-aggregation-controller", controllers::clusterrole_aggregation::start),
    built(controllers::persistentvolumeclaim_protection::NAME, "pvc-protection", "pvc-protection-controller", controllers::persistentvolumeclaim_protection::start),
    built(controllers::persistentvolume_protection::NAME, "pv-protection", "pv-protection-controller", controllers::persistentvolume_protection::start),
    built(controllers::volumeattributesclass_protection::NAME, "", "volumeattributesclass-protection-controller", controllers::volumeattributesclass_protection::start),
    missing("podgroup-protection-controller", ""),
    built(controllers::ttl_after_finished::NAME, "ttl-after-finished", "ttl-after-finished-controller", controllers::ttl_after_finished::start),
    built(controllers::root_ca::NAME, "root-ca-cert-publisher", "root-ca-cert-publisher", controllers::root_ca::start),
    missing("kube-apiserver-serving-clustertrustbundle-publisher-controller", ""),
    built(controllers::ephemeral_volume::NAME, "ephemeral-volume", "ephemeral-volume-controller", controllers::ephemeral_volume::start),
    missing("storageversion-garbage-collector-controller", "storage-version-gc"),
    built(controllers::resourceclaim::NAME, "", "resource-claim-controller", controllers::resourceclaim::start),
    missing("resourcepoolstatusrequest-controller", ""),
    built(controllers::device_taint_eviction::NAME, "", "device-taint-eviction-controller", controllers::device_taint_eviction::start),
    built(controllers::legacy_token_cleaner::NAME, "legacy-service-account-token-cleaner", "legacy-service-account-token-cleaner", controllers::legacy_token_cleaner::start),
    built(controllers::validatingadmissionpolicy_status::NAME, "", "validatingadmissionpolicy-status-controller", controllers::validatingadmissionpolicy_status::start),
    built(controllers::taint_eviction::NAME, "", "node-controller", controllers::taint_eviction::start),
    built(controllers::service_cidr::NAME, "", "service-cidrs-controller", controllers::service_cidr::start),
    missing("storage-version-migrator-controller", "svm"),
    missing("selinux-warning-controller", ""),
];

/// The name behind a name or an alias.
pub fn canonical(name: &str) -> Option<&'static str> {
    let known = |line: &&Registration| line.name == name || (!line.alias.is_empty() && line.alias == name);
    CONTROLLERS.iter().find(known).map(|line| line.name)
}

/// Starts what is selected; what is not built is said by name if it was asked for by name.
pub fn start(context: &Context, identities: &Identities, selection: &Selection) {
    let mut clients: HashMap<&str, kube::Client> = HashMap::new();
    for line in CONTROLLERS {
        match line.start {
            Start::With(start) if selection.enables(line.name, line.default) => {
                tracing::info!(controller = line.name, "starting");
                let client = match line.account {
                    "" => context.client.clone(),
                    account => clients.entry(account).or_insert_with(|| identities.client(account)).clone(),
                };
                start(&Context { client, ..context.clone() });
            }
            Start::NotBuilt if selection.names(line.name) => {
                tracing::warn!(controller = line.name, "asked for by name, but not built");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_aliases_are_unique() {
        let names = CONTROLLERS.iter().flat_map(|line| [line.name, line.alias]).filter(|name| !name.is_empty());
        let names: Vec<_> = names.collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn an_alias_is_its_controller() {
        assert_eq!(canonical("nodeipam"), Some("node-ipam-controller"));
        assert_eq!(canonical("deployment-controller"), Some("deployment-controller"));
        assert_eq!(canonical(""), None);
    }
}
