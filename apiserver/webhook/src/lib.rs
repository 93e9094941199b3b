//! The client of webhooks: admission, conversion, and whoever else has a `clientConfig`.
//!
//! A [`Client`] belongs to one webhook. It finds the endpoints of Services in the store, so that it
//! needs no cluster IP, speaks TLS only, keeps connections, and bounds what it reads and how long
//! it waits.
//!
//! Upstream: `apiserver/pkg/util/webhook`, `apiserver/pkg/util/proxy`.
#![warn(missing_docs)]

mod client;
mod config;
pub mod remote;
mod tls;

pub use client::{CallError, Client, Means, connect_text};
pub use config::{Config, ConfigError, Target};
pub use tls::Identity;
