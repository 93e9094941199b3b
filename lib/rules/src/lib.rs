//! What an API object must look like and how it is shown: pure functions on [`apimachinery::Value`]
//! trees, without I/O.
//!
//! [`defaults`] fills in what a client left out, [`validation`] says what is wrong, [`tables`]
//! prints, [`patch`] and [`apply`] merge, and [`placement`] says which pod fits which node.
//!
//! Upstream: `pkg/apis/*/v1/defaults.go`, `pkg/apis/*/validation`, `pkg/printers/internalversion`,
//! `staging/src/k8s.io/component-helpers`.
#![warn(missing_docs)]

pub mod apply;
pub mod defaults;
pub mod expressions;
pub mod patch;
pub mod placement;
pub mod quota;
pub mod tables;
pub mod tree;
pub mod validation;
pub mod warnings;
