//! The HTTPS server: filters, content negotiation, encoders, and the endpoints that are no resources.
//!
//! A request comes in at [`serve`], passes the filters in [`chain`], and is answered by
//! [`resource`] (the API), [`connect`] (tunnels to kubelets), [`aggregated`] (other API servers) or
//! [`endpoints`] (everything else).
//!
//! Invariant: objects leave as the bytes they were stored with; memory per request does not grow
//! with the list.
//!
//! Upstream: `apiserver/pkg/server`, `apiserver/pkg/endpoints`.

pub mod aggregated;
pub mod audit;
pub mod authorization;
pub mod body;
pub mod browsers;
pub mod chain;
mod components;
pub mod compress;
pub mod connect;
pub mod custom;
mod debug;
mod deprecation;
pub mod discovery;
pub mod document;
pub mod encode;
pub mod endpoints;
pub mod error;
pub mod flow;
pub mod health;
pub mod impersonation;
pub mod inflight;
pub mod lifecycle;
pub mod metrics;
pub mod negotiate;
pub mod openapi;
pub mod params;
pub mod query;
pub mod request_info;
pub mod resource;
pub mod response;
mod rest;
pub mod serve;
pub mod server;
pub mod watch;
pub mod websocket;

pub use server::{Options, Server};
