//! Aggregation: group versions that other API servers serve behind this one.
//!
//! `APIService` objects that name a Service become [`Route`]s; [`Aggregator::run`] keeps them, their
//! `Available` conditions and what they serve up to date. The server asks [`Aggregator::route`] for
//! each request, and forwards those that have one.
//!
//! Invariant: a request is answered here or there by its group version alone; without such
//! `APIService`s a request costs one atomic load.
//!
//! Upstream: `kube-aggregator/pkg`.
#![warn(missing_docs)]

mod aggregator;
mod availability;
pub mod discovery;
pub mod identity;
pub mod priority;
pub mod registration;
mod routes;
mod service;
mod transport;
pub mod unchecked;
mod write;

pub use aggregator::{Aggregator, Config};
pub use discovery::{Freshness, RemoteVersion, Swagger};
pub use priority::Priority;
pub use routes::Route;
pub use service::{ApiService, Reference, Trust};
pub use transport::{Credentials, TransportError};
