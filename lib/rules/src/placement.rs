//! Which pod fits which node: requests, affinity, taints, host ports.
//!
//! Upstream: `staging/src/k8s.io/component-helpers/{resource,scheduling}`.
