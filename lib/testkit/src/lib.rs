//! Test helpers.

pub mod cri;
pub mod csi;
pub mod daemon;
pub mod dra;
pub mod etcd;
