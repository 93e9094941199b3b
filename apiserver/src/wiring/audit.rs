//! The audit from its flags.

use crate::options;
use anyhow::Context as _;
use apiserver_server::audit::{Audit, Format, Log, LogOptions, Mode, Policy};
use component::Supervisor;
use std::sync::Arc;

/// The audit, if there is a policy and a place for events.
pub(super) fn audit(options: &options::Audit, supervisor: &Supervisor) -> anyhow::Result<Option<Arc<Audit>>> {
    let (policy, path) = match (&options.audit_policy_file, &options.audit_log_path) {
        (Some(policy), Some(path)) => (policy, path),
        (None, Some(_)) => {
            tracing::warn!("no --audit-policy-file is given, no events will be recorded for --audit-log-path");
            return Ok(None);
        }
        (_, None) => return Ok(None),
    };
    let policy = Policy::load(policy).context("--audit-policy-file")?;
    let log = LogOptions {
        path: path.clone(),
        format: if options.audit_log_format == "legacy" { Format::Legacy } else { Format::Json },
        mode: if options.audit_log_mode == "batch" { Mode::Batch } else { Mode::Blocking },
        max_age: options.audit_log_maxage,
        max_backups: options.audit_log_maxbackup,
        max_size: options.audit_log_maxsize,
        compress: options.audit_log_compress,
    };
    let log = Log::open(log, supervisor).with_context(|| format!("--audit-log-path: {}", path.display()))?;
    Ok(Some(Arc::new(Audit { policy, log })))
}
