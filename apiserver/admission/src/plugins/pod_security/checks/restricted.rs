//! What the restricted level asks for beyond the baseline.
//!
//! Upstream: `pod-security-admission/policy/check_*.go`.

use super::{
    Check, Finding, Profiles, all, flag, found, has_own_users, is, is_for_windows, joined, listed, member, named,
    offenders, plural, proc_mount, setters, texts, uses,
};
use crate::lookup::text;
use apimachinery::Value;
use std::collections::BTreeSet;

/// In the order of their names.
pub(super) const CHECKS: &[Check] = &[
    check("allowPrivilegeEscalation", 8, "", |pod, minor| not_for_windows(pod, minor, escalation)),
    check("capabilities_restricted", 22, "capabilities_baseline", |pod, minor| {
        not_for_windows(pod, minor, capabilities)
    }),
    check("procMount_restricted", 35, "procMount", |pod, _| proc_mount(pod)),
    check("restrictedVolumes", 0, "hostPathVolumes", |pod, _| volumes(pod)),
    check("runAsNonRoot", 0, "", |pod, minor| not_for_own_users(pod, minor, non_root)),
    check("runAsUser", 23, "", |pod, minor| not_for_own_users(pod, minor, root_user)),
    check("seccompProfile_restricted", 19, "seccompProfile_baseline", |pod, minor| {
        not_for_windows(pod, minor, seccomp)
    }),
];

const fn check(id: &'static str, since: u32, replaces: &'static str, run: super::Run) -> Check {
    Check { id, since, run, replaces }
}

fn not_for_windows(pod: &Value, minor: u32, run: fn(&Value) -> Option<Finding>) -> Option<Finding> {
    if minor >= 25 && is_for_windows(pod) { None } else { run(pod) }
}

fn not_for_own_users(pod: &Value, minor: u32, run: fn(&Value) -> Option<Finding>) -> Option<Finding> {
    if minor >= 35 && has_own_users(pod) { None } else { run(pod) }
}

/// Sources of volumes that may be used.
const ALLOWED: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// Those that may not, by name.
const OTHERS: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn escalation(pod: &Value) -> Option<Finding> {
    let who = named(&offenders(pod, |c| !is(c, "/securityContext/allowPrivilegeEscalation", false)))?;
    found("allowPrivilegeEscalation != false", format!("{who} must set securityContext.allowPrivilegeEscalation=false"))
}

fn capabilities(pod: &Value) -> Option<Finding> {
    let is_wrong = |name: &&str| *name != "NET_BIND_SERVICE";
    let added = |c: &Value| -> Vec<String> {
        texts(c, "/securityContext/capabilities/add").filter(is_wrong).map(str::to_owned).collect()
    };
    let undropped = offenders(pod, |c| !texts(c, "/securityContext/capabilities/drop").any(|name| name == "ALL"));
    let adding = offenders(pod, |c| !added(c).is_empty());
    let names: BTreeSet<String> = all(pod).flat_map(added).collect();
    let undropped = named(&undropped).map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let adding = named(&adding)
        .map(|who| format!("{who} must not include {} in securityContext.capabilities.add", joined(&names)));
    let details: Vec<String> = undropped.into_iter().chain(adding).collect();
    (!details.is_empty())
        .then(|| Finding { reason: "unrestricted capabilities".to_owned(), detail: details.join("; ") })
}

fn volumes(pod: &Value) -> Option<Finding> {
    let has = |volume: &Value, source: &str| member(volume, &format!("/{source}")).is_some();
    let wrong: Vec<&Value> =
        listed(pod, "/spec/volumes").filter(|v| !ALLOWED.iter().any(|source| has(v, source))).collect();
    let kinds: BTreeSet<&str> =
        wrong.iter().map(|v| OTHERS.iter().copied().find(|source| has(v, source)).unwrap_or("unknown")).collect();
    let names: Vec<&str> = wrong.iter().map(|v| text(v, "/name")).collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", names.len()),
        joined(&names),
        uses(names.len()),
        plural("restricted volume type", kinds.len()),
        joined(&kinds)
    );
    (!names.is_empty()).then(|| Finding { reason: "restricted volume types".to_owned(), detail })
}

fn non_root(pod: &Value) -> Option<Finding> {
    let of_pod = flag(pod, "/spec/securityContext/runAsNonRoot");
    let of = |c: &Value| flag(c, "/securityContext/runAsNonRoot");
    let reason = "runAsNonRoot != true";
    if let Some(who) = setters(of_pod == Some(false), &offenders(pod, |c| of(c) == Some(false))) {
        return found(reason, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    let who = named(&offenders(pod, |c| of_pod != Some(true) && of(c).is_none()))?;
    found(reason, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

fn root_user(pod: &Value) -> Option<Finding> {
    let is_root = |v: &Value, pointer: &str| v.pointer(pointer).and_then(Value::as_i64) == Some(0);
    let by_pod = is_root(pod, "/spec/securityContext/runAsUser");
    let who = setters(by_pod, &offenders(pod, |c| is_root(c, "/securityContext/runAsUser")))?;
    found("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn seccomp(pod: &Value) -> Option<Finding> {
    let profiles = Profiles::of(pod);
    if let Some(finding) = profiles.finding() {
        return Some(finding);
    }
    let who = named(&profiles.without)?;
    found(
        "seccompProfile",
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""),
    )
}
