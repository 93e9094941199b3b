//! One task per pod.
pub mod actions;
