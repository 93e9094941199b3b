//! The service that exposes a workload.
//!
//! Upstream: `kubectl/pkg/cmd/expose`, `kubectl/pkg/polymorphichelpers`.

use super::{GenerateError, int_or_string};
use crate::cli::expose::Expose;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use serde_json::json;

/// A service for an object.
pub fn service(flags: &Expose, object: &Value) -> Result<Value, GenerateError> {
    let selector = match flags.selector.as_str() {
        "" => selector_of(object).map_err(|why| {
            GenerateError::Value(format!("couldn't retrieve selectors via --selector flag or introspection: {why}"))
        })?,
        text => labels(text)?,
    };
    let ports = ports(flags, object)?;
    let labels = match flags.labels.as_str() {
        "" => object.labels().cloned().unwrap_or_default(),
        text => labels(text)?,
    };
    let name: String = match flags.name.as_str() {
        "" => object.name().chars().take(63).collect(),
        name => name.to_owned(),
    };
    let mut spec = json!({"selector": selector});
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    if !flags.external_ip.is_empty() {
        spec["externalIPs"] = json!([flags.external_ip]);
    }
    if !matches!(flags.session_affinity.as_str(), "" | "None" | "ClientIP") {
        return Err(GenerateError::Value(format!("unknown session affinity: {}", flags.session_affinity)));
    }
    let balancer = if flags.kind == "LoadBalancer" { flags.load_balancer_ip.as_str() } else { "" };
    for (member, text) in [
        ("type", flags.kind.as_str()),
        ("loadBalancerIP", balancer),
        ("sessionAffinity", &flags.session_affinity),
        ("clusterIP", &flags.cluster_ip),
    ] {
        if !text.is_empty() {
            spec[member] = text.into();
        }
    }
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    if !labels.is_empty() {
        service["metadata"]["labels"] = labels.into();
    }
    Ok(service)
}

/// Labels that the pods of an object have.
fn selector_of(object: &Value) -> Result<Map, String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let simple = |path: &str| object.pointer(path).and_then(Value::as_object).filter(|m| !m.is_empty()).cloned();
    match kind {
        "ReplicationController" | "Service" => simple("/spec/selector").ok_or_else(|| {
            if kind == "Service" {
                "the service has no pod selector set".into()
            } else {
                "the object has no selector".into()
            }
        }),
        "Pod" => simple("/metadata/labels").ok_or_else(|| "the pod has no labels and cannot be exposed".into()),
        "Deployment" | "ReplicaSet" => {
            match object.pointer("/spec/selector/matchExpressions").and_then(Value::as_array) {
                Some(list) if !list.is_empty() => {
                    Err(format!("couldn't convert expressions - {list:?} to map-based selector format"))
                }
                _ => simple("/spec/selector/matchLabels")
                    .ok_or_else(|| "invalid deployment: no selectors, therefore cannot be exposed".into()),
            }
        }
        _ => Err(format!("cannot extract pod selector from {kind}")),
    }
}

/// Container or service ports of an object with their protocol.
fn declared(object: &Value) -> Vec<(i64, String)> {
    let pair = |port: &Value, member: &str| {
        Some((port[member].as_i64()?, port["protocol"].as_str().unwrap_or("TCP").to_owned()))
    };
    if object["kind"] == "Service" {
        return object["spec"]["ports"].as_array().into_iter().flatten().filter_map(|p| pair(p, "port")).collect();
    }
    let spec = object.pointer("/spec/template/spec").unwrap_or(&object["spec"]);
    let containers = spec["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|c| c["ports"].as_array().into_iter().flatten())
        .filter_map(|p| pair(p, "containerPort"))
        .collect()
}

fn ports(flags: &Expose, object: &Value) -> Result<Vec<Value>, GenerateError> {
    let declared = declared(object);
    let mut numbers: Vec<i64> = Vec::new();
    match flags.port.as_str() {
        "" => declared.iter().for_each(|(port, _)| {
            if !numbers.contains(port) {
                numbers.push(*port);
            }
        }),
        text => {
            for part in text.split(',') {
                numbers
                    .push(part.parse().map_err(|_| {
                        GenerateError::Value(format!("strconv.Atoi: parsing {part:?}: invalid syntax"))
                    })?);
            }
        }
    }
    if numbers.is_empty() && flags.cluster_ip != "None" {
        return Err(GenerateError::Flags("couldn't find port via --port flag or introspection"));
    }
    let many = numbers.len() > 1;
    let mut ports = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        let known: Vec<&str> = declared.iter().filter(|(port, _)| port == number).map(|(_, p)| p.as_str()).collect();
        let protocols = match (flags.protocol.as_str(), known.as_slice()) {
            ("", []) => vec!["TCP"],
            ("", known) => known.to_vec(),
            (given, _) => vec![given],
        };
        for protocol in &protocols {
            let target = if flags.target_port.is_empty() { json!(number) } else { int_or_string(&flags.target_port) };
            let mut port = json!({"port": number, "protocol": protocol, "targetPort": target});
            if protocols.len() > 1 {
                port["name"] = format!("port-{}-{}", i + 1, protocol.to_lowercase()).into();
            } else if many {
                port["name"] = format!("port-{}", i + 1).into();
            }
            ports.push(port);
        }
    }
    Ok(ports)
}

/// `a=b,c=d`.
pub fn labels(text: &str) -> Result<Map, GenerateError> {
    let mut labels = Map::new();
    for spec in text.split(',') {
        match spec.split('=').collect::<Vec<_>>()[..] {
            ["", _] => return Err(GenerateError::Flags("unexpected empty label key")),
            [key, value] => drop(labels.insert(key.into(), value.into())),
            _ => return Err(GenerateError::Value(format!("unexpected label spec: {spec}"))),
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, Command};
    use clap::Parser;

    fn exposed(line: &str, object: &Value) -> Result<Value, String> {
        let Command::Expose(flags) =
            Args::parse_from(["k", "expose", "x"].into_iter().chain(line.split_whitespace())).command
        else {
            panic!("expose")
        };
        service(&flags, object).map_err(|e| e.to_string())
    }

    #[test]
    fn ports_and_selectors_come_from_the_object() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {"l": "1"}}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}]}]}}}});
        let made = exposed("", &deployment).expect("a service");
        assert_eq!(made["spec"]["selector"], json!({"app": "web"}));
        let names: Vec<&str> =
            made["spec"]["ports"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(names, ["port-1-tcp", "port-1-udp", "port-2"]);
        let made = exposed("--port=90 --target-port=http --type=NodePort --name=n", &deployment).expect("a service");
        assert_eq!(made["spec"]["ports"], json!([{"port": 90, "protocol": "TCP", "targetPort": "http"}]));
        assert_eq!((&made["metadata"]["name"], &made["spec"]["type"]), (&json!("n"), &json!("NodePort")));
    }

    #[test]
    fn what_cannot_be_exposed() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}});
        assert!(
            exposed("--port=1", &pod).expect_err("no labels").contains("the pod has no labels and cannot be exposed")
        );
        assert_eq!(exposed("--selector=a=b", &pod), Err("couldn't find port via --port flag or introspection".into()));
        assert_eq!(exposed("--selector=a --port=1", &pod), Err("unexpected label spec: a".into()));
    }
}
