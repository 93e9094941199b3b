//! The decisions: is a node silent, which taints should it have, how fast may nodes be given up.

pub(super) mod health;
pub(super) mod taints;
pub(super) mod zones;
