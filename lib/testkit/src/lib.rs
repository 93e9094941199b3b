//! Test helpers.

pub mod etcd;
