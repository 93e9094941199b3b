//! The policy that every cluster starts with, and keeping it right.
//!
//! Upstream: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`,
//! `pkg/registry/rbac/reconciliation`.

mod policy;
mod reconcile;

pub(crate) use policy::keys;
pub use policy::node_rules;
pub use reconcile::{PolicyError, ensure_policy};
