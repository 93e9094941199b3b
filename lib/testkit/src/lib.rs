//! Test helpers.

pub mod apiserver;
pub mod cri;
pub mod csi;
pub mod daemon;
pub mod dra;
pub mod etcd;
mod socket;
