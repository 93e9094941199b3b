//! Security contexts of pods and containers.

use super::super::check::{At, Report};
use super::super::names::in_range;
use super::volumes::descending;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_ID: i64 = 0xffff_ffff;

/// The security context of a pod.
pub(super) fn pod(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(context) = spec.at("securityContext") else { return };
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&at.child(key), context.at(key), out);
    }
    let groups = at.child("supplementalGroups");
    for (index, group) in context.items("supplementalGroups").iter().enumerate() {
        id(&groups.index(index), Some(group), out);
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        out.invalid(&at.child("shareProcessNamespace"), true, detail);
    }
    sysctls(&at.child("sysctls"), context, spec, out);
    for (key, supported) in [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ] {
        if let Some(policy) = context.at(key).and_then(Value::as_str).filter(|p| !supported.contains(p)) {
            out.not_supported(&at.child(key), policy, &supported);
        }
    }
    profiles(at, context, out);
}

fn id(at: &At<'_>, id: Option<&Value>, out: &mut Report) {
    let Some(id) = id.and_then(Value::as_i64) else { return };
    if let Some(finding) = in_range(id, 0, MAX_ID) {
        out.invalid(at, id, finding);
    }
}

fn sysctls(at: &At<'_>, context: &Value, spec: &Value, out: &mut Report) {
    let sysctls = context.items("sysctls");
    for (index, sysctl) in sysctls.iter().enumerate() {
        let this = at.index(index);
        let (at, name) = (this.child("name"), sysctl.text("name"));
        if name.is_empty() {
            out.required(&at, "");
        } else if !is_sysctl(name) {
            out.invalid(
                &at,
                name,
                "must have at most 253 characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            );
        } else if sysctls[..index].iter().any(|s| s.text("name") == name) {
            out.duplicate(&at, name);
        }
        let dotted = name.replace('/', ".");
        if spec.flag("hostNetwork") && dotted.starts_with("net.") {
            out.invalid(&at, name, "may not be specified when 'hostNetwork' is true");
        } else if spec.flag("hostIPC") && is_ipc(&dotted) {
            out.invalid(&at, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_ipc(name: &str) -> bool {
    let prefixed = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix));
    prefixed || name == "kernel.sem"
}

fn is_sysctl(name: &str) -> bool {
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b);
        end(bytes.first()) && end(bytes.last()) && bytes.iter().all(letter)
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

/// Seccomp and AppArmor.
fn profiles(at: &At<'_>, context: &Value, out: &mut Report) {
    if let Some(profile) = context.at("seccompProfile") {
        let at = at.child("seccompProfile");
        profile_type(&at, profile, "type is required when seccompProfile is set", out);
        let path = at.child("localhostProfile");
        match (profile.text("type"), profile.at("localhostProfile").and_then(Value::as_str)) {
            ("Localhost", None) => out.required(&path, "must be set when seccomp type is Localhost"),
            ("Localhost", Some(file)) => descending(&path, file, out),
            (_, Some(_)) => out.invalid(&path, profile, "can only be set when seccomp type is Localhost"),
            (_, None) => {}
        }
    }
    if let Some(profile) = context.at("appArmorProfile") {
        let at = at.child("appArmorProfile");
        profile_type(&at, profile, "type is required when appArmorProfile is set", out);
        let path = at.child("localhostProfile");
        match (profile.text("type"), profile.at("localhostProfile").and_then(Value::as_str)) {
            ("Localhost", None | Some("")) => out.required(&path, "must be set when AppArmor type is Localhost"),
            ("Localhost", Some(name)) if name.trim() != name => {
                out.invalid(&path, name, "must not be padded with whitespace");
            }
            ("RuntimeDefault" | "Unconfined", Some(name)) => {
                out.invalid(&path, name, "can only be set when AppArmor type is Localhost");
            }
            _ => {}
        }
    }
}

fn profile_type(at: &At<'_>, profile: &Value, missing: &str, out: &mut Report) {
    match profile.text("type") {
        "" => out.required(&at.child("type"), missing),
        kind => out.one_of(&at.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

/// The security context of a container.
pub(super) fn container(at: &At<'_>, context: Option<&Value>, out: &mut Report) {
    let Some(context) = context else { return };
    for key in ["runAsUser", "runAsGroup"] {
        id(&at.child(key), context.at(key), out);
    }
    if let Some(mount) = context.at("procMount").and_then(Value::as_str)
        && !["Default", "Unmasked"].contains(&mount)
    {
        out.not_supported(&at.child("procMount"), mount, &["Default", "Unmasked"]);
    }
    profiles(at, context, out);
    if context.at("allowPrivilegeEscalation").and_then(Value::as_bool) == Some(false) {
        if context.flag("privileged") {
            out.invalid(at, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        let added = context.at("capabilities").into_iter().flat_map(|c| c.texts("add"));
        if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            out.invalid(at, context, detail);
        }
    }
}
