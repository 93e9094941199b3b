//! Makes a cluster on this machine: certificates, configuration files, the processes and their
//! supervision, the first objects.
//!
//! `up` is idempotent: what is right stays, what is missing or broken is made anew. Everything
//! lies under one folder.

pub mod api;
pub mod backup;
pub mod certificates;
pub mod command;
pub mod configs;
pub mod control_plane;
pub mod down;
pub mod host;
pub mod images;
pub mod layout;
pub mod network;
pub mod plan;
pub mod processes;
pub mod progress;
pub mod supervise;
pub mod units;
pub mod up;
