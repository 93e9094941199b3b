//! The cluster's DNS: names of Services and endpoints from the apiserver, everything else from
//! the upstream servers.

pub mod index;
pub mod message;
pub mod zone;
