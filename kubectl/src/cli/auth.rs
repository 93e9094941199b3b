//! Flags of `auth`.

use super::writing::DryRunFlag;
use super::{Files, PrintFlags};
use clap::{Args, Subcommand};

/// `auth`.
#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Check whether an action is allowed.
    CanI(CanI),
    /// Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects.
    Reconcile(Reconcile),
    /// Experimental: Check self subject attributes.
    #[command(name = "whoami")]
    WhoAmI(WhoAmI),
}

/// `auth can-i`.
#[derive(Debug, Args)]
pub struct CanI {
    /// Verb, and resource or URL.
    pub words: Vec<String>,
    /// If true, check the specified action in all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// If true, prints all allowed actions.
    #[arg(long)]
    pub list: bool,
    /// If true, prints allowed actions without headers.
    #[arg(long)]
    pub no_headers: bool,
    /// If true, suppress output and just return the exit code.
    #[arg(long, short = 'q')]
    pub quiet: bool,
    /// SubResource such as pod/log or deployment/scale.
    #[arg(long, default_value = "")]
    pub subresource: String,
}

/// `auth reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// None.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: PrintFlags,
    /// If true, removes extra permissions added to roles.
    #[arg(long)]
    pub remove_extra_permissions: bool,
    /// If true, removes extra subjects added to rolebindings.
    #[arg(long)]
    pub remove_extra_subjects: bool,
}

/// `auth whoami`.
#[derive(Debug, Args)]
pub struct WhoAmI {
    /// Nothing that matters.
    pub words: Vec<String>,
    #[command(flatten)]
    /// How to print it.
    pub print: PrintFlags,
}
