//! The audit from its flags.

use crate::options::{self, AuditLog, AuditWays, AuditWebhook};
use anyhow::Context as _;
use apiserver_server::audit::{
    Audit, Backend, BatchOptions, Format, Log, LogOptions, Metrics, Mode, Policy, Sink, Throttle, Truncate, Webhook,
};
use apiserver_webhook::Means;
use component::Supervisor;
use std::path::Path;
use std::sync::Arc;

/// The audit, if there is a policy and a place for events. The tasks of its sinks hang on the supervisor.
pub(super) fn audit(
    options: &options::Audit,
    means: &Means,
    metrics: &Metrics,
    supervisor: &Supervisor,
) -> anyhow::Result<Option<Arc<Audit>>> {
    let (path, kubeconfig) = (&options.log.audit_log_path, &options.webhook.audit_webhook_config_file);
    let Some(policy) = &options.audit_policy_file else {
        for (given, flag) in [(path, "--audit-log-path"), (kubeconfig, "--audit-webhook-config-file")] {
            if given.is_some() {
                tracing::warn!("no --audit-policy-file is given, no events will be recorded for {flag}");
            }
        }
        return Ok(None);
    };
    let policy = Policy::load(policy).context("--audit-policy-file")?;
    let mut sinks = Vec::new();
    if let Some(path) = path {
        let ways = options.log.ways();
        sinks.push(Sink::new(log(&options.log, path)?, mode(&ways), truncate(&ways), metrics, supervisor));
    }
    if let Some(kubeconfig) = kubeconfig {
        let ways = options.webhook.ways();
        let backend = webhook(&options.webhook, kubeconfig, means)?;
        sinks.push(Sink::new(backend, mode(&ways), truncate(&ways), metrics, supervisor));
    }
    Ok((!sinks.is_empty()).then(|| Arc::new(Audit { policy, sinks, metrics: metrics.clone() })))
}

fn log(options: &AuditLog, path: &Path) -> anyhow::Result<Backend> {
    let log = LogOptions {
        path: path.to_owned(),
        format: if options.audit_log_format == "legacy" { Format::Legacy } else { Format::Json },
        max_age: options.audit_log_maxage,
        max_backups: options.audit_log_maxbackup,
        max_size: options.audit_log_maxsize,
        compress: options.audit_log_compress,
    };
    let log = Log::open(log).with_context(|| format!("--audit-log-path: {}", path.display()))?;
    Ok(Backend::Log(log))
}

fn webhook(options: &AuditWebhook, kubeconfig: &Path, means: &Means) -> anyhow::Result<Backend> {
    let webhook = Webhook::load(kubeconfig, options.audit_webhook_initial_backoff.0, means);
    Ok(Backend::Webhook(Box::new(webhook.context("--audit-webhook-config-file")?)))
}

fn mode(ways: &AuditWays<'_>) -> Mode {
    match ways.mode {
        "batch" => Mode::Batch(BatchOptions {
            buffer: size(ways.buffer),
            max_size: size(ways.max_size),
            max_wait: ways.max_wait.0,
            throttle: ways.throttle.map(|(qps, burst)| Throttle { qps, burst: burst as f64 }),
        }),
        "blocking-strict" => Mode::BlockingStrict,
        _ => Mode::Blocking,
    }
}

fn truncate(ways: &AuditWays<'_>) -> Option<Truncate> {
    let limits = Truncate { max_event: size(ways.max_event_bytes), max_batch: size(ways.max_batch_bytes) };
    ways.truncates.then_some(limits)
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
