//! The generic registry: every verb on every resource, and the strategies that make resources differ.
//!
//! [`Registry`] has one method per verb; each lives in a file under `verbs` or `subresources`. What
//! a resource does differently stands in `strategies`, one file per group. Invariant: every write
//! goes decode, defaults, mutating admission, defaults, validation, validating admission, and then
//! one store transaction.
//!
//! Upstream: `apiserver/pkg/registry/generic/registry`, `apiserver/pkg/endpoints/handlers`,
//! `pkg/registry/*`.
#![warn(missing_docs)]

pub mod admission;
pub mod backends;
pub mod context;
pub mod hooks;
pub mod registry;

mod convert;
mod decode;
mod device_access;
mod equivalence;
mod failure;
mod managed;
mod metadata;
mod params_access;
mod services;
mod strategies;
mod strategy;
mod subresources;
mod transaction;
mod verbs;
mod watching;

pub use context::{Annotations, Context, UserInfo, Verb, Warnings};
pub use decode::head;
pub use hooks::{EscalationCheck, Permission, Reading, Reviewer, TokenIssuer};
pub use registry::{Body, Format, Options, PatchType, Registry, Reply};
pub use verbs::check_path;
pub use watching::Watching;
