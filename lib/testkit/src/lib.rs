//! Test helpers.

pub mod cri;
pub mod daemon;
pub mod dra;
pub mod etcd;
