//! Patches: JSON, merge, strategic merge and apply.
