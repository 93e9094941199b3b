//! Security contexts of pods and containers.

use super::super::check::{At, Printed, Report};
use super::super::names::in_range;
use super::kept::{Kept, Rule};
use super::os;
use super::volumes::descending;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::sysctl::{self, Namespace};

pub(super) const MAX_ID: i64 = 0x7fff_ffff;
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// The longest path but its end.
const MAX_PROFILE: usize = 4095;

/// The security context of a pod.
pub(super) fn pod(at: &At<'_>, spec: &Value, kept: Kept, out: &mut Report) {
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
    sysctls(&at.child("sysctls"), context, spec, kept, out);
    one_of(at, context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], out);
    seccomp(at, context, out);
    os::options(at, context, out);
    apparmor(at, context, out);
    one_of(at, context, "supplementalGroupsPolicy", &["Merge", "Strict"], out);
    let policies: &[&str] = if kept.has(Rule::SelinuxPolicy) { &["MountOption", "Recursive"] } else { &["Recursive"] };
    one_of(at, context, "seLinuxChangePolicy", policies, out);
}

fn one_of(at: &At<'_>, context: &Value, key: &str, supported: &[&str], out: &mut Report) {
    if let Some(text) = context.at(key).and_then(Value::as_str).filter(|text| !supported.contains(text)) {
        out.not_supported(&at.child(key), text, supported);
    }
}

fn id(at: &At<'_>, id: Option<&Value>, out: &mut Report) {
    let Some(id) = id.and_then(Value::as_i64) else { return };
    if let Some(finding) = in_range(id, 0, MAX_ID) {
        out.invalid(at, id, finding);
    }
}

fn sysctls(at: &At<'_>, context: &Value, spec: &Value, kept: Kept, out: &mut Report) {
    let sysctls = context.items("sysctls");
    for (index, set) in sysctls.iter().enumerate() {
        let this = at.index(index);
        let (at, name) = (this.child("name"), set.text("name"));
        if name.is_empty() {
            out.required(&at, "");
        } else if !sysctl::is_name(name) {
            out.invalid(
                &at,
                name,
                "must have at most 253 characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            );
        } else if sysctls[..index].iter().any(|s| s.text("name") == name) {
            out.duplicate(&at, name);
        }
        if let Some(detail) = of_host(name, spec).filter(|_| !kept.has(Rule::HostSysctls)) {
            out.invalid(&at, name, detail);
        }
    }
}

/// What is wrong with a setting of a namespace that is the host's.
fn of_host(name: &str, spec: &Value) -> Option<&'static str> {
    let (network, ipc) = (spec.flag("hostNetwork"), spec.flag("hostIPC"));
    if !network && !ipc {
        return None;
    }
    let dotted = sysctl::dotted(name);
    match Namespace::of(dotted.split('*').next().unwrap_or_default())? {
        Namespace::Net if network => Some("may not be specified when 'hostNetwork' is true"),
        Namespace::Ipc if ipc => Some("may not be specified when 'hostIPC' is true"),
        _ => None,
    }
}

/// Whether any setting is one of the host's.
pub(super) fn has_host_sysctls(spec: &Value) -> bool {
    let sysctls = spec.at("securityContext").map(|c| c.items("sysctls")).unwrap_or_default();
    sysctls.iter().any(|s| of_host(s.text("name"), spec).is_some())
}

fn seccomp(at: &At<'_>, context: &Value, out: &mut Report) {
    let Some(profile) = context.at("seccompProfile") else { return };
    let at = at.child("seccompProfile");
    let kind = profile.text("type");
    match kind {
        "" => out.required(&at.child("type"), "type is required when seccompProfile is set"),
        kind => out.one_of(&at.child("type"), kind, &PROFILE_TYPES),
    }
    let path = at.child("localhostProfile");
    match (kind, profile.at("localhostProfile").and_then(Value::as_str)) {
        ("Localhost", None) => out.required(&path, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => descending(&path, file, out),
        (_, Some(_)) => {
            out.invalid(&path, internal(profile, PROFILE), "can only be set when seccomp type is Localhost");
        }
        (_, None) => {}
    }
}

fn apparmor(at: &At<'_>, context: &Value, out: &mut Report) {
    let Some(profile) = context.at("appArmorProfile") else { return };
    let at = at.child("appArmorProfile");
    let path = at.child("localhostProfile");
    let file = profile.at("localhostProfile").and_then(Value::as_str);
    const MISSING: &str = "must be set when AppArmor type is Localhost";
    match (profile.text("type"), file) {
        ("Localhost", None) => out.required(&path, MISSING),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                out.invalid(&path, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                out.required(&path, MISSING);
            }
            if name.len() > MAX_PROFILE {
                out.too_long(&path, MAX_PROFILE);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            out.invalid(&path, name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => out.required(&at.child("type"), "type is required when appArmorProfile is set"),
        (kind, _) => out.not_supported(&at.child("type"), kind, &PROFILE_TYPES),
    }
}

/// The security context of a container.
pub(super) fn container(at: &At<'_>, context: Option<&Value>, own_users: bool, out: &mut Report) {
    let Some(context) = context else { return };
    for key in ["runAsUser", "runAsGroup"] {
        id(&at.child(key), context.at(key), out);
    }
    one_of(at, context, "procMount", &["Default", "Unmasked"], out);
    if !own_users && context.text("procMount") == "Unmasked" {
        out.invalid(&at.child("procMount"), "Unmasked", "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(at, context, out);
    if context.at("allowPrivilegeEscalation").and_then(Value::as_bool) == Some(false) {
        if context.flag("privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            out.invalid(at, internal(context, CONTEXT), detail);
        }
        let added = context.at("capabilities").into_iter().flat_map(|c| c.texts("add"));
        for _ in added.into_iter().filter(|capability| *capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            out.invalid(at, internal(context, CONTEXT), detail);
        }
    }
    os::options(at, context, out);
    apparmor(at, context, out);
}

/// A member of one of upstream's own types: its name there and in the API, and its own members.
type Member = (&'static str, &'static str, &'static [Inner]);
/// The same without members, and whether its zero value is an empty text.
type Inner = (&'static str, &'static str, bool);

const PROFILE: &[Inner] = &[("Type", "type", true), ("LocalhostProfile", "localhostProfile", false)];

const CONTEXT: &[Member] = &[
    ("Capabilities", "capabilities", &[("Add", "add", false), ("Drop", "drop", false)]),
    ("Privileged", "privileged", &[]),
    (
        "SELinuxOptions",
        "seLinuxOptions",
        &[("User", "user", true), ("Role", "role", true), ("Type", "type", true), ("Level", "level", true)],
    ),
    (
        "WindowsOptions",
        "windowsOptions",
        &[
            ("GMSACredentialSpecName", "gmsaCredentialSpecName", false),
            ("GMSACredentialSpec", "gmsaCredentialSpec", false),
            ("RunAsUserName", "runAsUserName", false),
            ("HostProcess", "hostProcess", false),
        ],
    ),
    ("RunAsUser", "runAsUser", &[]),
    ("RunAsGroup", "runAsGroup", &[]),
    ("RunAsNonRoot", "runAsNonRoot", &[]),
    ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem", &[]),
    ("AllowPrivilegeEscalation", "allowPrivilegeEscalation", &[]),
    ("ProcMount", "procMount", &[]),
    ("SeccompProfile", "seccompProfile", PROFILE),
    ("AppArmorProfile", "appArmorProfile", PROFILE),
];

trait Printable: Copy {
    fn print(self, owner: &Value) -> String;
}

impl Printable for Inner {
    fn print(self, owner: &Value) -> String {
        let (name, key, is_text) = self;
        let empty = if is_text { "\"\"" } else { "null" };
        owner.at(key).map_or_else(|| format!("{name:?}:{empty}"), |value| format!("{name:?}:{value}"))
    }
}

impl Printable for Member {
    fn print(self, owner: &Value) -> String {
        let (name, key, members) = self;
        match owner.at(key) {
            Some(value) if !members.is_empty() => format!("{name:?}:{}", internal(value, members).0),
            _ => (name, key, false).print(owner),
        }
    }
}

/// A value as upstream's own type of it, whose members have other names than the API's, prints.
fn internal<M: Printable>(value: &Value, members: &[M]) -> Printed {
    let members: Vec<String> = members.iter().map(|member| member.print(value)).collect();
    Printed(format!("{{{}}}", members.join(",")))
}
