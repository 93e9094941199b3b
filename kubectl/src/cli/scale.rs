//! Flags of `scale`.

use clap::Args;

/// `scale`.
#[derive(Debug, Args)]
pub struct Scale {
    /// Resources, and names.
    pub resources: Vec<String>,
    /// The new desired number of replicas.
    #[arg(long)]
    pub replicas: i32,
    /// Precondition for current size.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub current_replicas: i32,
}
