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

    fn other(self) -> Self {
        if self == Family::V4 { Family::V6 } else { Family::V4 }
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

/// The addresses that the service names, as it names them.
pub(super) fn given(service: &Value) -> Vec<String> {
    list(service, "clusterIPs").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The addresses that the service has.
pub(super) fn addresses(service: &Value) -> Vec<IpAddr> {
    let parsed: Vec<IpAddr> =
        list(service, "clusterIPs").iter().filter_map(|address| address.as_str()?.parse().ok()).collect();
    match parsed.is_empty() {
        true => text(service, "/spec/clusterIP").parse().into_iter().collect(),
        false => parsed,
    }
}

/// Writes both the list and its first element.
pub(super) fn set_addresses(service: &mut Value, addresses: &[String]) {
    let Some(first) = addresses.first() else { return };
    let spec = member(service, "spec");
    spec.insert("clusterIP".into(), first.as_str().into());
    spec.insert("clusterIPs".into(), addresses.iter().map(|address| Value::from(address.as_str())).collect());
}

/// What a write does to the addresses of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing: they stay, or the service has none.
    Keep,
    /// It takes one for each family.
    TakeAll,
    /// It takes one for its second family.
    TakeSecond,
    /// It gives all back.
    FreeAll,
    /// It gives the second back.
    FreeSecond,
}

impl Move {
    /// The move of a write whose families are complete.
    pub(super) fn of(new: &Value, old: Option<&Value>) -> Self {
        let counts = |service| list(service, "ipFamilies").len();
        match old {
            None if needs_addresses(new) => Self::TakeAll,
            None => Self::Keep,
            Some(old) if stays_preferred(new, old) => Self::Keep,
            Some(old) => match (is_named(old), is_named(new)) {
                (true, false) if needs_addresses(new) => Self::TakeAll,
                (true, _) => Self::Keep,
                (false, _) if is_headless(old) => Self::Keep,
                (false, true) => Self::FreeAll,
                (false, false) if is_headless(new) => Self::Keep,
                (false, false) => match (counts(old), counts(new)) {
                    (1, 2) => Self::TakeSecond,
                    (2, 1) => Self::FreeSecond,
                    _ => Self::Keep,
                },
            },
        }
    }
}

/// Fills in `ipFamilies` and `ipFamilyPolicy`, and drops what a single-stack service gives up.
/// `cluster` are the cluster's families, the default one first.
pub(super) fn complete(service: &mut Value, old: Option<&Value>, cluster: &[Family]) -> Result<(), Vec<FieldError>> {
    if is_named(service) || old.is_some_and(|old| stays_preferred(service, old)) {
        return Ok(());
    }
    if text(service, "/spec/ipFamilyPolicy").is_empty() && field(service, "ipFamilyPolicy").is_none() {
        let policy = match old.map(policy).filter(|policy| !policy.is_empty()) {
            Some(policy) => policy,
            None if is_free(service) => REQUIRE,
            None => SINGLE_STACK,
        };
        let policy = policy.to_owned();
        member(service, "spec").insert("ipFamilyPolicy".into(), policy.into());
    }
    none(rules::validation::related_addresses(service, old))?;
    none(single_stack(service, old))?;
    none(infer(service, cluster))?;
    if !is_free(service) {
        none(configured(service, cluster))?;
    }
    let mut families = of(service);
    if families.is_empty() {
        families.extend(cluster.first());
    }
    // A service that nothing selects endpoints for can have families that the cluster has not.
    let may_double = is_free(service) || cluster.len() == 2;
    if let ([only], true) = (&*families, may_double && policy(service) != SINGLE_STACK) {
        families.push(only.other());
    }
    let families = families.into_iter().map(|family| Value::from(family.as_str())).collect();
    member(service, "spec").insert("ipFamilies".into(), families);
    Ok(())
}

const SINGLE_STACK: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";

fn none(errors: Vec<FieldError>) -> Result<(), Vec<FieldError>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn field<'a>(service: &'a Value, key: &str) -> Option<&'a Value> {
    spec(service)?.get(key).filter(|value| !value.is_null())
}

fn list<'a>(service: &'a Value, key: &str) -> &'a [Value] {
    field(service, key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn policy(service: &Value) -> &str {
    text(service, "/spec/ipFamilyPolicy")
}

/// Whether the service is but a name for another one.
fn is_named(service: &Value) -> bool {
    text(service, "/spec/type") == "ExternalName"
}

/// Whether an update leaves alone what a service that prefers two families has got: it is not
/// extended when the cluster gets a second one.
fn stays_preferred(new: &Value, old: &Value) -> bool {
    let same = |key| list(new, key) == list(old, key);
    policy(new) == PREFER
        && matches!(policy(old), "" | PREFER)
        && text(new, "/spec/type") == text(old, "/spec/type")
        && matches!(text(new, "/spec/type"), "ClusterIP" | "NodePort" | "LoadBalancer")
        && same("clusterIPs")
        && same("ipFamilies")
}

fn invalid(at: Path, value: impl Into<String>, why: impl Into<String>) -> FieldError {
    FieldError { path: at, kind: FieldErrorKind::Invalid(value.into(), why.into()) }
}

fn policy_error(service: &Value, why: &str) -> FieldError {
    invalid(Path::new("spec").child("ipFamilyPolicy"), format!("{:?}", policy(service)), why)
}

/// A second address or family goes with the policy, and only with it.
fn single_stack(service: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    const KINDS: [(&str, &str, &str); 2] =
        [("clusterIPs", "cluster IP", "cluster IPs"), ("ipFamilies", "IP family", "IP families")];
    let mut errors = Vec::new();
    for (key, one, _) in KINDS {
        let Some(old) = old else { break };
        let (now, before) = (list(service, key).len(), list(old, key).len());
        if policy(service) != SINGLE_STACK {
            if now > 0 && now < before {
                errors.push(policy_error(service, &format!("must be 'SingleStack' to release the secondary {one}")));
            }
        } else if now > 1 && list(service, key) == list(old, key) {
            let kept = list(service, key)[..1].to_vec();
            member(service, "spec").insert(key.into(), kept.into());
        }
    }
    for (key, _, many) in KINDS {
        if policy(service) == SINGLE_STACK && list(service, key).len() == 2 {
            let why = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {many} are specified");
            errors.push(policy_error(service, &why));
        }
    }
    errors
}

/// Adds the families of addresses beyond those that the service names.
fn infer(service: &mut Value, cluster: &[Family]) -> Vec<FieldError> {
    let mut families = of(service);
    let mut errors = Vec::new();
    for (index, address) in list(service, "clusterIPs").iter().enumerate().skip(families.len()) {
        let Some(Ok(address)) = address.as_str().map(str::parse) else { break };
        let family = Family::of_address(address);
        if cluster.contains(&family) {
            families.push(family);
            continue;
        }
        let at = Path::new("spec").child("clusterIPs").index(index);
        let value = Value::from(list(service, "clusterIPs")).to_string();
        errors.push(invalid(at, value, format!("{} is not configured on this cluster", family.as_str())));
    }
    if !families.is_empty() {
        let families = families.into_iter().map(|family| Value::from(family.as_str())).collect();
        member(service, "spec").insert("ipFamilies".into(), families);
    }
    errors
}

/// Whether the cluster has what the service wants.
fn configured(service: &Value, cluster: &[Family]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if policy(service) == REQUIRE && cluster.len() < 2 {
        errors.push(policy_error(service, "this cluster is not configured for dual-stack services"));
    }
    for (index, family) in of(service).into_iter().enumerate().filter(|(_, family)| !cluster.contains(family)) {
        let at = Path::new("spec").child("ipFamilies").index(index);
        errors.push(invalid(at, format!("{:?}", family.as_str()), "not configured on this cluster"));
    }
    errors
}

/// Whether a service has neither addresses nor a selector.
fn is_free(service: &Value) -> bool {
    let selects = field(service, "selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
    text(service, "/spec/clusterIP") == "None" && !selects
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
            (json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}), DUAL, json!(["IPv6"]), "SingleStack"),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}),
                SINGLE,
                json!(["IPv4"]),
                "SingleStack",
            ),
            (json!({"clusterIP": "None", "clusterIPs": ["None"]}), SINGLE, json!(["IPv4", "IPv6"]), "RequireDualStack"),
        ] {
            let mut service = json!({"spec": spec});
            complete(&mut service, None, cluster).expect("possible");
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
            (
                json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
            ),
            (
                json!({"clusterIP": "x", "clusterIPs": ["y"]}),
                "spec.clusterIPs: Invalid value: [\"y\"]: first value must match `clusterIP`",
            ),
            (
                json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4", "IPv6"]}),
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            ),
        ] {
            let errors = complete(&mut json!({"spec": spec}), None, SINGLE).expect_err("refused");
            assert_eq!(errors[0].to_string(), want);
        }
    }

    #[test]
    fn a_second_family_comes_and_goes_with_the_policy() {
        let dual = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}});
        let mut single = dual.clone();
        single["spec"]["ipFamilyPolicy"] = "SingleStack".into();
        complete(&mut single, Some(&dual), DUAL).expect("possible");
        assert_eq!(single["spec"]["clusterIPs"], json!(["10.0.0.1"]));
        assert_eq!(Move::of(&single, Some(&dual)), Move::FreeSecond);
        let mut back = single.clone();
        back["spec"]["ipFamilyPolicy"] = "PreferDualStack".into();
        complete(&mut back, Some(&single), DUAL).expect("possible");
        assert_eq!(Move::of(&back, Some(&single)), Move::TakeSecond);
        let mut cut = dual.clone();
        cut["spec"]["ipFamilies"] = json!(["IPv4"]);
        let errors = complete(&mut cut, Some(&dual), DUAL).expect_err("the policy says otherwise");
        assert!(errors[0].to_string().ends_with("must be 'SingleStack' to release the secondary IP family"));
    }

    #[test]
    fn moves_follow_the_type() {
        let of = |kind: &str, address: &str| json!({"spec": {"type": kind, "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"]}});
        let (plain, named, headless) = (of("ClusterIP", "10.0.0.1"), of("ExternalName", ""), of("ClusterIP", "None"));
        for (new, old, want) in [
            (&plain, None, Move::TakeAll),
            (&headless, None, Move::Keep),
            (&named, None, Move::Keep),
            (&plain, Some(&named), Move::TakeAll),
            (&headless, Some(&named), Move::Keep),
            (&named, Some(&plain), Move::FreeAll),
            (&named, Some(&headless), Move::Keep),
            (&plain, Some(&headless), Move::Keep),
            (&plain, Some(&plain), Move::Keep),
        ] {
            assert_eq!(Move::of(new, old), want, "{new} over {old:?}");
        }
    }
}
