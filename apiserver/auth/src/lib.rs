//! Who is asking, and may they: authentication, authorization, and the bootstrap policy.
//!
//! Upstream: `apiserver/pkg/authentication`, `apiserver/pkg/authorization`, `plugin/pkg/auth`.
#![warn(missing_docs)]

pub mod authentication;
pub mod authorization;
pub mod bootstrap;
pub mod issuer;
pub mod keys;
pub mod reviews;

pub use authentication::{Authenticated, Authenticator};
pub use authorization::{Attributes, Authorizer, Decision};
pub use reviews::Reviews;
