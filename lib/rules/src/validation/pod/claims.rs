//! Claims of devices, and which containers use them.

use super::super::check::{At, Printed, Report};
use super::super::names::{label, subdomain};
use super::annotations::MIRROR;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// The claims of a pod.
pub(super) fn of_pod(at: &At<'_>, spec: &Value, pod: Option<&Value>, out: &mut Report) {
    let claims = spec.items("resourceClaims");
    let is_static = pod.and_then(ObjectMeta::annotations).is_some_and(|a| a.has(MIRROR));
    for (index, claim) in claims.iter().enumerate() {
        if is_static {
            out.forbidden(&At::NOWHERE, "static pods do not support resource claims");
            continue;
        }
        self::claim(&at.index(index), claim, &claims[..index], out);
    }
}

fn claim(at: &At<'_>, claim: &Value, before: &[Value], out: &mut Report) {
    let name = claim.text("name");
    let name_at = at.child("name");
    if name.is_empty() {
        out.required(&name_at, "");
    } else if before.iter().any(|c| c.text("name") == name) {
        out.duplicate(&name_at, name);
    } else {
        out.invalid_each(&name_at, name, label(name));
    }
    let of = |key: &str| claim.at(key).and_then(Value::as_str);
    let sources = ["resourceClaimName", "resourceClaimTemplateName"];
    match sources.map(of) {
        [Some(_), Some(_)] => out.invalid(
            at,
            printed(claim),
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        ),
        [None, None] => {
            out.invalid(at, printed(claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        }
        _ => {}
    }
    for key in sources {
        if let Some(name) = of(key) {
            out.invalid_each(&at.child(key), name, subdomain(name));
        }
    }
}

/// As upstream's own type, which has other names than the API's, prints.
fn printed(claim: &Value) -> Printed {
    let of = |key: &str| claim.at(key).unwrap_or(&Value::Null);
    Printed(format!(
        "{{\"Name\":{:?},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
        claim.text("name"),
        of("resourceClaimName"),
        of("resourceClaimTemplateName")
    ))
}

/// The claims that a container uses.
pub(super) fn of_container(at: &At<'_>, resources: &Value, spec: &Value, out: &mut Report) {
    let claims = resources.items("claims");
    for (index, claim) in claims.iter().enumerate() {
        used(&at.index(index), claim, &claims[..index], spec, out);
    }
}

fn used(at: &At<'_>, claim: &Value, before: &[Value], spec: &Value, out: &mut Report) {
    let (name, request) = (claim.text("name"), claim.text("request"));
    if name.is_empty() {
        return out.required(at, "");
    }
    let mut same = before.iter().filter(|c| c.text("name") == name).map(|c| c.text("request"));
    if same.clone().any(str::is_empty) {
        out.duplicate(at, name);
    } else if request.is_empty() {
        same.for_each(|_| out.duplicate(at, name));
    } else {
        out.invalid_each(&at.child("request"), request, label(request));
        if same.any(|other| other == request) {
            out.duplicate(at, format!("{name}/{request}").as_str());
        }
    }
    let known: std::collections::BTreeSet<&str> =
        spec.items("resourceClaims").iter().map(|c| c.text("name")).filter(|name| !name.is_empty()).collect();
    if !known.contains(name) {
        let whole = "must be one of the names in pod.spec.resourceClaims";
        let detail = match known.is_empty() {
            true => format!("{whole} which is empty"),
            false => format!("{whole}: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        out.not_found_in(at, name, &detail);
    }
}
