//! Test helpers.

pub mod cri;
pub mod daemon;
pub mod etcd;
