//! Flags about what is written down of requests.
//!
//! Upstream: `apiserver/pkg/server/options/audit.go`.

use clap::ArgAction;
use std::path::PathBuf;

/// Flags about the audit.
#[derive(Clone, Debug, clap::Args)]
pub struct Audit {
    /// Path to the file that defines the audit policy; without one nothing is recorded.
    #[arg(long)]
    pub audit_policy_file: Option<PathBuf>,
    /// The file that events are written to; "-" is standard output.
    #[arg(long)]
    pub audit_log_path: Option<PathBuf>,
    /// Format of events: "json" or "legacy".
    #[arg(long, default_value = "json", value_parser = ["json", "legacy"])]
    pub audit_log_format: String,
    /// When events are written: "batch" by a task of its own, "blocking" and "blocking-strict"
    /// before the request goes on.
    #[arg(long, default_value = "blocking", value_parser = ["batch", "blocking", "blocking-strict"])]
    pub audit_log_mode: String,
    /// The maximum number of days to retain old audit log files; 0 is for ever.
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxage: u32,
    /// The maximum number of old audit log files to retain; 0 is all.
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxbackup: u32,
    /// The maximum size in megabytes of the audit log file before it gets rotated.
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxsize: u64,
    /// Whether rotated files are compressed with gzip.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub audit_log_compress: bool,
}
