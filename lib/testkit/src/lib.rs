//! Test helpers.

pub mod cri;
pub mod etcd;
