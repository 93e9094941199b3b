//! The steps after the start that health checks ask for, by upstream's names and in its order.

use apiserver_auth::authorization::Rbac;
use apiserver_server::health::{Health, Hook};

/// The steps that report when they are done.
pub(super) struct Hooks {
    pub(super) policy: Option<(Hook, Rbac)>,
    pub(super) objects: Hook,
    pub(super) flow_control: Hook,
    pub(super) namespaces: Hook,
    pub(super) service: Hook,
    pub(super) authentication: Hook,
    pub(super) identity: Hook,
    pub(super) token_tracking: Hook,
    pub(super) api_services: Hook,
    /// The servers behind this one that are there at the start have routes.
    pub(super) first_sync: Hook,
    pub(super) registration: Hook,
}

/// What upstream's informers and controllers report, and here the watch cache serves all of.
const INFORMERS: &[&str] = &[
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
];
const AGGREGATION: &[&str] = &[
    "aggregator-reload-proxy-client-cert",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
];

impl Hooks {
    /// Adds all checks.
    pub(super) fn add(health: &mut Health, rbac: Option<Rbac>) -> Self {
        let warm = |health: &mut Health, names: &[&str]| names.iter().for_each(|name| health.warm_hook(name));
        warm(health, INFORMERS);
        let namespaces = health.hook("start-system-namespaces-controller");
        warm(health, &["peer-endpoint-reconciler-controller"]);
        let authentication = health.hook("start-cluster-authentication-info-controller");
        let identity = health.hook("start-kube-apiserver-identity-lease-controller");
        warm(health, &["start-kube-apiserver-identity-lease-garbage-collector", "storage-readiness"]);
        let token_tracking = health.hook("start-legacy-token-tracking-controller");
        warm(health, &["start-service-ip-repair-controllers"]);
        let policy = rbac.map(|rbac| (health.hook("rbac/bootstrap-roles"), rbac));
        let objects = health.hook("scheduling/bootstrap-system-priority-classes");
        let flow_control = health.hook("priority-and-fairness-config-producer");
        let service = health.hook("bootstrap-controller");
        warm(health, &["start-kubernetes-service-cidr-controller"]);
        warm(health, AGGREGATION);
        let api_services = health.hook("apiservice-registration-controller");
        let first_sync = health.hook("apiservice-wait-for-first-sync");
        warm(health, &["apiservice-discovery-controller"]);
        let registration = health.hook("kube-apiserver-autoregistration");
        let registered = registration.clone();
        health.add("autoregister-completion", move || match registered.is_done() {
            true => Ok(()),
            false => Err("missing APIService".to_owned()),
        });
        warm(health, &["apiservice-openapi-controller", "apiservice-openapiv3-controller"]);
        Self {
            policy,
            objects,
            flow_control,
            namespaces,
            service,
            authentication,
            identity,
            token_tracking,
            api_services,
            first_sync,
            registration,
        }
    }
}
