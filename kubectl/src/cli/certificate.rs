//! Flags of `certificate`.

use super::Files;
use super::writing::Printing;
use clap::{Args, Subcommand};

/// `certificate`.
#[derive(Debug, Subcommand)]
pub enum Certificate {
    /// Approve a certificate signing request.
    Approve(Verdict),
    /// Deny a certificate signing request.
    Deny(Verdict),
}

/// `certificate approve`, `certificate deny`.
#[derive(Debug, Args)]
pub struct Verdict {
    /// The requests.
    pub names: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Update the CSR even if it is already approved or denied.
    #[arg(long)]
    pub force: bool,
}
