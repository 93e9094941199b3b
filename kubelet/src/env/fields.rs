//! The downward API: fields of the pod and resources of its containers as text.

use crate::pod::PodExt;
use crate::resources::Amount;
use crate::resources::requests::{self, Side};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use std::collections::BTreeMap;

/// A path that the downward API does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldError {
    #[error("unsupported fieldPath: {0}")]
    Path(String),
    #[error("unsupported container resource : {0}")]
    Resource(String),
    #[error("container {0} not found")]
    Container(String),
}

/// The pod and what the kubelet knows about it beyond the object.
#[derive(Clone, Debug)]
pub struct PodFacts<'a> {
    pub pod: &'a Pod,
    pub pod_ips: Vec<String>,
    pub host_ips: Vec<String>,
    /// What an unset limit means.
    pub allocatable: BTreeMap<String, Amount>,
}

impl<'a> PodFacts<'a> {
    /// Facts without addresses.
    pub fn new(pod: &'a Pod) -> Self {
        Self { pod, pod_ips: Vec::new(), host_ips: Vec::new(), allocatable: BTreeMap::new() }
    }
}

/// The text of a field such as `metadata.labels['app']` or `status.podIP`.
pub fn pod_field(facts: &PodFacts<'_>, path: &str) -> Result<String, FieldError> {
    let pod = facts.pod;
    if let Some((map, key)) = subscript(path) {
        let of = match map {
            "metadata.labels" => pod.metadata.labels.as_ref(),
            "metadata.annotations" => pod.metadata.annotations.as_ref(),
            _ => return Err(FieldError::Path(path.to_owned())),
        };
        return Ok(of.and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    let first = |all: &[String]| all.first().cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => pod.name().to_owned(),
        "metadata.namespace" => pod.namespace().to_owned(),
        "metadata.uid" => pod.uid().to_owned(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => PodExt::spec(pod).node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => PodExt::spec(pod).service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => facts.host_ips.join(","),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => facts.pod_ips.join(","),
        _ => return Err(FieldError::Path(path.to_owned())),
    })
}

/// The text of `limits.memory` and the like, divided by the selector's divisor and rounded up.
/// A limit that is not set is what the node can give.
pub fn resource_field(
    facts: &PodFacts<'_>,
    container: &Container,
    selector: &ResourceFieldSelector,
) -> Result<String, FieldError> {
    let (side, resource) = match selector.resource.split_once('.') {
        Some(("limits", name)) => (Side::Limits, name),
        Some(("requests", name)) => (Side::Requests, name),
        _ => return Err(FieldError::Resource(selector.resource.clone())),
    };
    if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !resource.starts_with("hugepages-") {
        return Err(FieldError::Resource(selector.resource.clone()));
    }
    let own = requests::amount(container, side, resource).filter(|a| !a.is_zero());
    let fallback = || match side {
        Side::Limits => facts.allocatable.get(resource).copied().unwrap_or_default(),
        Side::Requests => Amount::default(),
    };
    let divisor = selector.divisor.as_ref().map(Amount::of).filter(|d| !d.is_zero()).unwrap_or(Amount::whole(1));
    Ok(own.unwrap_or_else(fallback).divide_up(divisor).to_string())
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let quoted = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", quote(v)));
    quoted.collect::<Vec<_>>().join("\n")
}

/// Go's `%q`: the files of a downward volume are read by programs that know that form.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests::container;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    #[test]
    fn fields_of_the_pod() {
        let labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "q\"\n".to_owned())];
        let pod = Pod {
            metadata: ObjectMeta { name: Some("p".into()), labels: Some(labels.into()), ..ObjectMeta::default() },
            ..Pod::default()
        };
        let mut facts = PodFacts::new(&pod);
        facts.pod_ips = vec!["10.0.0.1".into(), "fd00::1".into()];
        for (path, want) in [
            ("metadata.name", "p"),
            ("metadata.namespace", "default"),
            ("metadata.labels", "a=\"1\"\nb=\"q\\\"\\n\""),
            ("metadata.labels['a']", "1"),
            ("metadata.labels['none']", ""),
            ("status.podIP", "10.0.0.1"),
            ("status.podIPs", "10.0.0.1,fd00::1"),
        ] {
            assert_eq!(pod_field(&facts, path).unwrap(), want, "{path}");
        }
        assert_eq!(pod_field(&facts, "spec.bad"), Err(FieldError::Path("spec.bad".into())));
    }

    #[test]
    fn resources_with_divisors_and_defaults() {
        let pod = Pod::default();
        let mut facts = PodFacts::new(&pod);
        facts.allocatable = [("cpu".to_owned(), Amount::whole(4))].into();
        let c = container("c", &[("memory", "32Mi")], &[("memory", "64Mi")]);
        for (resource, divisor, want) in [
            ("limits.memory", "1Mi", "64"),
            ("limits.memory", "", "67108864"),
            ("requests.memory", "1Ki", "32768"),
            ("limits.cpu", "1m", "4000"),
            ("limits.cpu", "0", "4"),
            ("requests.cpu", "1", "0"),
        ] {
            let selector = ResourceFieldSelector {
                container_name: None,
                resource: resource.into(),
                divisor: (!divisor.is_empty()).then(|| Quantity(divisor.into())),
            };
            assert_eq!(resource_field(&facts, &c, &selector).unwrap(), want, "{resource} {divisor}");
        }
    }
}
