//! Which address families a service has, and whether it needs addresses: pure.
//!
//! Upstream: `pkg/registry/core/service/storage/alloc.go` (`initIPFamilyFields`).

use super::spec;
use crate::strategies::{member, text};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use std::net::IpAddr;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of_address(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Family::V4, Family::V6].into_iter().find(|family| family.as_str() == text)
    }
}

/// Whether the service is reached by addresses of its own.
pub(super) fn needs_addresses(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName" && !is_headless(service)
}

fn is_headless(service: &Value) -> bool {
    text(service, "/spec/clusterIP") == "None" || text(service, "/spec/clusterIPs/0") == "None"
}

/// The families that the service has.
pub(super) fn of(service: &Value) -> Vec<Family> {
    let list = spec(service).and_then(|s| s.get("ipFamilies")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|f| Family::parse(f.as_str()?)).collect()
}

/// The addresses that the service names.
pub(super) fn given_addresses(service: &Value) -> Vec<IpAddr> {
    let list = spec(service).and_then(|s| s.get("clusterIPs")).and_then(Value::as_array);
    let parsed: Vec<IpAddr> = list.into_iter().flatten().filter_map(|a| a.as_str()?.parse().ok()).collect();
    match parsed.is_empty() {
        true => text(service, "/spec/clusterIP").parse().into_iter().collect(),
        false => parsed,
    }
}

/// Writes both the list and its first element.
pub(super) fn set_addresses(service: &mut Value, addresses: &[IpAddr]) {
    let Some(first) = addresses.first() else { return };
    let spec = member(service, "spec");
    spec.insert("clusterIP".into(), first.to_string().into());
    spec.insert("clusterIPs".into(), addresses.iter().map(|a| Value::from(a.to_string())).collect());
}

/// Fills in `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`. `cluster` are the cluster's families,
/// the default one first.
pub(super) fn complete(service: &mut Value, cluster: &[Family]) -> Result<(), FieldError> {
    if text(service, "/spec/type") == "ExternalName" {
        let spec = member(service, "spec");
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(key);
        }
        return Ok(());
    }
    sync_lists(service);
    let families = families(service, cluster)?;
    let policy = match text(service, "/spec/ipFamilyPolicy") {
        "" if families.len() == 2 => "RequireDualStack".to_owned(),
        "" => "SingleStack".to_owned(),
        policy => policy.to_owned(),
    };
    let spec = member(service, "spec");
    spec.insert("ipFamilyPolicy".into(), policy.into());
    spec.insert("ipFamilies".into(), families.iter().map(|f| Value::from(f.as_str())).collect());
    Ok(())
}

/// `clusterIP` is the first of `clusterIPs`.
fn sync_lists(service: &mut Value) {
    let single = text(service, "/spec/clusterIP").to_owned();
    let first = text(service, "/spec/clusterIPs/0").to_owned();
    let spec = member(service, "spec");
    match (single.as_str(), first.as_str()) {
        ("", "") => {}
        (_, "") => drop(spec.insert("clusterIPs".into(), vec![Value::from(single)].into())),
        ("", _) => drop(spec.insert("clusterIP".into(), first.into())),
        _ => {}
    }
}

fn families(service: &Value, cluster: &[Family]) -> Result<Vec<Family>, FieldError> {
    let policy = text(service, "/spec/ipFamilyPolicy");
    let path = Path::new("spec");
    if policy == "RequireDualStack" && cluster.len() < 2 && !headless_without_selector(service) {
        let why = "this cluster is not configured for dual-stack services".to_owned();
        return Err(FieldError {
            path: path.child("ipFamilyPolicy"),
            kind: FieldErrorKind::Invalid(format!("{policy:?}"), why),
        });
    }
    let mut families = of(service);
    if families.is_empty() {
        families = given_addresses(service).into_iter().map(Family::of_address).collect();
    }
    if let Some(at) = families.iter().position(|f| !cluster.contains(f))
        && !headless_without_selector(service)
    {
        let kind =
            FieldErrorKind::Invalid(format!("{:?}", families[at].as_str()), "not configured on this cluster".into());
        return Err(FieldError { path: path.child("ipFamilies").index(at), kind });
    }
    if families.is_empty() {
        families.extend(cluster.first());
    }
    let dual = matches!(policy, "RequireDualStack" | "PreferDualStack");
    if let (true, 1, Some(other)) = (dual, families.len(), cluster.iter().find(|f| !families.contains(f))) {
        families.push(*other);
    }
    if policy == "SingleStack" {
        families.truncate(1);
    }
    Ok(families)
}

fn headless_without_selector(service: &Value) -> bool {
    let selects =
        spec(service).and_then(|s| s.get("selector")).and_then(Value::as_object).is_some_and(|s| !s.is_empty());
    is_headless(service) && !selects
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SINGLE: &[Family] = &[Family::V4];
    const DUAL: &[Family] = &[Family::V4, Family::V6];

    #[test]
    fn fills_in_families() {
        for (spec, cluster, families, policy) in [
            (json!({}), SINGLE, json!(["IPv4"]), "SingleStack"),
            (json!({}), DUAL, json!(["IPv4"]), "SingleStack"),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), SINGLE, json!(["IPv4"]), "PreferDualStack"),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), DUAL, json!(["IPv4", "IPv6"]), "PreferDualStack"),
            (json!({"clusterIP": "fd00::1"}), DUAL, json!(["IPv6"]), "SingleStack"),
            (json!({"clusterIP": "None", "selector": {"a": "b"}}), SINGLE, json!(["IPv4"]), "SingleStack"),
        ] {
            let mut service = json!({"spec": spec});
            complete(&mut service, cluster).expect("possible");
            assert_eq!((&service["spec"]["ipFamilies"], text(&service, "/spec/ipFamilyPolicy")), (&families, policy));
        }
    }

    #[test]
    fn refuses_what_the_cluster_does_not_have() {
        for (spec, want) in [
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
            ),
            (
                json!({"ipFamilies": ["IPv6"]}),
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
        ] {
            let error = complete(&mut json!({"spec": spec}), SINGLE).expect_err("refused");
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn keeps_both_forms_of_the_address() {
        let mut service = json!({"spec": {"clusterIP": "10.0.0.1"}});
        complete(&mut service, SINGLE).expect("possible");
        assert_eq!(service["spec"]["clusterIPs"], json!(["10.0.0.1"]));
        let mut external = json!({"spec": {"type": "ExternalName", "clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"]}});
        complete(&mut external, SINGLE).expect("possible");
        assert_eq!(external, json!({"spec": {"type": "ExternalName"}}));
        assert!(!needs_addresses(&external));
    }
}
