//! kube-controller-manager: the loops that bring a cluster into the state its objects ask for.
//!
//! A controller is a folder of [`controllers`]: `plan.rs` decides (pure: observed → changes),
//! `reconcile.rs` reads caches and applies, `mod.rs` wires it. [`scaffold`] is what they share,
//! [`objects`] what they ask of objects, [`manager`] the process around them.
//!
//! Upstream: `cmd/kube-controller-manager`, `pkg/controller`.

pub mod controllers;
pub mod manager;
pub mod objects;
pub mod scaffold;
