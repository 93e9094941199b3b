//! Which pod fits which node: requests, affinity, taints, host ports.
//!
//! Everything here works on small views of pods and nodes; the feature `typed` makes these views
//! of k8s-openapi's structs.
//!
//! Upstream: `staging/src/k8s.io/component-helpers/{resource,scheduling}`.

pub mod requests;
