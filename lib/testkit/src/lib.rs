//! Test helpers.

pub mod apiserver;
pub mod cri;
pub mod daemon;
pub mod dra;
pub mod etcd;
