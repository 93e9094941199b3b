//! The checks of each level and version: pure.
//!
//! Upstream: `pod-security-admission/policy/{registry,checks,helpers}.go`.

mod baseline;
mod restricted;

use super::level::{Level, Standard};
use crate::lookup::text;
use crate::pod::containers;
use apimachinery::Value;
use std::collections::BTreeSet;

const LISTS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

/// What one check has against a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) reason: String,
    pub(super) detail: String,
}

/// A check of a pod under the rules of Kubernetes 1.x.
type Run = fn(&Value, u32) -> Option<Finding>;

/// A check, and since when there is one of that kind.
struct Check {
    id: &'static str,
    since: u32,
    run: Run,
    /// The check of the baseline that it replaces.
    replaces: &'static str,
}

/// What a standard has against a pod, or against the template of one, in upstream's order.
pub(super) fn run(standard: Standard, pod: &Value) -> Vec<Finding> {
    let minor = standard.version.minor();
    let there = |check: &&Check| check.since <= minor;
    let restricted: Vec<&Check> = match standard.level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => Vec::new(),
        Level::Restricted => restricted::CHECKS.iter().filter(there).collect(),
    };
    let baseline =
        baseline::CHECKS.iter().filter(there).filter(|check| !restricted.iter().any(|r| r.replaces == check.id));
    baseline.chain(restricted.iter().copied()).filter_map(|check| (check.run)(pod, minor)).collect()
}

/// The findings with what they are about, for somebody who looks at one pod.
pub(super) fn details(findings: &[Finding]) -> String {
    let told = |finding: &Finding| match finding.detail.is_empty() {
        true => finding.reason.clone(),
        false => format!("{} ({})", finding.reason, finding.detail),
    };
    findings.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// The findings in short, for somebody who looks at many pods.
pub(super) fn reasons(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.reason.as_str()).collect::<Vec<_>>().join(", ")
}

fn found(reason: &str, detail: String) -> Option<Finding> {
    Some(Finding { reason: reason.to_owned(), detail })
}

fn all(pod: &Value) -> impl Iterator<Item = &Value> {
    containers(pod, LISTS)
}

/// The names of the containers of which `wrong` holds.
fn offenders(pod: &Value, wrong: impl Fn(&Value) -> bool) -> Vec<String> {
    all(pod).filter(|container| wrong(container)).map(|container| text(container, "/name").to_owned()).collect()
}

/// `container "a"`, `containers "a", "b"`, or nothing.
fn named(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{} {}", plural("container", names.len()), joined(names)))
}

/// Who sets something: the pod, containers, or both.
fn setters(by_pod: bool, names: &[String]) -> Option<String> {
    match (by_pod, named(names)) {
        (true, Some(containers)) => Some(format!("pod and {containers}")),
        (true, None) => Some("pod".to_owned()),
        (false, containers) => containers,
    }
}

fn joined<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// What many do and one does.
fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

/// A flag, if it is set.
fn flag(value: &Value, pointer: &str) -> Option<bool> {
    value.pointer(pointer).and_then(Value::as_bool)
}

fn is(value: &Value, pointer: &str, wanted: bool) -> bool {
    flag(value, pointer) == Some(wanted)
}

fn listed<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    listed(value, pointer).filter_map(Value::as_str)
}

/// A member that is there, if only empty.
fn member<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|member| !member.is_null())
}

/// Windows knows neither capabilities nor seccomp.
fn is_for_windows(pod: &Value) -> bool {
    text(pod, "/spec/os/name") == "windows"
}

/// Users of a pod with user namespaces are nobody outside of it.
fn has_own_users(pod: &Value) -> bool {
    is(pod, "/spec/hostUsers", false)
}

/// Profiles of seccomp at the pod and at its containers, as far as they are of another type than is allowed.
struct Profiles {
    /// Who sets one that is not allowed.
    setters: Option<String>,
    values: BTreeSet<String>,
    /// Containers without a profile, of their own or of the pod.
    without: Vec<String>,
}

impl Profiles {
    fn of(pod: &Value) -> Self {
        let kind = |value: &Value, pointer: &str| member(value, pointer).map(|p| text(p, "/type").to_owned());
        let is_allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
        let of_pod = kind(pod, "/spec/securityContext/seccompProfile");
        let of = |container: &Value| kind(container, "/securityContext/seccompProfile");
        let has_profile = of_pod.as_deref().is_some_and(is_allowed);
        let by_pod = of_pod.as_deref().is_some_and(|kind| !is_allowed(kind));
        let wrong = offenders(pod, |c| of(c).is_some_and(|kind| !is_allowed(&kind)));
        let kinds = of_pod.clone().into_iter().chain(all(pod).filter_map(of));
        Self {
            setters: setters(by_pod, &wrong),
            values: kinds.filter(|kind| !is_allowed(kind)).collect(),
            without: offenders(pod, |c| !has_profile && of(c).is_none()),
        }
    }

    fn finding(&self) -> Option<Finding> {
        let who = self.setters.as_deref()?;
        let values = joined(&self.values);
        found("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to {values}"))
    }
}

/// Kinds of `/proc` other than the default one.
fn proc_mount(pod: &Value) -> Option<Finding> {
    let mount = |c: &Value| {
        let kind = member(c, "/securityContext/procMount").and_then(Value::as_str)?;
        (kind != "Default").then(|| kind.to_owned())
    };
    let who = named(&offenders(pod, |c| mount(c).is_some()))?;
    let kinds: BTreeSet<String> = all(pod).filter_map(mount).collect();
    found("procMount", format!("{who} must not set securityContext.procMount to {}", joined(&kinds)))
}

#[cfg(test)]
mod tests;
