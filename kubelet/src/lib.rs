//! The node agent: takes the pods bound to its node, runs them through the container runtime,
//! and reports what became of them.
//!
//! Every subsystem is a task or a state of its own behind a cloneable handle; [`wiring`]
//! constructs them and knows nothing else. Only [`runtime`] knows CRI.
//! Upstream: `pkg/kubelet`.

pub mod backoff;
pub mod cgroups;
pub mod checkpoint;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod credentials;
pub mod csi;
pub mod devices;
pub mod dra;
pub mod env;
pub mod events;
pub mod eviction;
pub mod flags;
pub mod gc;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod metrics;
pub mod network;
pub mod node;
pub mod placement;
pub mod pleg;
pub mod plugins;
pub mod pod;
pub mod probes;
pub mod rate;
pub mod resize;
pub mod resources;
pub mod runtime;
pub mod server;
pub mod shutdown;
pub mod sources;
pub mod stats;
pub mod status;
pub mod volumes;
pub mod wiring;
pub mod workers;
