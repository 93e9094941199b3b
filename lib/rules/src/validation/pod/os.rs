//! What only one operating system knows.

use super::super::check::{At, Report};
use super::super::names::subdomain;
use super::kept::all_containers;
use crate::tree::Tree;
use apimachinery::Value;

const OF_LINUX: &str = "windows options cannot be set for a linux pod";
const OF_WINDOWS: &str = "cannot be set for a windows pod";

pub(super) fn check(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(os) = spec.at("os") else { return };
    match os.text("name") {
        "" => out.required(&at.child("os").child("name"), ""),
        "linux" => linux(at, spec, out),
        "windows" => windows(at, spec, out),
        other => out.not_supported(&at.child("os"), other, &["linux", "windows"]),
    }
}

/// The security contexts of containers, each with its place.
fn contexts(at: &At<'_>, spec: &Value, mut check: impl FnMut(&At<'_>, &Value)) {
    for (list, index, container) in all_containers(spec) {
        if let Some(context) = container.at("securityContext") {
            check(&at.child(list).index(index).child("securityContext"), context);
        }
    }
}

fn linux(at: &At<'_>, spec: &Value, out: &mut Report) {
    let refuse = |at: &At<'_>, context: &Value, out: &mut Report| {
        if context.has("windowsOptions") {
            out.forbidden(&at.child("windowsOptions"), OF_LINUX);
        }
    };
    if let Some(context) = spec.at("securityContext") {
        refuse(&at.child("securityContext"), context, out);
    }
    contexts(at, spec, |at, context| refuse(at, context, out));
}

/// Members of a pod's security context or, where it says so, of the specification.
const POD_MEMBERS: [(&str, bool); 15] = [
    ("appArmorProfile", true),
    ("seLinuxOptions", true),
    ("hostUsers", false),
    ("hostPID", false),
    ("hostIPC", false),
    ("seccompProfile", true),
    ("fsGroup", true),
    ("fsGroupChangePolicy", true),
    ("sysctls", true),
    ("shareProcessNamespace", false),
    ("runAsUser", true),
    ("runAsGroup", true),
    ("supplementalGroups", true),
    ("supplementalGroupsPolicy", true),
    ("seLinuxChangePolicy", true),
];

const CONTAINER_MEMBERS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

fn windows(at: &At<'_>, spec: &Value, out: &mut Report) {
    let context_at = at.child("securityContext");
    let context = spec.at("securityContext").unwrap_or(&Value::Null);
    for (member, in_context) in POD_MEMBERS {
        let (at, owner) = if in_context { (&context_at, context) } else { (at, spec) };
        let given = match member {
            // Here `false` is nothing.
            "hostPID" | "hostIPC" => owner.flag(member),
            "sysctls" => !owner.items(member).is_empty(),
            _ => owner.has(member),
        };
        if given {
            out.forbidden(&at.child(member), OF_WINDOWS);
        }
    }
    contexts(at, spec, |at, context| {
        for member in CONTAINER_MEMBERS.into_iter().filter(|member| context.has(member)) {
            out.forbidden(&at.child(member), OF_WINDOWS);
        }
    });
}

/// Containers that are processes of the host: all or none, and on its network.
pub(super) fn host_processes(at: &At<'_>, spec: &Value, out: &mut Report) {
    let of = |context: Option<&Value>| context?.at("windowsOptions")?.at("hostProcess")?.as_bool();
    let whole = of(spec.at("securityContext"));
    let (mut count, mut of_host) = (0, 0);
    for (list, index, container) in all_containers(spec) {
        count += 1;
        let own = of(container.at("securityContext"));
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let (list, member) = (at.child(list), "windowsOptions");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {whole}");
            let context = list.index(index);
            let context = context.child("securityContext");
            out.invalid(&context.child(member).child("hostProcess"), own, detail);
        }
        of_host += usize::from(own.or(whole) == Some(true));
    }
    if of_host == 0 {
        return;
    }
    if of_host != count {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        out.invalid(at, "", detail);
    }
    if !spec.flag("hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        out.invalid(&at.child("hostNetwork"), false, detail);
    }
}

const MAX_CREDENTIALS: usize = 64 * 1024;
const MAX_DOMAIN: usize = 256;
const MAX_USER: usize = 104;

/// Options of Windows in a security context.
pub(super) fn options(at: &At<'_>, context: &Value, out: &mut Report) {
    let Some(options) = context.at("windowsOptions") else { return };
    let at = at.child("windowsOptions");
    let of = |key: &str| options.at(key).and_then(Value::as_str);
    if let Some(name) = of("gmsaCredentialSpecName") {
        out.invalid_each(&at.child("gmsaCredentialSpecName"), name, subdomain(name));
    }
    if let Some(text) = of("gmsaCredentialSpec") {
        let at = at.child("gmsaCredentialSpec");
        if text.is_empty() {
            out.invalid(&at, text, "gmsaCredentialSpec cannot be an empty string");
        } else if text.len() > MAX_CREDENTIALS {
            out.invalid(&at, text, "gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(name) = of("runAsUserName") {
        user_name(&at.child("runAsUserName"), name, out);
    }
}

fn user_name(at: &At<'_>, name: &str, out: &mut Report) {
    let mut says = |wrong: bool, what: &str| {
        if wrong {
            out.invalid(at, name, format!("runAsUserName{what}"));
        }
        wrong
    };
    if says(name.is_empty(), " cannot be an empty string")
        || says(name.bytes().any(|b| b.is_ascii_control()), " cannot contain control characters")
        || says(name.matches('\\').count() > 1, " cannot contain more than one backslash")
    {
        return;
    }
    let (domain, user) = match name.split_once('\\') {
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if let Some(domain) = domain {
        says(domain.len() >= MAX_DOMAIN, "'s Domain length must be under 256 characters");
        let right = is_netbios(domain) || is_dns_domain(domain);
        says(!right, "'s Domain doesn't match the NetBios nor the DNS format");
    }
    says(user.is_empty(), "'s User cannot be empty");
    says(user.len() > MAX_USER, "'s User length must not be longer than 104 characters");
    let only_dots = !user.is_empty() && user.bytes().all(|b| b == b'.' || b == b' ');
    says(only_dots, "'s User cannot contain only periods or spaces");
    let strange = user.contains(|c: char| "\"/\\:;|=,+*?<>@[]".contains(c));
    says(strange, "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

fn is_netbios(domain: &str) -> bool {
    let letters = domain.chars().count();
    (1..=15).contains(&letters) && !domain.starts_with('.') && !domain.contains(|c: char| "\\/:*?\"<>|".contains(c))
}

fn is_dns_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}
