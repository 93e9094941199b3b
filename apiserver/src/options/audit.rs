//! Flags about what is written down of requests.
//!
//! Upstream: `apiserver/pkg/server/options/audit.go`.

use super::OptionError;
use clap::ArgAction;
use component::GoDuration;
use std::path::PathBuf;

/// Known modes of both places for events.
const MODES: [&str; 3] = ["batch", "blocking", "blocking-strict"];

/// Flags about the audit.
#[derive(Clone, Debug, clap::Args)]
pub struct Audit {
    /// Path to the file that defines the audit policy; without one nothing is recorded.
    #[arg(long)]
    pub audit_policy_file: Option<PathBuf>,
    #[command(flatten)]
    pub log: AuditLog,
    #[command(flatten)]
    pub webhook: AuditWebhook,
}

/// `--audit-log-*`.
#[derive(Clone, Debug, clap::Args)]
pub struct AuditLog {
    /// The file that events are written to; "-" is standard output.
    #[arg(long)]
    pub audit_log_path: Option<PathBuf>,
    /// Format of events: "json" or "legacy".
    #[arg(long, default_value = "json", value_parser = ["json", "legacy"])]
    pub audit_log_format: String,
    /// API group and version of events.
    #[arg(long, default_value = "audit.k8s.io/v1", value_parser = ["audit.k8s.io/v1"])]
    pub audit_log_version: String,
    /// When events are written: "batch" by a task of its own, "blocking" and "blocking-strict"
    /// before the request goes on, which fails in "blocking-strict" if it cannot be recorded.
    #[arg(long, default_value = "blocking", value_parser = MODES)]
    pub audit_log_mode: String,
    /// The maximum number of days to retain old audit log files; 0 is for ever.
    #[arg(long, default_value_t = 366)]
    pub audit_log_maxage: u32,
    /// The maximum number of old audit log files to retain; 0 is all.
    #[arg(long, default_value_t = 100)]
    pub audit_log_maxbackup: u32,
    /// The maximum size in megabytes of the audit log file before it gets rotated; 0 rotates never.
    #[arg(long, default_value_t = 100)]
    pub audit_log_maxsize: u64,
    /// Whether rotated files are compressed with gzip.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub audit_log_compress: bool,
    /// The size of the buffer to store events before batching and writing.
    #[arg(long, default_value_t = 10000)]
    pub audit_log_batch_buffer_size: i64,
    /// The maximum size of a batch.
    #[arg(long, default_value_t = 1)]
    pub audit_log_batch_max_size: i64,
    /// How long a batch waits that has not reached its size.
    #[arg(long, default_value = "0s")]
    pub audit_log_batch_max_wait: GoDuration,
    /// Whether the number of batches is limited.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub audit_log_batch_throttle_enable: bool,
    /// Maximum average number of batches per second.
    #[arg(long, default_value_t = 0.0)]
    pub audit_log_batch_throttle_qps: f64,
    /// Maximum number of batches at the same moment.
    #[arg(long, default_value_t = 0)]
    pub audit_log_batch_throttle_burst: i64,
    /// Whether events that are too large lose their objects.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub audit_log_truncate_enabled: bool,
    /// Maximum bytes of a batch.
    #[arg(long, default_value_t = 10 * 1024 * 1024)]
    pub audit_log_truncate_max_batch_size: i64,
    /// Maximum bytes of an event.
    #[arg(long, default_value_t = 100 * 1024)]
    pub audit_log_truncate_max_event_size: i64,
}

/// `--audit-webhook-*`.
#[derive(Clone, Debug, clap::Args)]
pub struct AuditWebhook {
    /// Path to a kubeconfig that leads to the server which takes events.
    #[arg(long)]
    pub audit_webhook_config_file: Option<PathBuf>,
    /// The amount of time to wait before retrying the first failed request.
    #[arg(long, default_value = "10s")]
    pub audit_webhook_initial_backoff: GoDuration,
    /// API group and version of events.
    #[arg(long, default_value = "audit.k8s.io/v1", value_parser = ["audit.k8s.io/v1"])]
    pub audit_webhook_version: String,
    /// When events are sent, as --audit-log-mode.
    #[arg(long, default_value = "batch", value_parser = MODES)]
    pub audit_webhook_mode: String,
    /// The size of the buffer to store events before batching and writing.
    #[arg(long, default_value_t = 10000)]
    pub audit_webhook_batch_buffer_size: i64,
    /// The maximum size of a batch.
    #[arg(long, default_value_t = 400)]
    pub audit_webhook_batch_max_size: i64,
    /// How long a batch waits that has not reached its size.
    #[arg(long, default_value = "30s")]
    pub audit_webhook_batch_max_wait: GoDuration,
    /// Whether the number of batches is limited.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub audit_webhook_batch_throttle_enable: bool,
    /// Maximum average number of batches per second.
    #[arg(long, default_value_t = 10.0)]
    pub audit_webhook_batch_throttle_qps: f64,
    /// Maximum number of batches at the same moment.
    #[arg(long, default_value_t = 15)]
    pub audit_webhook_batch_throttle_burst: i64,
    /// Whether events that are too large lose their objects.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub audit_webhook_truncate_enabled: bool,
    /// Maximum bytes of a batch.
    #[arg(long, default_value_t = 10 * 1024 * 1024)]
    pub audit_webhook_truncate_max_batch_size: i64,
    /// Maximum bytes of an event.
    #[arg(long, default_value_t = 100 * 1024)]
    pub audit_webhook_truncate_max_event_size: i64,
}

/// What both places for events are asked to do.
#[derive(Clone, Debug)]
pub struct AuditWays<'a> {
    name: &'static str,
    /// `--audit-*-mode`.
    pub mode: &'a str,
    /// `--audit-*-batch-buffer-size`.
    pub buffer: i64,
    /// `--audit-*-batch-max-size`.
    pub max_size: i64,
    /// `--audit-*-batch-max-wait`.
    pub max_wait: GoDuration,
    /// Batches per second and at once, if they are limited.
    pub throttle: Option<(f64, i64)>,
    /// Whether large events are cut.
    pub truncates: bool,
    /// `--audit-*-truncate-max-batch-size`.
    pub max_batch_bytes: i64,
    /// `--audit-*-truncate-max-event-size`.
    pub max_event_bytes: i64,
}

impl AuditLog {
    /// When and how much.
    pub fn ways(&self) -> AuditWays<'_> {
        let throttle = (self.audit_log_batch_throttle_qps, self.audit_log_batch_throttle_burst);
        AuditWays {
            name: "log",
            mode: &self.audit_log_mode,
            buffer: self.audit_log_batch_buffer_size,
            max_size: self.audit_log_batch_max_size,
            max_wait: self.audit_log_batch_max_wait,
            throttle: self.audit_log_batch_throttle_enable.then_some(throttle),
            truncates: self.audit_log_truncate_enabled,
            max_batch_bytes: self.audit_log_truncate_max_batch_size,
            max_event_bytes: self.audit_log_truncate_max_event_size,
        }
    }
}

impl AuditWebhook {
    /// When and how much.
    pub fn ways(&self) -> AuditWays<'_> {
        let throttle = (self.audit_webhook_batch_throttle_qps, self.audit_webhook_batch_throttle_burst);
        AuditWays {
            name: "webhook",
            mode: &self.audit_webhook_mode,
            buffer: self.audit_webhook_batch_buffer_size,
            max_size: self.audit_webhook_batch_max_size,
            max_wait: self.audit_webhook_batch_max_wait,
            throttle: self.audit_webhook_batch_throttle_enable.then_some(throttle),
            truncates: self.audit_webhook_truncate_enabled,
            max_batch_bytes: self.audit_webhook_truncate_max_batch_size,
            max_event_bytes: self.audit_webhook_truncate_max_event_size,
        }
    }
}

impl AuditWays<'_> {
    fn validate(&self) -> Result<(), OptionError> {
        let (name, positive) = (self.name, "must be a positive number");
        let wrong = |what: &str, why: &str| Err(OptionError::Audit(format!("invalid audit {what}, {why}")));
        if self.mode == "batch" {
            let (qps, burst) = self.throttle.unwrap_or((1.0, 1));
            if self.buffer <= 0 {
                return wrong(&format!("batch {name} buffer size {}", self.buffer), positive);
            }
            if self.max_size <= 0 {
                return wrong(&format!("batch {name} max batch size {}", self.max_size), positive);
            }
            if qps <= 0.0 {
                return wrong(&format!("batch {name} throttle QPS {qps}"), positive);
            }
            if burst <= 0 {
                return wrong(&format!("batch {name} throttle burst {burst}"), positive);
            }
        }
        let (event, batch) = (self.max_event_bytes, self.max_batch_bytes);
        if event <= 0 {
            return wrong(&format!("truncate {name} max event size {event}"), positive);
        }
        if batch < event {
            let why = format!("must be greater than max event size ({event})");
            return wrong(&format!("truncate {name} max batch size {batch}"), &why);
        }
        Ok(())
    }
}

impl Audit {
    /// Checks what single values cannot show, of what is used.
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        if self.log.audit_log_path.is_some() {
            self.log.ways().validate()?;
        }
        if self.webhook.audit_webhook_config_file.is_some() {
            self.webhook.ways().validate()?;
        }
        Ok(())
    }
}
