//! The byte streams behind exec, attach, port-forward and the proxy subresources.
//!
//! [`tunnel`] passes an HTTP request on to another server, upgrade included, without looking into
//! the frames: SPDY/3.1 and WebSocket look the same to it.
//!
//! Upstream: `apimachinery/pkg/util/proxy`, `apimachinery/pkg/util/httpstream`.
#![warn(missing_docs)]

pub mod tunnel;
