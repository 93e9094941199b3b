//! Flags that the writing commands share.

pub use super::PrintFlags as Printing;
use clap::Args as ClapArgs;

/// `--dry-run`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct DryRunFlag {
    /// Must be "none", "server", or "client".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub dry_run: String,
}

/// `--validate`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ValidateFlag {
    /// Must be one of: strict (or true), warn, ignore (or false).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "strict", default_value = "strict")]
    pub validate: String,
}

/// `--record`, which upstream hides and deprecates.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct RecordFlag {
    /// Record current kubectl command in the resource annotation.
    #[arg(long, hide = true)]
    pub record: bool,
}
