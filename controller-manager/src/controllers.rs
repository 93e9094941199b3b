//! The controllers, each a folder: `mod.rs` wires it, `plan.rs` decides, `reconcile.rs` reads and
//! applies.

pub mod bootstrap_signer;
pub mod certificate_approving;
pub mod certificate_cleaner;
pub mod certificate_signing;
pub mod clusterrole_aggregation;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslice_mirroring;
pub mod garbage_collector;
pub mod job;
pub mod legacy_token_cleaner;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod persistentvolume_binder;
pub mod persistentvolume_protection;
pub mod persistentvolumeclaim_protection;
pub mod pod_gc;
pub mod replicaset;
pub mod replicationcontroller;
pub mod resourcequota;
pub mod root_ca;
pub mod serviceaccount;
pub mod statefulset;
pub mod serviceaccount_token;
pub mod taint_eviction;
pub mod ttl_after_finished;
pub mod token_cleaner;
pub mod validatingadmissionpolicy_status;
