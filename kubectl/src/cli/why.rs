//! Flags of `why`.

use clap::Args;

/// `why`.
#[derive(Debug, Args)]
pub struct Why {
    /// pod, service, node, namespace or pvc, and a name.
    pub words: Vec<String>,
}
