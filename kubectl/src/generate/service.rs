//! Services.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_service.go`.

use super::GenerateError;
use apimachinery::{Map, Value};
use serde_json::json;

/// What a service is made of.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    /// `spec.type`.
    pub kind: &'a str,
    /// `port[:target]` pairs.
    pub tcp: &'a [String],
    /// Address, `None`, or empty.
    pub cluster_ip: &'a str,
    /// 0 if the server shall choose.
    pub node_port: i32,
    /// Of an `ExternalName` service.
    pub external_name: &'a str,
}

/// A service that selects `app=NAME`.
pub fn service(name: &str, plan: &Plan<'_>) -> Result<Value, GenerateError> {
    if plan.cluster_ip != "None" && plan.tcp.is_empty() && plan.kind != "ExternalName" {
        return Err(GenerateError::Flags("at least one tcp port specifier must be provided"));
    }
    if plan.kind == "ExternalName" && !is_subdomain(plan.external_name) {
        return Err(GenerateError::Value(format!("invalid service external name {}", plan.external_name)));
    }
    let mut spec = Map::new();
    spec.insert("type".into(), plan.kind.into());
    spec.insert("selector".into(), json!({"app": name}));
    let ports: Vec<Value> = plan.tcp.iter().map(|text| port(text, plan.node_port)).collect::<Result<_, _>>()?;
    if !ports.is_empty() {
        spec.insert("ports".into(), ports.into());
    }
    for (member, text) in [("clusterIP", plan.cluster_ip), ("externalName", plan.external_name)] {
        if !text.is_empty() {
            spec.insert(member.into(), text.into());
        }
    }
    Ok(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}),
    )
}

fn port(text: &str, node_port: i32) -> Result<Value, GenerateError> {
    let mut parts = text.split(':');
    let port = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or(port);
    let number: u16 = port.parse().map_err(|_| {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let why = if digits { "value out of range" } else { "invalid syntax" };
        GenerateError::Value(format!("strconv.ParseUint: parsing {port:?}: {why}"))
    })?;
    let target: Value = match target.parse::<i64>() {
        Ok(number) if (1..=65535).contains(&number) || !text.contains(':') => number.into(),
        Ok(_) => return Err(GenerateError::Flags("must be between 1 and 65535, inclusive")),
        Err(_) => match name_errors(target) {
            errors if errors.is_empty() => target.into(),
            errors => return Err(GenerateError::Value(errors.join(","))),
        },
    };
    let mut port = json!({"name": text.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target});
    if node_port != 0 {
        port["nodePort"] = node_port.into();
    }
    Ok(port)
}

/// Upstream: `apimachinery/pkg/util/validation/validation.go` (`IsValidPortName`).
fn name_errors(name: &str) -> Vec<&'static str> {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let wrong = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            name.is_empty() || !name.bytes().all(is_letter),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!name.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    wrong.into_iter().filter(|(wrong, _)| *wrong).map(|(_, why)| why).collect()
}

fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(
            port("80", 0).expect("fine"),
            json!({"name": "80", "port": 80, "protocol": "TCP", "targetPort": 80})
        );
        assert_eq!(port("80:http", 30000).expect("fine")["targetPort"], "http");
        assert!(port("x", 0).is_err() && port("80:99999", 0).is_err());
    }

    #[test]
    fn refuses_what_makes_no_service() {
        let plan = |kind, external_name, cluster_ip| Plan { kind, external_name, cluster_ip, ..Plan::default() };
        assert!(service("s", &plan("ClusterIP", "", "")).is_err());
        assert!(service("s", &plan("ClusterIP", "", "None")).is_ok());
        assert!(service("s", &plan("ExternalName", "a_b", "")).is_err());
        assert!(service("s", &plan("ExternalName", "a.b", "")).is_ok());
    }
}
