//! Probes and lifecycle hooks.

use super::super::check::{At, Report};
use super::super::names::header;
use super::super::values::{not_negative, port};
use super::Context;
use crate::tree::Tree;
use apimachinery::Value;

/// What regular containers and sidecars may have.
pub(super) fn all(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    let lifecycle_at = at.child("lifecycle");
    for key in ["postStart", "preStop"] {
        if let Some(hook) = container.at("lifecycle").and_then(|l| l.at(key)) {
            handler(&lifecycle_at.child(key), hook, context.grace, out);
        }
    }
    if let Some(signal) = container.at("lifecycle").and_then(|l| l.at("stopSignal")).and_then(Value::as_str) {
        stop_signal(&lifecycle_at.child("stopSignal"), signal, context.spec, out);
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.at(key) {
            self::probe(&at.child(key), key, probe, context, out);
        }
    }
}

/// The signal that ends a container; each operating system has its own.
fn stop_signal(at: &At<'_>, signal: &str, spec: &Value, out: &mut Report) {
    match spec.at("os").map(|os| os.text("name")) {
        None => out.forbidden(at, "may not be set for containers with empty `spec.os.name`"),
        Some("windows") if !WINDOWS_SIGNALS.contains(&signal) => out.not_supported(at, signal, &WINDOWS_SIGNALS),
        Some("linux") if !LINUX_SIGNALS.contains(&signal) => out.not_supported(at, signal, &LINUX_SIGNALS),
        Some(_) => {}
    }
}

const WINDOWS_SIGNALS: [&str; 2] = ["SIGKILL", "SIGTERM"];

/// In the order in which upstream lists them, which is that of letters.
const LINUX_SIGNALS: [&str; 65] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

fn probe(at: &At<'_>, kind: &str, probe: &Value, context: &Context<'_>, out: &mut Report) {
    handler(at, probe, context.grace, out);
    const COUNTS: [&str; 5] =
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    for key in COUNTS {
        not_negative(at, probe, key, out);
    }
    let grace = probe.at("terminationGracePeriodSeconds").and_then(Value::as_i64);
    let grace_at = at.child("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|s| *s <= 0) {
        out.invalid(&grace_at, seconds, "must be greater than 0");
    }
    match (kind, grace) {
        ("readinessProbe", Some(seconds)) => {
            out.invalid(&grace_at, seconds, "must not be set for readinessProbes");
        }
        ("readinessProbe", None) => {}
        _ if probe.int("successThreshold") != 1 => {
            out.invalid(&at.child("successThreshold"), probe.int("successThreshold"), "must be 1");
        }
        _ => {}
    }
}

/// Exactly one way to ask or act.
fn handler(at: &At<'_>, handler: &Value, grace: Option<i64>, out: &mut Report) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let mut given = kinds.into_iter().filter_map(|kind| Some((kind, handler.at(kind)?)));
    let Some((kind, action)) = given.next() else {
        return out.required(at, "must specify a handler type");
    };
    self::action(&at.child(kind), kind, action, grace, out);
    for (kind, _) in given {
        out.forbidden(&at.child(kind), "may not specify more than 1 handler type");
    }
}

fn action(at: &At<'_>, kind: &str, action: &Value, grace: Option<i64>, out: &mut Report) {
    match kind {
        "exec" if action.items("command").is_empty() => out.required(&at.child("command"), ""),
        "exec" => {}
        "httpGet" => http_get(at, action, out),
        "sleep" => {
            let seconds = action.int("seconds");
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                out.invalid(at, seconds, detail);
            }
        }
        _ => port(&at.child("port"), action.at("port"), out),
    }
}

fn http_get(at: &At<'_>, action: &Value, out: &mut Report) {
    if action.text("path").is_empty() {
        out.required(&at.child("path"), "");
    }
    port(&at.child("port"), action.at("port"), out);
    let scheme = action.text("scheme");
    if !["HTTP", "HTTPS"].contains(&scheme) {
        out.not_supported(&at.child("scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for name in action.items("httpHeaders").iter().map(|h| h.text("name")) {
        out.invalid_each(&at.child("httpHeaders"), name, header(name));
    }
}
